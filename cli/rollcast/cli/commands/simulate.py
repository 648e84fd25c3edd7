"""`rollcast simulate`: recorded traffic, replayed through a plan before it is applied."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rollcast.cli import files, terminal
from rollcast.cli.inputs.options import (
    ColumnsOption,
    FromOption,
    RunsOption,
    ScaleOption,
    SeedOption,
    TrafficOption,
    UsersOption,
    WorkersOption,
    options_of,
    project_of,
)

if TYPE_CHECKING:
    from rollcast.planner.plan.models import Plan
    from rollcast.simulator.forecast.models import Forecast
    from rollcast.simulator.forecast.simulate import Progress

Format = Literal["text", "json", "markdown", "html"]
Engine = Literal["auto", "simpy", "compiled"]
_RECORDED = (".csv", ".tsv", ".json", ".jsonl", ".parquet", ".gz", ".zst")


def simulate(
    context: typer.Context,
    plan: Annotated[Path | None, typer.Argument(metavar="[PLAN]", help="A saved plan; else plan now.")] = None,
    traffic: TrafficOption = None,
    runs: RunsOption = 20,
    seed: SeedOption = 0,
    scale: ScaleOption = 1.0,
    users: UsersOption = "synthetic",
    inject: Annotated[
        list[str] | None,
        typer.Option("--inject", metavar="METRIC=DELTA@COMPONENT", help="Make the new version that much worse."),
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option("--fault", metavar="KIND@COMPONENT:…", help="loss, slow or errors, as loss@llm:at=10m,for=5m."),
    ] = None,
    engine: Annotated[Engine, typer.Option("--engine", help="Which engine serves.")] = "auto",
    columns: ColumnsOption = None,
    warp: Annotated[
        str | None, typer.Option("--warp", metavar="10m=3,20m=1", help="From then on, so many times as fast.")
    ] = None,
    workers: WorkersOption = None,
    from_: FromOption = None,
    compare: Annotated[
        list[str] | None,
        typer.Option(
            "--compare", metavar="WAY", help="Beside it: 'percent=[1, 100] bake=1h', a declaration, or a saved plan."
        ),
    ] = None,
    format_: Annotated[Format, typer.Option("--format", help="How to write the forecast.")] = "text",
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write it there; with text, the forecast as JSON beside it."),
    ] = None,
) -> None:
    """Forecast a rollout: replay recorded traffic through the plan, its gates in the loop."""
    from rollcast.cli.inputs.guardrails import lines_of, refuse
    from rollcast.cli.output.forecast import text_of
    from rollcast.simulator.forecast import simulate as simulator
    from rollcast.simulator.stations.custom import load_stations
    from rollcast.simulator.traffic.recording import read_traffic

    made, recordings = _plan_and_traffic(context, plan, traffic, from_)
    recorded = read_traffic(recordings, seed=seed, columns=pairs(columns, "--columns"), users=users)
    if warp is not None:
        recorded = recorded.warped(_moments(warp))
    recorded = recorded.scaled(scale)
    load_stations(options_of(context).directory)
    _say_compiling(made, engine)

    def forecast_of(way: Plan) -> Forecast:
        return simulator.simulate(
            way, recorded, runs=runs, seed=seed, engine=engine, inject=inject or (), faults=fault or (),
            workers=workers, progress=_progress(runs),
        )  # fmt: skip

    if compare:
        _compare(context, made, plan, compare, from_, forecast_of, format_, out)
        return
    forecast = forecast_of(made)
    made = _judged(context, made, forecast)
    if format_ == "markdown" or format_ == "html":
        from rollcast.cli.reports.reproducing import command_of
        from rollcast.cli.reports.subject import Named, Subject
        from rollcast.cli.reports.writing import give

        give(Subject(made, [Named("forecast", forecast)], command=command_of(context)), format_, out)
        refuse(made, "simulate")
        return
    if out is not None:
        files.write_json(out, forecast.to_json(), "The forecast")
    if format_ == "json":
        terminal.out_json(forecast.to_json())
    else:
        terminal.out("\n".join([text_of(forecast), "", *lines_of(made)]).rstrip())
    refuse(made, "simulate")


def _compare(
    context: typer.Context,
    made: Plan,
    saved: Path | None,
    ways: list[str],
    from_: str | None,
    forecast_of: Callable[[Plan], Forecast],
    format_: Format,
    out: Path | None,
) -> None:
    """Forecasts of a plan and of other ways, side by side. No guardrail judges what is only compared."""
    from rollcast.cli.inputs.variants import AS_DECLARED, variant_of
    from rollcast.cli.output import comparing
    from rollcast.stacks.base.errors import StackError

    if format_ == "html":
        raise StackError("A comparison is text, JSON or Markdown. Choose one of them with --format.")
    if len(ways) >= comparing.MOST:
        raise StackError(f"{len(ways)} ways are too many to read. Name fewer than {comparing.MOST} with --compare.")
    project = project_of(context)
    plans = {str(saved) if saved is not None else AS_DECLARED: made}
    for text in ways:
        way = variant_of(project, text, from_)
        if way.name in plans:
            raise StackError(f"'{text}' is compared twice. Name each way once.")
        plans[way.name] = way.plan
    found: dict[str, Forecast] = {}
    for number, (name, way_plan) in enumerate(plans.items(), 1):
        terminal.note(f"{number} of {len(plans)}: {terminal.clean(name)}")
        found[name] = forecast_of(way_plan)
    if out is not None:
        files.write_json(out, comparing.json_of(found), "The forecast")
    if format_ == "json":
        terminal.out_json(comparing.json_of(found))
    else:
        terminal.out(comparing.markdown_of(found) if format_ == "markdown" else comparing.text_of(found))


def pairs(text: str | None, option: str) -> dict[str, str] | None:
    """From `time=ts,key=user`. Raises SimulatorError."""
    from rollcast.simulator.base.errors import SimulatorError

    if text is None:
        return None
    found: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if not equals or not value:
            raise SimulatorError(f"{option} takes name=value pairs, and '{part}' is none. Write for example time=ts.")
        found[name.strip()] = value.strip()
    return found


def _moments(text: str) -> list[tuple[float, float]]:
    """From `10m=3,20m=1`. Raises SimulatorError."""
    from rollcast.planner.base.values import duration_s
    from rollcast.simulator.base.errors import SimulatorError

    try:
        return [(duration_s(at), float(factor)) for at, factor in (pairs(text, "--warp") or {}).items()]
    except ValueError as error:
        raise SimulatorError(f"--warp {text}: {error}. Write for example 10m=3,20m=1.") from None


def _say_compiling(plan: Plan, engine: str) -> None:
    from rollcast.simulator.engines.choice import choose, must_compile
    from rollcast.simulator.stations.network import network_of

    if must_compile(choose(engine, network_of(plan))[0]):
        terminal.note("Compiling the simulator: a minute or two, once for each version of rollcast.")


def _judged(context: typer.Context, made: Plan, forecast: Forecast) -> Plan:
    """The plan judged with its forecast; as it was judged when it was saved, where its project is not here."""
    from rollcast.cli.inputs.guardrails import judged
    from rollcast.planner.base.errors import DeclarationError
    from rollcast.stacks.base.errors import StackError

    try:
        project = project_of(context)
        if made.binding.declaration_digest == project.declaration_digest:
            return judged(project, made, forecast)
    except (StackError, DeclarationError):
        pass
    terminal.note("The plan is not of the declaration here: its guardrails are those that it was saved with.")
    return made


def _plan_and_traffic(
    context: typer.Context, plan: Path | None, traffic: list[Path] | None, from_: str | None
) -> tuple[Plan, list[Path]]:
    from rollcast.cli.inputs.plans import plan_of, read_plan

    folder = options_of(context).directory
    recordings = traffic or traffic_of(folder)
    if plan is not None:
        return read_plan(plan), recordings
    return plan_of(project_of(context), from_).plan, recordings


def traffic_of(folder: Path) -> list[Path]:
    """The recorded traffic of a project."""
    return sorted(path for path in (folder / "traffic").glob("*") if path.suffix in _RECORDED)


def _progress(runs: int) -> Progress | None:
    import sys

    if runs < 2 or not sys.stderr.isatty():
        return None
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    bar = Progress(
        "simulating", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=Console(stderr=True),
        transient=True,
    )  # fmt: skip
    task = bar.add_task("", total=None)
    bar.start()

    def report(finished: int, requested: int) -> None:
        bar.update(task, completed=finished, total=requested)
        if finished == requested:
            bar.stop()

    return report


def register(app: typer.Typer) -> None:
    app.command()(simulate)
