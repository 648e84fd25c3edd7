"""Every environment in sequence, as text: what serves in each, and whether what is declared may enter it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rollcast.cli.terminal import clean, paint
from rollcast.stacks.base.clock import moment
from rollcast.stacks.eligibility.rule import lasting

Report = Mapping[str, Any]


def text_of(report: Report) -> str:
    """A report of all environments for people."""
    return "\n".join(_lines(report))


def _lines(report: Report) -> Iterator[str]:
    declared = ", ".join(
        release if len(report["declared"]) == 1 else f"{clean(line)} {release}"
        for line, release in report["declared"].items()
    )
    yield f"{paint(report['pipeline'], bold=True)}, declared: {declared}"
    for one in report["environments"]:
        yield ""
        yield f"{paint(one['environment'], bold=True)}{_rule(one['after'])}"
        yield from _environment(one)


def _rule(after: Mapping[str, Any] | None) -> str:
    """What an environment asks of a release, behind its name."""
    if after is None:
        return ""
    rule = f"  after {clean(after['environment'])}"
    rule += f" for {lasting(after['for_s'])}" if after["for_s"] else ""
    if after["approved_by"]:
        rule += f", approved by {after['approvals']} of {clean(', '.join(after['approved_by']))}"
    return rule + (", hotfix allowed" if after["hotfix"] == "allowed" else "")


def _environment(one: Report) -> Iterator[str]:
    if one["problem"]:
        yield paint(f"  {one['problem']}", "yellow")
        return
    since = {(each["line"], each["release"]): each for each in one["served"]}
    if not one["serving"]:
        yield "  nothing is served"
    for share in one["serving"]:
        known = since.get((share["line"], share["release"]))
        for_ = f", promoted {moment(known['since_s'])}, served for {lasting(known['served_s'])}" if known else ""
        yield (
            f"  {clean(share['line'])}: {paint(share['release'], bold=True)}  {share['percent']:g} % of "
            f"{clean(share['audience'])}{for_}"
        )
    rollout = one["rollout"]
    if rollout is not None and rollout["outcome"] is None:
        yield f"  rollout {rollout['id']} is under way: {clean(rollout['stand'])}"
    for note in one["notes"]:
        yield paint(f"  {note}", "yellow")
    yield from _entering(one)


def _entering(one: Report) -> Iterator[str]:
    """Whether what is declared may enter, where it does not serve already."""
    if not one["waits"]:
        yield "  what is declared serves here"
        return
    found = one["eligibility"]
    if found is None:
        yield "  what is declared may be applied here at any time"
        return
    for approval in (found["approvals"] or {}).get("given", ()):
        who = f"{clean(approval['by'])} at {moment(approval['time_s'])} {clean(approval['reason'])}"
        yield f"  approved by {who}".rstrip()
    if found["eligible"]:
        yield paint("  eligible: what is declared may be applied here now", "green")
    else:
        yield paint(f"  {found['reason']}", "yellow")
