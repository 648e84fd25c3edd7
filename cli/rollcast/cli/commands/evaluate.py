"""`rollcast evaluate`: the declared suites on fixed releases, before anybody is served by them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from rollcast.cli import terminal
from rollcast.cli.inputs.options import project_of

if TYPE_CHECKING:
    from rollcast.stacks.rollout.evaluations import SuiteRun


def evaluate(
    context: typer.Context,
    release: Annotated[
        str | None, typer.Option("--release", metavar="R", help="The id of one declared release; else all.")
    ] = None,
    suite: Annotated[
        list[str] | None, typer.Option("--suite", metavar="NAME", help="This suite alone; again for more.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Run what was run before on the same release, too.")] = False,
    format_: Annotated[Literal["text", "json"], typer.Option("--format", help="How to write the results.")] = "text",
) -> None:
    """Run the declared evaluation suites on what is declared, and keep the results in the ledger."""
    from rollcast.stacks.base.errors import StackError
    from rollcast.stacks.rollout.evaluations import run_suites

    project = project_of(context)
    runs = []
    for run in run_suites(project, release, suite or (), again=again, progress=terminal.note):
        runs.append(run)
        if format_ == "text":
            for line in _lines(run):
                terminal.out(terminal.clean(line))
    if format_ == "json":
        terminal.out_json({"format_version": "1.0", "evaluations": [_json(run) for run in runs]})
    refused = [reason for run in runs for reason in run.refused]
    if refused:
        raise StackError(f"{'; '.join(refused)}. Improve the release, or correct the thresholds.")


def _lines(run: SuiteRun) -> list[str]:
    """A result as text: numbers against thresholds, counts by segment."""
    result = run.result
    how = "as it was run before" if run.known else f"{result.cases} cases"
    judge = f", judged by {result.judge}" if result.judge else ""
    seeds = f", seeds {', '.join(map(str, result.seeds))}" if result.seeds else ""
    cost = f", ${result.cost_usd:.4f}" if result.cost_usd is not None else ""
    lines = [f"{run.suite} on {run.release}: {how}{judge}{seeds}{cost}"]
    lines += [f"  {name} {value:.4g}" for name, value in sorted(result.metrics.items())]
    for metric, found in sorted(result.counts.items()):
        lines.append(f"  {metric}: {found.failures} of {found.total}")
        lines += [f"    {name}: {part.failures} of {part.total}" for name, part in sorted(found.segments.items())]
    return lines


def _json(run: SuiteRun) -> dict[str, Any]:
    return {
        "release": run.release,
        "suite": run.suite,
        "known": run.known,
        "refused": list(run.refused),
        "result": run.result.known,
    }


def register(app: typer.Typer) -> None:
    app.command()(evaluate)
