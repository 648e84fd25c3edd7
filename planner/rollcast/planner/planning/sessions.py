"""Sessions outlive a request: which version of a slot can read the state that another one wrote.

`session-state` is a contract between successive versions of one slot. `provides` says what it writes, `requires` what
it can read; without `requires` it reads only what it writes itself. Where the new version can't read the old one's
state, sessions finish on the release that they began with: their requests carry its id in the attribute
`session_release`, which the data plane sets to the release that served a session's first request. Where the old version
can't read the new one's, a rollback loses it, and the plan says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rollcast.planner.base.values import satisfies
from rollcast.planner.contracts.edges import SESSION_STATE
from rollcast.planner.planning.steps import Step
from rollcast.planner.releases.releases import Release, SlotVersion

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


def unreadable(step: Step, line: str, *, back: bool) -> Iterator[tuple[str, SlotVersion, SlotVersion]]:
    """(slot, reader, writer) where a step (or, `back`, its rollback) meets state that it can't read."""
    before, after = step.before.get(line), step.after[line]
    for slot in step.group.slots if before else ():
        old, new = (before.slots.get(slot) if before else None), after.slots.get(slot)
        if old is None or new is None:
            continue
        reader, writer = (old, new) if back else (new, old)
        if not reads(reader, writer):
            yield slot, reader, writer


def losses(steps: Sequence[Step]) -> tuple[str, ...]:
    """What can't be taken back once these steps are undone."""
    return tuple(
        dict.fromkeys(
            f"{slot} {writer.reference} wrote session state {writer.provides[SESSION_STATE]}, which "
            f"{reader.reference} can't read: sessions that met it lose what they remembered since"
            for step in steps
            for line in step.after
            for slot, reader, writer in unreadable(step, line, back=True)
        )
    )


__all__ = ["SESSION_RELEASE", "audience_of", "losses", "reads", "unreadable"]
