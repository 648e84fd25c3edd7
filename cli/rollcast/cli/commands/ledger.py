"""`rollcast history`, `audit` and `compare`: what the ledger knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from rollcast.cli import files, terminal
from rollcast.cli.inputs.options import note_others, project_of
from rollcast.cli.terminal import clean, paint

if TYPE_CHECKING:
    from rollcast.stacks.ledger.audit import Audit

FormatOption = Annotated[Literal["text", "json"], typer.Option("--format", help="How to write it.")]


def history(context: typer.Context, format_: FormatOption = "text") -> None:
    """List every rollout of the environment, the newest first; exit 1 when the ledger was edited."""
    from rollcast.stacks.ledger.history import history as read_history
    from rollcast.stacks.ledger.rollouts import ledger_of

    project = project_of(context)
    note_others(project)
    found = read_history(ledger_of(project))
    if format_ == "json":
        terminal.out_json(found)
        return
    for rollout in found["rollouts"]:
        terminal.out("\n".join(_rollout(rollout)))
    for one in found.get("recoveries", ()):
        terminal.out("\n".join(_recovery(one)))
    terminal.out(f"{found['records']} records in an unbroken chain, head {(found['head'] or 'none')[:19]}")


def _recovery(one: Mapping[str, Any]) -> Iterator[str]:
    done = paint("recovered", "yellow", bold=True)
    yield f"{_time(one['time_s'])}  {done} by {clean(one['by'])}  {clean(one['reason'])}".rstrip()
    yield f"    {clean(one['ledger'])}"
    for share in one["serving"]:
        part = f"{share['percent']:g} % of {clean(share['audience'])}"
        yield f"    served then: {clean(share['line'])}: {share['release']}  {part}"
    yield from (paint(f"    not known: {text}", dim=True) for text in one["unknown"])


def _rollout(rollout: Mapping[str, Any]) -> Iterator[str]:
    colour = {"promoted": "green", "rolled_back": "red"}.get(rollout["outcome"])
    ended = paint((rollout["outcome"] or "under way").replace("_", " "), colour, bold=True)
    yield f"{_time(rollout['started_s'])}  {rollout['id']}  {ended}  {clean(rollout['why'])}".rstrip()
    for line, release in rollout["to_release"].items():
        yield f"    {clean(line)}: {rollout['from_release'].get(line) or 'nothing'} -> {release}"
    if rollout["reason"]:
        yield paint(f"    {rollout['reason']}", dim=True)
    if rollout["hotfix"]:
        yield paint(f"    hotfix: {rollout['hotfix']}", "yellow")
    if rollout["approved_by"]:
        yield f"    approved by {clean(', '.join(rollout['approved_by']))}"
    for failure in rollout["failures"]:
        yield paint(f"    failed: {failure}", "red")
    for text in rollout["drift"]:
        yield paint(f"    drift: {text}", "yellow")
    for order in rollout["orders"]:
        if order["order"] not in ("resume", "go on"):
            yield f"    order: {clean(order['order'])} by {clean(order.get('by', ''))} {clean(order.get('reason', ''))}"
    for one in rollout["confirmations"]:
        verb = "confirmed" if one["confirmed"] else "denied"
        why = f": {clean(one['reason'])}" if one["reason"] else ""
        yield f"    milestone {one['milestone']} {verb} by {clean(one['by'])}{why}"
    for one in rollout["retries"]:
        yield f"    may be tried again: {clean(one['reason'])} ({clean(one['by'])})"


def _time(seconds: float) -> str:
    from rollcast.stacks.base.clock import moment

    return moment(seconds)


def audit(
    context: typer.Context,
    at: Annotated[str | None, typer.Option("--at", metavar="TIME", help="ISO 8601, or seconds since 1970.")] = None,
    request: Annotated[str | None, typer.Option("--request", metavar="ID", help="A request's id.")] = None,
    between: Annotated[
        tuple[str, str] | None, typer.Option("--between", metavar="A B", help="Two times: an incident's window.")
    ] = None,
    reproduce: Annotated[
        Path | None, typer.Option("--reproduce", metavar="FILE", help="Write a declaration that gives it back.")
    ] = None,
    release: Annotated[
        str | None, typer.Option("--release", metavar="RELEASE", help="Which one to reproduce, where it was split.")
    ] = None,
    format_: FormatOption = "text",
) -> None:
    """Say which release, with which versions and digests, served at a time, for a request, or in a window."""
    from rollcast.cli.inputs.times import seconds_of
    from rollcast.stacks.base.errors import StackError
    from rollcast.stacks.ledger.audit import Audit
    from rollcast.stacks.ledger.rollouts import ledger_of
    from rollcast.stacks.telemetry import source_of

    if sum(value is not None for value in (at, request, between)) != 1:
        raise StackError("Ask for one thing: --at TIME, --request ID, or --between A B.")
    project = project_of(context)
    note_others(project)
    reading = Audit(ledger_of(project))
    if at is not None:
        found = reading.at(seconds_of(at))
    elif between is not None:
        found = reading.between(seconds_of(between[0]), seconds_of(between[1]))
    else:
        found = reading.request(str(request), source_of(project.environment.telemetry, project.folder))
    if reproduce is not None:
        _reproduce(reading, found, release, reproduce)
    if format_ == "json":
        terminal.out_json(found)
    else:
        terminal.out("\n".join(_answer(found)))
        if reproduce is not None:
            terminal.out(f"Written to {reproduce}. 'rollcast plan --file {reproduce}' shows how to get there.")


def _reproduce(reading: Audit, found: Mapping[str, Any], release: str | None, path: Path) -> None:
    """Writes the declaration. Raises StackError where what served can't be said in one."""
    from rollcast.stacks.base.errors import StackError
    from rollcast.stacks.ledger.reproduce import declaration_of

    name = release or found.get("release")
    if name is not None:
        work, one = reading.release(str(name))
        lines = [line for line, each in work.plan.lines.items() if each.pipeline == one.pipeline]
        line = next(
            (key for key in lines if work.plan.lines[key].channel == found.get("channel", "default")), lines[-1]
        )
        text = declaration_of(work, {line: one})
    elif "time_s" in found:
        text = declaration_of(*reading.releases_at(float(found["time_s"])))
    else:
        raise StackError("A window holds several configurations. Reproduce one moment of it: --at TIME.")
    files.write(path, text)


def _answer(found: Mapping[str, Any]) -> Iterator[str]:
    if "periods" in found:
        for period in found["periods"]:
            yield paint(f"{_time(period['from_s'])} to {_time(period['to_s'])}", bold=True)
            yield from _served(period)
    elif "request" in found:
        yield paint(f"request {found['request']}, {_time(found['time_s'])}: {found['release']}", bold=True)
        yield from _versions(found)
        if found["whole"] is False:
            yield paint("  MIXED: what served it is not what its release is made of", "red")
    else:
        yield paint(f"{_time(found['time_s'])}, since {_time(found['since_s'])} ({found['rollout']})", bold=True)
        yield from _served(found)


def _served(period: Mapping[str, Any]) -> Iterator[str]:
    for share in period["serving"]:
        yield f"  {clean(share['line'])}: {share['percent']:g} % of {clean(share['audience'])} by {share['release']}"
    for name, release in period["releases"].items():
        yield f"  {name}"
        yield from _versions(release)
    for title in period["moving"]:
        yield paint(f"  on the way then: {title}", "yellow")


def _versions(release: Mapping[str, Any]) -> Iterator[str]:
    for slot, part in release["components"].items():
        yield f"    {clean(slot)}: {clean(part['artifact'])} ({part['kind']}) {part['digest'][:19]}{_pinned(part)}"
    for flag, value in release["flags"].items():
        yield f"    flag {clean(flag)}: {value!r}"


def _pinned(part: Mapping[str, Any]) -> str:
    return f" ({part['pinned']})" if "pinned" in part else ""


def compare(
    context: typer.Context,
    forecast: Annotated[Path, typer.Argument(metavar="FORECAST", help="A saved forecast of a plan that was applied.")],
    format_: FormatOption = "text",
) -> None:
    """Compare a forecast with what the rollout then really did."""
    from rollcast.cli.inputs.saved import read_forecast
    from rollcast.cli.output.rollout import finite
    from rollcast.stacks.ledger.compare import compare as comparing
    from rollcast.stacks.ledger.compare import summary
    from rollcast.stacks.ledger.rollouts import ledger_of
    from rollcast.stacks.telemetry import source_of

    project = project_of(context)
    note_others(project)
    source = source_of(project.environment.telemetry, project.folder)
    found = comparing(ledger_of(project), read_forecast(forecast), source)
    if format_ == "json":
        terminal.out_json(finite(found))
        return
    terminal.out("\n".join(_compared(found)))
    inside, known = summary(found)
    terminal.out(f"{inside} of {known} figures fell inside their forecast intervals.")


def _compared(found: Mapping[str, Any]) -> Iterator[str]:
    outcome = found["outcome"]
    yield paint(f"{found['rollout']}: {outcome['actual'].replace('_', ' ')}", bold=True)
    yield f"  outcome      forecast {outcome['forecast'] * 100:.0f} % for what happened"
    yield f"  duration     {_figure(found['duration_s'], 's')}"
    for name, figure in found["exposure"].items():
        yield f"  {name:<12} {_figure(figure, 'exposed')}"
    for milestone in found["milestones"]:
        entered = _figure(milestone["entered_s"], "s")
        yield f"  milestone {milestone['milestone']:<2} {entered}  {clean(milestone['title'])}"
    for metric in found["metrics"]:
        yield f"  {clean(metric['name'])}: difference {_figure(metric['difference'], '')}"


def _figure(figure: Mapping[str, Any], unit: str) -> str:
    def shown(value: float | None) -> str:
        return "unknown" if value is None else f"{value:.4g}"

    mark = {True: paint("inside", "green"), False: paint("outside", "yellow"), None: ""}[figure["inside"]]
    interval = figure["interval"]
    between = f" ({shown(interval[0])} to {shown(interval[1])})" if interval else ""
    return f"forecast {shown(figure['forecast'])}{between}, actual {shown(figure['actual'])} {unit} {mark}".rstrip()


def register(app: typer.Typer) -> None:
    for command in (history, audit, compare):
        app.command()(command)
