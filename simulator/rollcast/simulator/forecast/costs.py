"""What a rollout costs in capacity, beside what the same time would cost without it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from rollcast.planner.base.wording import some_of
from rollcast.planner.capacity.prices import unneeded
from rollcast.planner.plan.models import Plan
from rollcast.simulator.forecast.intervals import spread
from rollcast.simulator.forecast.models import CapacityCost
from rollcast.simulator.forecast.runs import Run
from rollcast.simulator.replay.spending import rate_of


def cost_of(plan: Plan, runs: Sequence[Run]) -> CapacityCost | None:
    """The cost of these runs; None where the environment declares no prices."""
    if not plan.settings.prices_usd_per_hour:
        return None
    usd = np.array([run.usd for run in runs])
    lasted_h = float(np.mean([run.duration_s for run in runs])) / 3600
    before = rate_of(plan, plan.start_instances)
    return CapacityCost(
        usd=float(usd.mean()), usd_interval=spread(usd), baseline_usd=before * lasted_h, before_usd_per_hour=before,
        most_usd_per_hour=max(run.most_usd_per_hour for run in runs),
        after_usd_per_hour=rate_of(plan, plan.state_at(len(plan.milestones)).instances),
    )  # fmt: skip


def unneeded_prices(plan: Plan) -> Iterable[str]:
    """A price that nothing is reckoned with: a misspelt resource costs nothing in silence."""
    names = unneeded((slot for release in plan.releases.values() for slot in release.slots.values()), plan.settings)
    if names:
        yield (
            f"prices_usd_per_hour names {some_of(names)}, which no component needs: it costs nothing here. Declare "
            "'needs' of a component, or correct the name"
        )


__all__ = ["cost_of", "unneeded_prices"]
