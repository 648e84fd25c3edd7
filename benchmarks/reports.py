"""Reports stay small and quick: a plan of ten thousand instances, and the forecast of a million requests.

Each row is one report in both forms: what it weighs and how long it takes, beside planning or simulating what it shows,
all in one process and in the same run. The plan's digest, which every report names, is worked out once and counted with
the first form. `python -m benchmarks.reports [--instances N] [--requests N]`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from rollcast.cli.reports.content import report_of
from rollcast.cli.reports.markdown import LIMIT, markdown_of
from rollcast.cli.reports.subject import Named, Subject
from rollcast.planner.declaration.models import Declaration
from rollcast.planner.plan.models import Plan
from rollcast.planner.planning.planner import live_as_declared, make_plan
from rollcast.simulator.forecast.models import Forecast
from rollcast.simulator.forecast.simulate import simulate
from rollcast.simulator.traffic.recording import read_traffic
from rollcast.stacks.project import Project

EXAMPLE = Path(__file__).parents[1] / "examples" / "rag-search"
T = TypeVar("T")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", type=int, default=10_000)
    parser.add_argument("--requests", type=int, default=1_000_000)
    chosen = parser.parse_args()
    print("Seconds are of the processor (wall clock).\n")
    print("| report of | made in | Markdown | of the limit | in | HTML | in | report / making |")
    print("| --- | --: | --: | --: | --: | --: | --: | --: |")
    plan = timed(lambda: large_plan(chosen.instances))
    name = f"a plan of {chosen.instances:,} instances, {len(plan.made.operations):,} operations"
    row(name, Subject(plan.made), plan)
    small = example_plan()
    with tempfile.TemporaryDirectory() as folder:
        traffic = read_traffic([trace_of(Path(folder), chosen.requests)])
        forecast = timed(lambda: simulate(small, traffic, runs=1, seed=7, workers=1))
    subject = Subject(small, [Named("forecast", forecast.made)])
    row(f"a forecast of {len(traffic):,} requests, engine {forecast.made.engine}", subject, forecast)


@dataclass(frozen=True)
class Timed(Generic[T]):
    """What a call gave, and its seconds: of the processor and on the wall."""

    made: T
    cpu_s: float
    wall_s: float

    def __str__(self) -> str:
        return f"{self.cpu_s:.2f} s ({self.wall_s:.2f} s)"


def row(name: str, subject: Subject, source: Timed[Plan] | Timed[Forecast]) -> None:
    """One line of the table."""
    text, page = timed(lambda: markdown_of(subject)), timed(lambda: report_of(subject))
    size = len(text.made.encode())
    part = (text.cpu_s + page.cpu_s) / source.cpu_s
    print(
        f"| {name} | {source} | {size / 1024:.0f} KiB | {size / LIMIT:.0%} | {text} "
        f"| {len(page.made.encode()) / 1024:.0f} KiB | {page} | {part:.1%} |",
        flush=True,
    )


def timed(make: Callable[[], T]) -> Timed[T]:
    """Calls and times."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    made = make()
    return Timed(made, time.process_time() - cpu_s, time.perf_counter() - wall_s)


def large_plan(instances: int) -> Plan:
    """Pipelines of ten components each, every one with a new version: one new instance for each component."""
    pipelines = instances // 10
    slots = [f"c{i}" for i in range(10)]

    def declared(version: str) -> Declaration:
        components = {
            slot: {"artifact": f"{slot}@{version}", "upstream": slots[i - 1 : i] if i else []}
            for i, slot in enumerate(slots)
        }
        artifacts = [
            {"kind": "model-weights", "name": slot, "version": version, "digest": f"sha256:{i:01x}{ord(version):063x}"}
            for i, slot in enumerate(slots)
        ]
        named = {f"p{number}": {"components": components} for number in range(pipelines)}
        return Declaration.model_validate({"pipeline": "platform", "artifacts": artifacts, "pipelines": named})

    def digests(declaration: Declaration) -> dict[str, str]:
        return {artifact.reference: str(artifact.digest) for artifact in declaration.artifacts}

    before, after = declared("1"), declared("2")
    return make_plan(after, live_as_declared(before, digests(before)), "default", digests(after))


def example_plan() -> Plan:
    """The retrieval example's, from what is released to what is declared."""
    project = Project.open(EXAMPLE)
    live = live_as_declared(*project.sibling("released.yaml"))
    return make_plan(project.declaration, live, project.environment_name, project.digests)


def trace_of(folder: Path, requests: int) -> Path:
    """The example's recorded trace, over and over, to so many requests."""
    from datetime import datetime, timedelta

    header, *rows = (EXAMPLE / "traffic" / "AzureLLMInferenceTrace_conv.csv").read_text("utf-8").splitlines()
    first, last = (datetime.fromisoformat(row.split(",")[0][:26]) for row in (rows[0], rows[-1]))
    span = last - first + timedelta(seconds=1)
    path = folder / "trace.csv"
    with path.open("w", encoding="utf-8") as file:
        file.write(header + "\n")
        for number in range(requests):
            again, place = divmod(number, len(rows))
            at, _, tokens = rows[place].partition(",")
            file.write(f"{datetime.fromisoformat(at[:26]) + again * span},{tokens}\n")
    return path


if __name__ == "__main__":
    main()
