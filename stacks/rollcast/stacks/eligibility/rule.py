"""The rule: a release is eligible in an environment once it has served the one before for long enough.

The same release is the same id on the same channel: artifacts by the digest of their content, parameters, wiring,
flags, regions, replicas. What belongs to an environment (target, addresses, capacity, telemetry, prices) is no part of
it. What already serves a channel here has nothing more to prove. Approval is needed for every plan that changes
anything; for a rollback or a removal neither is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rollcast.planner.declaration.models import After, Hotfix
from rollcast.planner.plan.models import Plan
from rollcast.stacks.base.clock import Clock, moment
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.eligibility.approvals import Approvals, approvals_of
from rollcast.stacks.eligibility.periods import ServedHistory, served_history
from rollcast.stacks.ledger.ledger import existing_ledger
from rollcast.stacks.ledger.records import Record
from rollcast.stacks.ledger.rollouts import existing_of, scope_of
from rollcast.stacks.project import Project


@dataclass(frozen=True)
class TrackEligibility:
    """Whether a release has served a channel in the environment before for long enough.

    `served_s`: what counts, in seconds; `since_s`: when that period began; `eligible_at_s`: when it will be enough
    where nothing comes between; None where nobody can say.
    """

    track: str
    release: str
    eligible: bool
    served_s: float
    since_s: float | None
    eligible_at_s: float | None
    reason: str


@dataclass(frozen=True)
class Eligibility:
    """Whether what is to be applied may enter an environment, and if not why not, and when it will."""

    environment: str
    after: After
    tracks: tuple[TrackEligibility, ...]
    approvals: Approvals | None

    @property
    def served(self) -> bool:
        """Whether all of it has served the environment before for long enough."""
        return all(one.eligible for one in self.tracks)

    @property
    def approved(self) -> bool:
        return self.approvals is None or self.approvals.enough

    @property
    def eligible(self) -> bool:
        return self.served and self.approved

    @property
    def eligible_at_s(self) -> float | None:
        """When the time will be over, if nothing comes between; None where it is, or where nobody can say."""
        waiting = [one.eligible_at_s for one in self.tracks if not one.eligible]
        return max((at for at in waiting if at is not None), default=None) if None not in waiting else None

    def refusal(self, hotfix: str = "") -> str:
        """Why it may not enter now, and what to do; empty where it may. `hotfix`: the reason for which time is skipped.

        Raises StackError where a hotfix is not allowed here.
        """
        if hotfix:
            refuse_hotfix(self.environment, self.after)
        waits = [] if hotfix else list(dict.fromkeys(one.reason for one in self.tracks if not one.eligible))
        missing = self.approvals.sentence if self.approvals is not None else ""
        if not waits and not missing:
            return ""
        remedies = []
        if waits and self.eligible_at_s is not None:
            remedies.append(f"it becomes eligible at {moment(self.eligible_at_s)}; apply it then")
        elif waits:
            remedies.append(f"see 'rollcast status --all', and apply it to {self.after.environment} first")
        if missing:
            remedies.append(f"approve it with 'rollcast approve --env {self.environment}'")
        if waits and self.after.hotfix is Hotfix.ALLOWED:
            remedies.append("for a hotfix, 'rollcast apply --hotfix REASON' does not wait for the time")
        why = "; ".join([*waits, *([missing] if missing else [])])
        remedy = "; ".join(remedies)
        return f"Not eligible in {self.environment}: {why}. {remedy[:1].upper()}{remedy[1:]}."

    def to_json(self) -> dict[str, Any]:
        """As `plan --format json` and `status --all --format json` show it, and as the ledger keeps it."""
        return {
            "eligible": self.eligible,
            "after": self.after.environment,
            "for_s": self.after.for_,
            "eligible_at_s": self.eligible_at_s,
            "releases": [
                {
                    "line": one.track, "release": one.release, "eligible": one.eligible, "served_s": one.served_s,
                    "since_s": one.since_s, "eligible_at_s": one.eligible_at_s, "reason": one.reason,
                }
                for one in self.tracks
            ],
            "approvals": None if self.approvals is None else self.approvals.to_json(),
            "hotfix": self.after.hotfix.value,
            "reason": self.refusal(),
        }  # fmt: skip


def eligibility_of(project: Project, plan: Plan, clock: Clock | None = None) -> Eligibility | None:
    """Whether a plan may be carried out in its environment now; None where that comes after no other.

    Raises StackError where a ledger can't be read.
    """
    after = project.environment.after
    if after is None:
        return None
    moved = {track: release for track, release in plan.to_release.items() if plan.from_release.get(track) != release}
    own = existing_of(project)
    asks = after.approved_by and plan.to_release and not plan.empty
    given = approvals_of(own.records() if own else (), after, plan.digest) if asks else None
    return eligibility(project, moved, given, clock)


def eligibility(
    project: Project, releases: Mapping[str, str], given: Approvals | None, clock: Clock | None = None
) -> Eligibility:
    """Whether releases, by channel, may enter a project's environment, which comes after another one."""
    after = project.environment.after
    assert after is not None
    before = existing_ledger(project.folder, scope_of(project.declaration, after.environment))
    records = before.records() if before is not None else []
    tracks = judged(records, after, releases, (clock or Clock()).wall_s())
    return Eligibility(project.environment_name, after, tracks, given)


def judged(
    records: Sequence[Record], after: After, releases: Mapping[str, str], now_s: float
) -> tuple[TrackEligibility, ...]:
    """Releases, by channel, held against the records of the environment before."""
    return tuple(
        _track(served_history(records, track, now_s), after, track, release, now_s)
        for track, release in sorted(releases.items())
    )


def _track(history: ServedHistory, after: After, track: str, release: str, now_s: float) -> TrackEligibility:
    best = history.longest(release)
    served_s = best.served_s if best is not None else 0.0
    since_s = best.since_s if best is not None else None
    if best is not None and served_s >= after.for_ and not history.leaves(release):
        return TrackEligibility(track, release, True, served_s, since_s, None, "")
    current = next((p for p in history.periods if p.release == release and p.current), None)
    at_s = now_s + after.for_ - current.served_s if current is not None and current.running else None
    reason = _reason(history, after, release, served_s)
    return TrackEligibility(track, release, False, served_s, since_s, at_s, reason)


def _reason(history: ServedHistory, after: After, release: str, served_s: float) -> str:
    """Why a release is not eligible."""
    where, moving, best = after.environment, history.under_way, history.longest(release)
    if best is None:
        if release in history.left:
            return f"{release} was rolled back in {where} ({history.left[release]})"
        if moving is not None and moving[1] == release and not moving[2]:
            return f"{release} is still on its way in {where} (rollout {moving[0]})"
        return f"{release} was never promoted in {where}"
    if moving is not None and history.leaves(release):
        return f"{release} is being rolled back in {where} (rollout {moving[0]})"
    so_far = f"{release} has served everybody in {where} for {lasting(served_s)} of {lasting(after.for_)}"
    if moving is not None and best.current:
        return f"{so_far}, and that stands still while rollout {moving[0]} is under way there"
    return so_far if best.running else f"{so_far}, and serves there no longer"


def refuse_hotfix(environment: str, after: After | None) -> None:
    """Raises StackError where a release may not skip its time in the environment before."""
    if after is None:
        raise StackError(
            f"Environment '{environment}' comes after no other, so nothing is skipped. Leave out --hotfix."
        )
    if after.hotfix is not Hotfix.ALLOWED:
        raise StackError(
            f"Environment '{environment}' allows no hotfix. Leave out --hotfix, or declare 'hotfix: allowed' under its "
            "'after', and have that reviewed."
        )


def lasting(seconds: float) -> str:
    """A duration in words, down to minutes, or to seconds where it is shorter than one."""
    left, parts = round(max(0.0, seconds)), []
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if left >= size:
            parts.append(f"{left // size} {unit}")
            left %= size
    return " ".join(parts) if parts else f"{left} s"


__all__ = ["Eligibility", "TrackEligibility", "eligibility", "eligibility_of", "judged", "lasting", "refuse_hotfix"]
