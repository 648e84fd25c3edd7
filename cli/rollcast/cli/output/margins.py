"""Which margins the gates of a plan can detect with recorded traffic, as lines below the plan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rollcast.cli.terminal import paint
from rollcast.planner.rollout.detection import StagePower


def lines_of(stages: Sequence[StagePower]) -> Iterator[str]:
    """Every stage that can't detect what a margin claims; one line where all of them can."""
    yield paint("Margins, with this traffic", bold=True)
    beyond = [(stage, gate) for stage in stages for gate in stage.beyond]
    for stage, gate in beyond:
        yield paint(f"  {stage.milestone:>2}  {stage.title}: {gate.sentence}", "yellow")
    if beyond:
        yield "  Bake longer, widen the stage or the margin, or expect what 'bake.then' says."
    elif stages:
        slowest = max((gate for stage in stages for gate in stage.gates), key=lambda gate: gate.margin_s or 0.0)
        yield f"  every stage detects its margins; the slowest: {slowest.sentence}"
    else:
        yield "  no stage compares two releases on a metric with evaluation counts and traffic of its audience"


def json_of(stages: Sequence[StagePower]) -> list[dict[str, Any]]:
    """The same for scripts: durations in seconds, regressions in the metric's unit, null where never."""
    return [
        {
            "milestone": stage.milestone, "metric": gate.spec.metric, "split": gate.split, "within_s": gate.within_s,
            "margin": gate.spec.margin, "smallest": gate.smallest, "margin_s": gate.margin_s,
            "no_worse_s": gate.no_worse_s, "covers_margin": gate.covers_margin, "sentence": gate.sentence,
        }
        for stage in stages
        for gate in stage.gates
    ]  # fmt: skip
