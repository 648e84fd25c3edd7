"""What each stage of a plan can detect with its traffic, before the rollout begins.

A margin that is beyond what its stage can detect is called out: such a gate would only ever hold or pass by luck.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from rollcast.planner.gates.growth import Baseline
from rollcast.planner.gates.power import Detectable, detectable_in_stage
from rollcast.planner.gates.stage import gates_part
from rollcast.planner.plan.models import Plan
from rollcast.planner.rollout.state_machine import arms_of, counts_of, specs_of, stage_alpha


@dataclass(frozen=True, slots=True)
class ArrivalRate:
    """Traffic of one audience of a track.

    `users_per_s` counts, over a stretch as long as a stage, each user once; `users` is how many there are at all.
    """

    users_per_s: float
    requests_per_s: float
    users: float = math.inf


@dataclass(frozen=True, slots=True)
class StagePower:
    """What the gates of one milestone can prove in time."""

    milestone: int
    title: str
    gates: tuple[Detectable, ...]

    @property
    def beyond(self) -> tuple[Detectable, ...]:
        """Gates that can't detect what their margin claims."""
        return tuple(gate for gate in self.gates if not gate.covers_margin)


def detect_by_stage(
    plan: Plan, arrivals: Mapping[tuple[str, str], ArrivalRate], baselines: Mapping[str, Baseline]
) -> tuple[StagePower, ...]:
    """Every stage that compares two releases and whose (track, audience) has arrivals.

    `baselines` says by metric what the release that serves now does; gates without one are left out.
    """
    found = []
    for milestone in plan.milestones:
        arms, specs = arms_of(plan, milestone.index), specs_of(plan, milestone)
        traffic = arrivals.get((arms.line, arms.audience)) if arms is not None else None
        if arms is None or arms.baseline is None or traffic is None or not specs:
            continue
        gates = detectable_in_stage(
            specs,
            split=arms.split,
            alpha=gates_part(stage_alpha(plan, milestone), counts_of(plan)),
            users_per_s=traffic.users_per_s,
            requests_per_s=traffic.requests_per_s,
            bake_max_s=milestone.bake_max_s,
            baselines=baselines,
            advance_alpha=plan.lines[arms.line].rollout.error_rate,
            audience_users=traffic.users,
        )
        found.append(StagePower(milestone.index, milestone.title, gates))
    return tuple(found)
