"""What serves whom, and how that compares with what is desired, as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rollcast.cli.terminal import clean, paint
from rollcast.stacks.rollout.evidence import LEFT_OUT

Report = Mapping[str, Any]
_NOT_COUNTED: Mapping[str, str] = {**LEFT_OUT, "repeated": "repeated"}


def text_of(report: Report) -> str:
    """A status report for people."""
    return "\n".join(_lines(report))


def _lines(report: Report) -> Iterator[str]:
    yield paint(f"{report['pipeline']} in {report['environment']}", bold=True)
    for note in report["notes"]:
        yield paint(f"  {note}", "yellow")
    if not report["serving"]:
        yield "  nothing is served"
    for share in report["serving"]:
        percent = f"{share['percent']:g} % of {clean(share['audience'])}"
        yield f"  {clean(share['line'])}: {paint(share['release'], bold=True)}  {percent}"
    yield from _components(report)
    yield from _rollout(report)
    if report["measured"]["requests"]:
        yield measured(report["measured"])
    else:
        yield from _warned(report["measured"])


def _components(report: Report) -> Iterator[str]:
    for release, components in report["releases"].items():
        shown = ", ".join(f"{slot} {reference}" for slot, reference in components.items())
        yield paint(f"      {release}: {shown}", dim=True)


def _rollout(report: Report) -> Iterator[str]:
    rollout = report["rollout"]
    if rollout is None:
        return
    if rollout["outcome"] is not None:
        yield f"  last rollout {rollout['id']}: {rollout['outcome'].replace('_', ' ')}; {clean(rollout['reason'])}"
        return
    yield f"  rollout {rollout['id']} is under way: {clean(rollout['stand'])}"
    if rollout["held"]:
        yield paint(f"    held: {rollout['held']}", "yellow")
    for gate in rollout["gates"]:
        yield f"    {gate['verdict'].replace('_', ' ')}: {clean(gate['sentence'])}"
    for guard in rollout["guards"]:
        if not guard["ok"]:
            yield paint(f"    {guard['sentence']}", "yellow")


def measured(found: Mapping[str, Any]) -> str:
    """Desired beside measured for each release of the stage, and how many requests got a mixed configuration."""
    lines = []
    for share in found["shares"]:
        desired = "no share desired" if share["asked"] is None else f"{share['asked'] * 100:.4g} % desired"
        got = "nothing measured" if share["measured"] is None else f"{share['measured'] * 100:.2f} % measured"
        since = f"{share['requests']} requests since the last shift"
        lines.append(f"  {clean(share['release'])}: {desired}, {got} ({since})")
    lines.append(
        f"  {found['requests']} requests served in this rollout, {found['mixed']} of them by a mixed configuration"
    )
    return "\n".join([*lines, *_warned(found)])


def _warned(found: Mapping[str, Any]) -> Iterator[str]:
    return (paint(f"  {text}", "yellow") for text in not_judged(found))


def not_judged(found: Mapping[str, Any]) -> Iterator[str]:
    """What telemetry brought that can't be attributed: requests without a key, records that were left out."""
    if found.get("keyless"):
        yield f"{found['keyless']} requests carry no targeting key: no user is known for them"
    reasons = [f"{found[name]} {why}" for name, why in _NOT_COUNTED.items() if found.get(name)]
    if reasons:
        yield f"left out of telemetry: {', '.join(reasons)}"
    if found.get("forgotten"):
        yield f"{found['forgotten']} request ids are no longer known: a repeat of so old a record would count again"
    if found.get("crowded"):
        yield (
            f"the table of users is {found['crowded']:.0%} full: a new user is left out with that chance, by the key's "
            "hash alone"
        )
