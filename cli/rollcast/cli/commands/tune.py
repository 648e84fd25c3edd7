"""`rollcast tune`: percentages and bakes that catch a harm in time, with the fewest users harmed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rollcast.cli import files, terminal
from rollcast.cli.commands.simulate import pairs, traffic_of
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
    from rollcast.cli.inputs.ways import PlannedWay
    from rollcast.planner.plan.models import Plan
    from rollcast.simulator.forecast.models import Detection, Forecast

Format = Literal["text", "json", "markdown"]
SHOWN = 3  # ways beside the declared one


def tune(
    context: typer.Context,
    within: Annotated[
        str | None,
        typer.Option("--within", metavar="TIME", help="It must be over by then, as 4h; else as long as declared."),
    ] = None,
    catch: Annotated[
        list[str] | None,
        typer.Option(
            "--catch", metavar="METRIC=DELTA[@COMPONENT]", help="A harm to catch; again for more. Else of each gate."
        ),
    ] = None,
    sure: Annotated[
        float, typer.Option("--sure", metavar="SHARE", help="In how many replays of it, from 0.5 to 1.", min=0.5, max=1)
    ] = 0.9,
    traffic: TrafficOption = None,
    runs: RunsOption = 20,
    seed: SeedOption = 0,
    scale: ScaleOption = 1.0,
    users: UsersOption = "synthetic",
    columns: ColumnsOption = None,
    workers: WorkersOption = None,
    from_: FromOption = None,
    format_: Annotated[Format, typer.Option("--format", help="How to write what was found.")] = "text",
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write it there, as JSON.")] = None,
) -> None:
    """Find a canary's percentages and bakes: what is caught in time, with the fewest users harmed."""
    from rollcast.cli.inputs.ways import declared_as, planned_as_declared, ways_of
    from rollcast.cli.output import tuning
    from rollcast.cli.reports.steps import steps_of, whole_course_s
    from rollcast.simulator.forecast import simulate as simulator
    from rollcast.simulator.stations.custom import load_stations
    from rollcast.simulator.traffic.recording import read_traffic
    from rollcast.simulator.tuning.search import TuningGoal, search

    project = project_of(context)
    load_stations(options_of(context).directory)
    declared = planned_as_declared(project, from_)
    found = traffic or traffic_of(options_of(context).directory)
    recorded = read_traffic(found, seed=seed, columns=pairs(columns, "--columns"), users=users).scaled(scale)
    harms = simulator.harms_of(declared.plan, recorded, catch or ())

    def course_s(plan: Plan) -> tuple[float, float]:
        return whole_course_s(plan, steps_of(plan))

    goal = TuningGoal(_seconds(within) if within else course_s(declared.plan)[1], sure)

    def calm(way: PlannedWay, runs: int, seed: int) -> Forecast:
        return simulator.simulate(way.plan, recorded, runs=runs, seed=seed, workers=workers, detect=0)

    def harmed(way: PlannedWay, replays: int, seed: int) -> tuple[Detection, ...]:
        return simulator.detect(way.plan, recorded, harms, replays, seed=seed, workers=workers)

    def whole(way: PlannedWay) -> Forecast:
        return simulator.simulate(
            way.plan, recorded, runs=runs, seed=seed + 2, workers=workers, detect=runs, harms=harms
        )

    made = ways_of(project, declared, from_, goal.within_s, lambda plan: course_s(plan)[0])
    ways, blocked = _allowed(made)
    ranked = search(ways, calm, harmed, goal, runs, seed, _report)
    chosen = ranked[0].way
    shown = {declared.name: declared} | {tried.way.name: tried.way for tried in ranked[:SHOWN]}
    forecasts = {name: whole(way) for name, way in shown.items()}
    answer = tuning.Tuned(
        chosen.name, declared_as(chosen), forecasts, goal, len(ways), blocked, options_of(context).file
    )
    if out is not None:
        files.write_json(out, tuning.json_of(answer), "What was found")
    if format_ == "json":
        terminal.out_json(tuning.json_of(answer))
    else:
        terminal.out(tuning.markdown_of(answer) if format_ == "markdown" else tuning.text_of(answer))


def _seconds(within: str) -> float:
    from rollcast.planner.base.values import duration_s
    from rollcast.stacks.base.errors import StackError

    try:
        found: float = duration_s(within)
    except ValueError as error:
        raise StackError(f"--within: {error}.") from None
    if found <= 0:
        raise StackError("--within: no rollout is over at once. Give it some time, as 4h.")
    return found


def _allowed(ways: Iterable[PlannedWay]) -> tuple[list[PlannedWay], Counter[str]]:
    """The declared way and every other that may be applied; how many others each guardrail forbids."""
    allowed: list[PlannedWay] = []
    blocked: Counter[str] = Counter()
    for way in ways:
        found = way.blocked if allowed else ()  # what is declared stands beside the rest in any case
        blocked.update(found)
        if not found:
            allowed.append(way)
    return allowed, blocked


def _report(ways: int, runs: int) -> None:
    terminal.note(f"{ways} ways, {runs} runs of each, and as many of each harm")


def register(app: typer.Typer) -> None:
    app.command()(tune)
