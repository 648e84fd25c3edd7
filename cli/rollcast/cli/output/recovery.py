"""What a recovery found, and what it did: as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rollcast.cli.terminal import clean, paint
from rollcast.stacks.base.clock import moment
from rollcast.stacks.ledger.records import short_lineage

if TYPE_CHECKING:
    from rollcast.stacks.project import Project
    from rollcast.stacks.recovery.finding import RecoveryFinding
    from rollcast.stacks.recovery.taking_over import Recovery

FORMAT_VERSION = "1.0"


def found_in_words(project: Project, found: RecoveryFinding) -> Iterator[str]:
    """What the target says, and what can't be known."""
    body = found.body("", "", "")
    yield paint(f"{project.declaration.pipeline} in {project.environment_name}", bold=True)
    yield f"  the ledger: {clean(found.ledger.why)}"
    yield "  what the target serves now, which stays as it is:"
    for share in body.serving:
        percent = f"{share['percent']:g} % of {clean(share['audience'])}"
        yield f"    {clean(share['line'])}: {paint(share['release'], bold=True)}  {percent}"
    if not body.serving:
        yield "    nothing"
    for release, parts in body.releases.items():
        shown = ", ".join(f"{clean(slot)} {clean(reference)}" for slot, reference in parts.items())
        yield paint(f"      {release}: {shown}", dim=True)
    yield f"  {len(body.instances)} instances:"
    for folder, release in body.instances.items():
        yield f"    {clean(folder)}, made for {clean(release) or 'a release that it does not say'}"
    for text in body.edits:
        yield paint(f"  changed by hand: {text}", "yellow")
    for name, item in found.holdings.items():
        yield (
            f"  {clean(name)} was held by lineage {clean(short_lineage(item.lineage))}, "
            f"ledger {clean(item.ledger)}; {clean(item.driver)}, since {moment(item.since_s)}"
        )
    yield f"  fencing token {found.token} was the newest"
    yield "  what can't be known:"
    yield from (f"    {clean(text)}" for text in found.unknown())


def done_in_words(found: RecoveryFinding, done: Recovery | None) -> Iterator[str]:
    """The ledger that goes on, and what to do next."""
    if done is None:
        yield f"Nothing is to be recovered: the ledger is at hand, {clean(found.ledger.why)}."
    else:
        yield f"The ledger goes on at {clean(done.ledger)}, lineage {short_lineage(done.lineage)}."
        if done.body.aside:
            yield f"The old one is kept as {clean(done.body.aside)}."
    if not found.split:
        yield "'rollcast plan' shows the way from here to what is declared."
    for track, releases in found.split.items():
        yield f"{clean(track)} stays split between {' and '.join(releases)}. Move everybody to one of them:"
        yield from (f"  rollcast recover --to {release}" for release in releases)


def to_json(project: Project, found: RecoveryFinding, done: Recovery | None) -> dict[str, Any]:
    """The result for a script. `recovered`: whether this call took something over."""
    body = done.body if done is not None else found.body("", "", "")
    return {
        "format_version": FORMAT_VERSION,
        "pipeline": project.declaration.pipeline,
        "environment": project.environment_name,
        "recovered": done is not None,
        "state": found.ledger.state.value,
        "why": found.ledger.why,
        "ledger": done.ledger if done is not None else None,
        "lineage": done.lineage if done is not None else found.ledger.lineage,
        "token": done.token if done is not None else found.token,
        "aside": body.aside or None,
        "serving": body.serving,
        "releases": body.releases,
        "split": {track: list(releases) for track, releases in found.split.items()},
        "instances": body.instances,
        "holders": body.holders,
        "edits": body.edits,
        "unknown": body.unknown,
    }


__all__ = ["done_in_words", "found_in_words", "to_json"]
