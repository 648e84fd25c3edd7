"""The same forecast on a local Ray."""

from __future__ import annotations

import joblib
import pytest
import ray
from ray.util.joblib import register_ray

from rollcast.planner.plan.models import Plan
from rollcast.simulator.forecast.simulate import simulate
from rollcast.simulator.traffic.recording import Traffic


@pytest.mark.slow
def test_ray_gives_the_numbers_of_one_process(harmful_plan: Plan, azure_hour: Traffic) -> None:
    minute = azure_hour.between(0.0, 30.0)
    alone = simulate(harmful_plan, minute, runs=4, seed=5, workers=1, detect=1)
    register_ray()
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        with joblib.parallel_config("ray"):
            spread = simulate(harmful_plan, minute, runs=4, seed=5, workers=2, detect=1)
    finally:
        ray.shutdown()
    assert spread == alone
