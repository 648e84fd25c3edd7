"""The order in which a plan brings releases to each track."""

from __future__ import annotations

from rollcast.planner.plan.models import Plan


def chains_of(plan: Plan) -> dict[str, dict[str, int]]:
    """Each track's releases by their place in the order in which the plan serves them first."""
    chains: dict[str, dict[str, int]] = {}
    for serving in (plan.start, *(milestone.serving for milestone in plan.milestones)):
        for track, shares in serving.items():
            chain = chains.setdefault(track, {})
            for share in reversed(shares):  # the new release is listed first
                chain.setdefault(share.release, len(chain))
    return chains
