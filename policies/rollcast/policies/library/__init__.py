"""Guardrails to configure."""

from rollcast.policies.rules import Policy


def defaults() -> tuple[Policy, ...]:
    """The guardrails that hold where a project says nothing else."""
    return ()
