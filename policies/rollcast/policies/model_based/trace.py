"""A counterexample as a story: where it starts, what happens, the state that breaks the rule, who is affected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rollcast.planner.plan.models import Plan, Serving
from rollcast.planner.releases.releases import Release


class Counterexample(AssertionError):
    """A rule does not hold. The message is the story."""


@dataclass
class Trace:
    """What happened so far."""

    start: tuple[str, ...]
    steps: list[str] = field(default_factory=list)

    def emit(self, rule: str, what: str, remedy: str, state: Sequence[str], affected: Sequence[str]) -> str:
        """The whole story in plain text."""
        lines = [f"{rule} does not hold: {what}", "", *_block("Start", self.start)]
        steps = self.steps or ["nothing has happened yet"]
        width = len(str(len(steps)))
        lines += _block("Steps", [f"{number:>{width}}. {step}" for number, step in enumerate(steps, 1)])
        lines += _block("State", state) + _block("Affected", affected)
        if remedy:
            lines += _block("Remedy", [remedy])
        return "\n".join(lines)


def _block(title: str, lines: Sequence[str]) -> list[str]:
    return [f"{title if not place else '':<10}{line}" for place, line in enumerate(lines)]


def serving_in_words(plan: Plan, serving: Serving) -> list[str]:
    """Who is served by what, a line of text for each track."""
    found = []
    for track, shares in serving.items():
        parts = [f"{share.percent:g} % of {share.audience} on {share.release}" for share in shares]
        found.append(f"channel {track}: {', '.join(parts) or 'nothing is served'}")
    return found or ["nothing is served"]


def release_in_words(release: Release) -> str:
    """A release with what fills its slots."""
    slots = ", ".join(f"{name} {version.reference}" for name, version in sorted(release.slots.items()))
    flags = ", ".join(f"{name}={value}" for name, value in sorted(release.flags.items()))
    return f"{release.id}: {slots}" + (f"; flags {flags}" if flags else "")
