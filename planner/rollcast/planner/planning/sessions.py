"""Sessions outlive a request: which version of a slot can read the state that another one wrote.

`session-state` is a contract between successive versions of one slot. `provides` says what it writes, `requires` what
it can read; without `requires` it reads only what it writes itself. Where the new version can't read the old one's
state, sessions finish on the release that they began with: their requests carry its id in the attribute
`session_release`, which the data plane sets to the release that served a session's first request. Where the old version
can't read the new one's, a rollback loses it, and the plan says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from rollcast.planner.base.values import satisfies
from rollcast.planner.contracts.edges import SESSION_STATE
from rollcast.planner.declaration.models import Artifact
from rollcast.planner.planning.steps import Step
from rollcast.planner.releases.releases import Digests, Release, SlotVersion, pinned

SESSION_RELEASE = "session_release"


def audience_of(release: Release) -> tuple[str, dict[str, object]]:
    """The audience of the sessions that began on a release: its name and its predicate."""
    return f"sessions-of-{release.id}", {SESSION_RELEASE: release.id}


def reads(reader: SlotVersion, writer: SlotVersion) -> bool:
    """Whether a version can go on from what another one remembered."""
    written = writer.provides.get(SESSION_STATE)
    if written is None or reader.identity == writer.identity:
        return True
    wanted = reader.requires.get(SESSION_STATE)
    if wanted is not None:
        return satisfies(written, wanted.value)
    return reader.provides.get(SESSION_STATE, written) == written


def unreadable(step: Step, track: str, *, back: bool) -> Iterator[tuple[str, SlotVersion, SlotVersion]]:
    """(slot, reader, writer) where a step (or, `back`, its rollback) is given state that it can't read."""
    before, after = step.before.get(track), step.after[track]
    for slot in step.group.slots if before else ():
        old, new = (before.slots.get(slot) if before else None), after.slots.get(slot)
        if old is None or new is None:
            continue
        reader, writer = (old, new) if back else (new, old)
        if not reads(reader, writer):
            yield slot, reader, writer


def unsaid(step: Step) -> Iterator[str]:
    """Sessions that a plan can't keep where they began, because what serves does not say what it writes."""
    for track, release in step.after.items():
        before = step.before.get(track)
        for slot in step.group.slots if before else ():
            old, new = (before.slots.get(slot) if before else None), release.slots.get(slot)
            says = new is not None and SESSION_STATE in {*new.provides, *new.requires}
            if old is not None and new is not None and says and SESSION_STATE not in old.provides:
                yield (
                    f"{new.reference} declares {SESSION_STATE}, and {old.reference}, which serves, does not: sessions "
                    f"under way are not kept on {old.reference}. To keep them, declare what it writes on it first."
                )


Claims = Mapping[tuple[str, str], str]  # (artifact reference, digest) -> the session state that it writes


def claims_of(artifacts: Iterable[Artifact], digests: Digests) -> Claims:
    """What is declared of the session state that each artifact writes."""
    return {
        (one.reference, pinned(one, digests)): one.provides[SESSION_STATE]
        for one in artifacts
        if SESSION_STATE in one.provides
    }


def as_declared(live: Mapping[str, Release], claims: Claims) -> dict[str, Release]:
    """What serves each track, saying of its session state what is declared of the very same artifacts by now."""
    found = {}
    for track, release in live.items():
        said = {
            slot: version.model_copy(update={"provides": {**version.provides, SESSION_STATE: claim}})
            for slot, version in release.slots.items()
            if (claim := claims.get((version.reference, version.digest))) and SESSION_STATE not in version.provides
        }
        found[track] = release.model_copy(update={"slots": {**release.slots, **said}}) if said else release
    return found


def losses(steps: Sequence[Step]) -> tuple[str, ...]:
    """What can't be taken back once these steps are undone."""
    return tuple(
        dict.fromkeys(
            f"{slot} {writer.reference} wrote session state {writer.provides[SESSION_STATE]}, which "
            f"{reader.reference} can't read: sessions that it served lose what they remembered since"
            for step in steps
            for track in step.after
            for slot, reader, writer in unreadable(step, track, back=True)
        )
    )


__all__ = [
    "SESSION_RELEASE",
    "Claims",
    "as_declared",
    "audience_of",
    "claims_of",
    "losses",
    "reads",
    "unreadable",
    "unsaid",
]
