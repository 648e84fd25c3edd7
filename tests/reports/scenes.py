"""What report tests are made of: the retrieval example's plan, forecasts of it, and a ledger that has seen rollouts."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rollcast.planner.plan.models import Binding, Plan
from rollcast.planner.planning.planner import live_as_declared, make_plan
from rollcast.simulator.forecast.models import (
    Detection,
    Duration,
    Exposure,
    Forecast,
    Known,
    MetricForecast,
    Moment,
    OutcomeForecast,
    OutcomeIntervals,
    Reason,
    StageForecast,
    StationForecast,
)
from rollcast.stacks.ledger.rollouts import RolloutContext, begin, ledger_of
from rollcast.stacks.project import Project
from rollcast.stacks.state.live import read, target_at

EXAMPLE = Path(__file__).parents[2] / "examples" / "rag-search"


@cache
def example_plan() -> Plan:
    """From the example's released declaration to its declared one."""
    project = Project.open(EXAMPLE)
    live = live_as_declared(*project.sibling("released.yaml"))
    made = make_plan(project.declaration, live, project.environment_name, project.digests)
    return made.model_copy(update={"binding": Binding(tool_version="0.1.0")})


def forecast_for(plan: Plan, *, promoted: float = 0.93, runs: int = 200, slower: float = 1.0) -> Forecast:
    """A forecast with every part filled in, as `simulate` writes it. Numbers are invented, shapes are real."""
    rolled_back = round((1 - promoted) * 0.8, 6)
    stages = [_stage(plan, index, slower) for index in range(len(plan.milestones))]
    releases = list(
        dict.fromkeys(share.release for serving in plan.servings() for s in serving.values() for share in s)
    )
    return Forecast(
        plan_digest=plan.digest,
        seed=7,
        runs=runs,
        engine="compiled",
        requests=19_366,
        requests_replayed=19_366.0,
        outcome=OutcomeForecast(promoted=promoted, rolled_back=rolled_back, held=round(1 - promoted - rolled_back, 6)),
        outcome_interval=OutcomeIntervals(
            promoted=(promoted - 0.04, promoted + 0.03), rolled_back=(0.02, 0.1), held=(0.0, 0.03)
        ),
        duration_s=Duration(p50=3120.0 * slower, p95=3900.0 * slower),
        metrics=(
            _metric("error_rate", 0.0113, 0.0121, (-0.0004, 0.002), 0.0613),
            _metric("violation_rate", 0.0055, 0.0049, (-0.0012, 0.0001), 0.0555),
            _metric("latency_p50_s", 1.21, 1.32, (0.08, 0.14), None),
            _metric("latency_p95_s", 2.31 * slower, 2.58 * slower, (0.22, 0.33), 3.0 * slower),
            _metric("cost_usd", 0.0031, 0.0034, (0.0002, 0.0004), None),
        ),
        exposure=Exposure(
            requests=812.0, users=790.0, requests_interval=(620.0, 1010.0), users_interval=(604.0, 980.0)
        ),
        detection=(
            Detection(
                metric="violation_rate",
                regression=0.01,
                probability=0.98,
                seconds=1900.0,
                requests_exposed=431.0,
                users_exposed=420.0,
                probability_interval=(0.95, 0.995),
            ),
            Detection(
                metric="latency_p95_s",
                regression=0.5,
                probability=0.71,
                seconds=2600.0,
                requests_exposed=655.0,
                component="generator",
            ),
        ),
        stages=tuple(stages),
        reasons=(
            Reason(
                metric="error_rate",
                probability=rolled_back,
                example="error_rate is proved worse than the baseline: 17.8 % against 7.9 %",
            ),
        ),
        stations=(
            StationForecast(
                station="index/2",
                component="index",
                artifact="stdlib@2",
                utilization=0.62,
                requests=13_627.0,
                longest_queue=3.0,
            ),
        ),
        assumptions=("users are synthetic: 20,000 of them, drawn from seed 7 and the row",),
        warnings=(),
        traffic="AzureLLMInferenceTrace_conv.csv",
        pipeline=plan.pipeline,
        environment=plan.environment,
        runs_asked=runs,
        timeline=tuple(
            Moment(
                start_s=i * 40.0,
                seconds=40.0,
                requests=60,
                releases={releases[min(i * len(releases) // 80, len(releases) - 1)]: 60},
                share_intervals=dict.fromkeys(releases, (0.2, 0.9)),
            )
            for i in range(80)
        )
        if releases
        else (),
        evidence=tuple(
            Known(
                at_s=240.0 * stage.milestone + look,
                milestone=stage.milestone,
                metric=metric,
                difference=0.04 - 0.0002 * look,
                margin=0.05,
                e_value_harm=1 + 0.1 * look,
                e_value_limit=480.0,
            )
            for stage in stages
            if stage.exposed
            for look in range(0, 240, 40)
            for metric in ("error_rate", "violation_rate")
        ),
    )


def _metric(
    name: str, baseline: float, rollout: float, interval: tuple[float, float], limit: float | None
) -> MetricForecast:
    return MetricForecast(
        name=name,
        audience="everyone",
        baseline=baseline,
        rollout=rollout,
        difference=rollout - baseline,
        interval=interval,
        limit=limit,
        ok=limit is None or rollout <= limit,
    )


def _stage(plan: Plan, index: int, slower: float) -> StageForecast:
    milestone = plan.milestones[index]
    entered = 240.0 * index * slower
    exposed = 60.0 if milestone.gates else 0.0
    latency = _metric("latency_p95_s", 2.3 + 0.01 * index, 2.35 + 0.03 * index, (0.01, 0.12 + 0.02 * index), None)
    return StageForecast(
        milestone=index,
        title=milestone.title,
        reached=max(0.4, 1 - 0.01 * index),
        seconds=240.0 * slower,
        seconds_interval=(200.0, 300.0),
        requests=420.0,
        exposed=exposed,
        metrics=(latency,) if exposed else (),
        entered_s=entered,
        entered_interval_s=(0.85 * entered, 1.2 * entered),
    )


def project_copy(folder: Path) -> Path:
    """A copy of the example without its trace and state."""
    ignored = shutil.ignore_patterns(".rollcast", "__pycache__", "traffic")
    return Path(shutil.copytree(EXAMPLE, folder, ignore=ignored))


def rollout_in(folder: Path, reached: int, ended: str | None = None, plan: Plan | None = None) -> RolloutContext:
    """A rollout in the ledger of a project, as the driver writes it: `reached` milestones, ended or under way."""
    project = Project.open(folder)
    ledger = ledger_of(project)
    clock = Clock()
    ledger._clock = clock
    plan = plan or example_plan()
    live = read(target_at(folder, project.environment), project.declaration.each_pipeline())
    lease = ledger.acquire(take_over=True)
    work = begin(
        ledger, lease, plan, project.declaration, project.digests, live.routing, {"reason": "a test", "by": "tester"}
    )
    for milestone in plan.milestones[:reached]:
        clock.now_s += 232.0 if milestone.index else 4.0
        shares = [share.model_dump(mode="json") for shares in milestone.serving.values() for share in shares]
        body = {"milestone": milestone.index, "title": milestone.title, "rollback": False, "operations": []}
        kept = {"position": {"milestone": milestone.index, "cleared": False}, "tally": _tally(plan, milestone.index)}
        ledger.save(lease, work.id, kept, "reached", {**body, "serving": shares})
        if milestone.gates:
            ledger.save(
                lease, work.id, kept, "verdict", {"milestone": milestone.index, "gates": _gates(), "guards": []}
            )
    if ended is not None:
        body = {"outcome": ended, "reason": "every milestone is reached", "tally": _tally(plan, reached - 1)}
        ledger.save(lease, work.id, {"tally": body["tally"]}, "finished", body)
    ledger.release(lease)
    return work


@dataclass
class Clock:
    """A day in 2026, that moves only when a test moves it."""

    now_s: float = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now_s


def _tally(plan: Plan, index: int) -> dict[str, Any]:
    shares = [share for shares in plan.state_at(index).serving.values() for share in shares]
    return {"stage": {share.release: round(share.percent * 4) for share in shares}, "total": {}}


def _gates() -> list[dict[str, Any]]:
    return [
        {
            "metric": "error_rate",
            "verdict": "advance",
            "candidate_estimate": 0.011,
            "baseline_estimate": 0.012,
            "difference": -0.001,
            "interval": [-0.02, 0.018],
            "n_candidate": 320,
            "n_baseline": 900,
            "sentence": "error_rate is proved no more than 5.00 % worse: 1.10 % against 1.20 % (320 and 900 users)",
        }
    ]
