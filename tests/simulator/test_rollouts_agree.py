"""A whole rollout, decided by the real gates, goes the same way on both engines: any plan, any traffic, bit for bit."""

from __future__ import annotations

import dataclasses

import numpy as np
from hypothesis import event, given, reject, settings
from hypothesis import strategies as st

from rollcast.planner.base.errors import PlannerError
from rollcast.planner.declaration.models import Declaration, Evaluation, Propagation
from rollcast.planner.gates.spec import GateSpec
from rollcast.planner.plan.models import Plan
from rollcast.planner.planning.planner import live_as_declared, make_plan
from rollcast.policies.strategies import transitions
from rollcast.policies.strategies.traffic import profiles, traffics
from rollcast.simulator.forecast.runs import rates_of
from rollcast.simulator.forecast.simulate import stage_of
from rollcast.simulator.replay.replay import Replay, replay
from rollcast.simulator.stations.profiles import parse
from rollcast.simulator.traffic.recording import Traffic

GATES = (
    GateSpec(metric="error_rate", margin=0.4, unit="request"),
    GateSpec(metric="violation_rate", margin=0.4, unit="request", min_samples=5, label_delay_s=100.0),
    GateSpec(metric="violation_rate", margin=0.2, unit="request", min_samples=5),
    GateSpec(metric="latency_p50_s", margin=1.0, unit="request"),
    GateSpec(metric="cost_usd", margin=0.01, unit="request"),
)
EVALUATIONS: tuple[dict[str, Evaluation], ...] = (
    {},
    {"violation_rate": Evaluation(failures=2, total=400)},
    {"violation_rate": Evaluation(failures=390, total=400)},  # a gate rolls back
)
LAPS_S = (10.0, 50.0)  # how often the drawn burst of requests comes again, at the most


@st.composite
def plans_with_profiles(draw: st.DrawFn) -> Plan:
    """Plans of one or two pipelines, their artifacts' stations drawn, watched by some of the gates."""
    transition = draw(transitions(max_slots=3, capacity=False, residency=False))
    found: dict[str, dict[str, object]] = {}
    evaluated: dict[str, dict[str, Evaluation]] = {}
    gates = tuple(draw(st.lists(st.sampled_from(GATES), unique_by=lambda gate: gate.metric, max_size=3)))

    def profiled(declaration: Declaration) -> Declaration:
        artifacts = []
        for artifact in declaration.artifacts:
            name = f"{artifact.kind}/{artifact.name}@{artifact.version}"
            if name not in found:
                found[name] = draw(profiles()).model_dump(mode="json", exclude_none=True)
                parse(found[name], name)
                evaluated[name] = draw(st.sampled_from(EVALUATIONS))
            artifacts.append(artifact.model_copy(update={"profile": found[name], "evaluations": evaluated[name]}))
        rule = declaration.rollout.model_copy(update={"gates": gates})
        return declaration.model_copy(update={"artifacts": tuple(artifacts), "rollout": rule})

    try:
        plan = make_plan(profiled(transition.declared), live_as_declared(profiled(transition.released)))
    except PlannerError:
        reject()
    if plan.empty:
        reject()
    return plan


@st.composite
def bursts(draw: st.DrawFn) -> Traffic:
    """Drawn requests of two kinds of users, again and again; each of another user, so that none dominates."""
    traffic = draw(traffics())
    requests = len(traffic)
    classes = ({"segment": "internal", "region": "eu"}, {"segment": "beta", "region": "us"})
    return dataclasses.replace(
        traffic,
        classes=classes,
        key=np.arange(requests),
        keys=tuple(f"user-{i}" for i in range(requests)),
        span_s=max(traffic.span_s, draw(st.sampled_from(LAPS_S))),
    )


def columns(found: Replay) -> dict[str, np.ndarray]:
    return dict(vars(found.request_log.columns))


PROPAGATIONS = st.none() | st.builds(
    lambda p50, times, replicas: Propagation(p50=p50, p99=p50 * times, replicas=replicas),
    st.floats(0.01, 20), st.floats(1, 10), st.integers(1, 5),
)  # fmt: skip


@settings(max_examples=25)  # each replays a whole rollout on the reference
@given(plans_with_profiles(), bursts(), st.integers(0, 2**53), PROPAGATIONS)
def test_a_rollout_goes_the_same_way_on_both_engines(
    plan: Plan, traffic: Traffic, seed: int, propagation: Propagation | None
) -> None:
    plan = plan.model_copy(update={"settings": plan.settings.model_copy(update={"propagation": propagation})})
    stage, _ = stage_of(plan, traffic)
    if stage.maker.name != "compiled":
        reject()
    rates = rates_of(stage, seed)
    reference, compiled = (
        replay(stage.inputs, dataclasses.replace(stage.maker, name=name).make(seed, True), seed, rates, beyond=False)
        for name in ("simpy", "compiled")
    )
    assert repr(dataclasses.replace(reference, request_log=None)) == repr(
        dataclasses.replace(compiled, request_log=None)
    )
    event(f"ends {reference.ending} {reference.metric}")
    for name, column in columns(reference).items():
        assert np.array_equal(column, columns(compiled)[name], equal_nan=column.dtype.kind == "f"), name
