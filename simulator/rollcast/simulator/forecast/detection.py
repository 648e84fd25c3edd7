"""Detection power: the regressions that this very rollout would catch, how soon, and at what cost.

For each metric that a gate watches, the new version of one changed component is made worse by the gate's margin, and by
twice that, and the rollout is replayed. Caught is what that metric's own gate rolls back. The component is one
that has evaluation counts for the metric where such a one changes, else the first that changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rollcast.planner.base.errors import did_you_mean
from rollcast.planner.gates.spec import GateSpec, MetricKind
from rollcast.simulator.base.errors import SimulatorError
from rollcast.simulator.engines.interface import Disturbances
from rollcast.simulator.forecast.intervals import share_interval, spread
from rollcast.simulator.forecast.models import Detection
from rollcast.simulator.forecast.runs import RunInputs, rates_of, seed_of
from rollcast.simulator.replay.faults import Injection, carriers, changed_slots, parse_injection, slowness
from rollcast.simulator.replay.replay import replay

SIZES = (1.0, 2.0)  # in margins: at one margin alone a harm is not what a gate is there to catch
_OWN = 1 << 20  # detection's runs have luck of their own


@dataclass(frozen=True)
class DetectionCase:
    """One regression to look for."""

    gate: GateSpec
    injection: Injection


@dataclass(frozen=True)
class DetectionResult:
    """One replay of it."""

    caught: bool
    seconds: float
    requests: int
    users: int


def questions(stage: RunInputs, sizes: Sequence[float] = SIZES) -> list[DetectionCase]:
    """Every regression that can be injected, of these sizes in margins of its gate."""
    plan = stage.inputs.plan
    found: dict[tuple[str, float], DetectionCase] = {}
    for track in plan.lines.values():
        for gate in track.rollout.gates:
            component = _component(stage, gate)
            for size in sizes:
                lower = gate.better == "higher" and gate.kind in (MetricKind.MEAN, MetricKind.RATE)
                worse = gate.margin * size * (-1 if lower else 1)
                injection = Injection(gate.metric, worse, component) if component else None
                if injection is not None and _possible(stage, gate, injection):
                    found.setdefault((gate.metric, size), DetectionCase(gate, injection))
    return list(found.values())


def named(stage: RunInputs, texts: Sequence[str]) -> list[DetectionCase]:
    """Regressions as a person names them, `METRIC=DELTA` or `METRIC=DELTA@COMPONENT`. Raises SimulatorError."""
    gates = {gate.metric: gate for track in stage.inputs.plan.lines.values() for gate in track.rollout.gates}
    found = []
    for text in texts:
        gate = gates.get(text.partition("=")[0])
        if gate is None:
            raise SimulatorError(f"No gate watches what '{text}' makes worse. {did_you_mean(text, gates)}")
        where = "" if "@" in text else f"@{_component(stage, gate) or ''}"
        injection = parse_injection(text + where, stage.inputs.plan, stage.inputs.metrics)
        if not _possible(stage, gate, injection):
            raise SimulatorError(f"'{text}' can't be replayed: nothing that changes could make {gate.metric} worse.")
        found.append(DetectionCase(gate, injection))
    return found


def _component(stage: RunInputs, gate: GateSpec) -> str | None:
    changed = changed_slots(stage.inputs.plan)
    for slot in changed:
        for release in stage.inputs.plan.releases.values():
            if slot in release.slots and gate.metric in release.slots[slot].artifact.evaluations:
                return slot
    own = [slot for slot in changed if any(spec.slot == slot for spec in stage.inputs.network.stations)]
    return next(iter(own if gate.kind is MetricKind.QUANTILE else changed), None)


def _possible(stage: RunInputs, gate: GateSpec, injection: Injection) -> bool:
    if gate.kind is MetricKind.QUANTILE:
        try:
            return bool(slowness([injection], stage.inputs.plan, stage.inputs.network)) and injection.latency
        except SimulatorError:
            return False
    return any(metric.name == gate.metric for metric in stage.inputs.metrics)


def ask(stage: RunInputs, question: DetectionCase, seed: int, run: int) -> DetectionResult:
    """One replay of a regression."""
    own = seed_of(seed, _OWN + run)
    injections = [*stage.injections, question.injection]
    maker = replace(
        stage.maker, injected=Disturbances(slow=slowness(injections, stage.inputs.plan, stage.inputs.network))
    )
    rates = rates_of(replace(stage, injections=tuple(injections)), own)
    found = replay(stage.inputs, maker.make(own, True), own, rates, beyond=False)
    bad = carriers(stage.inputs.plan, stage.inputs.network, question.injection.component)
    requests = np.arange(found.requests, dtype=np.int64)
    exposed = requests[np.isin(found.request_log.columns.path[requests], bad)]
    began_s = float(found.request_log.columns.arrival_s[exposed[0]]) if len(exposed) else found.duration_s
    users = len(np.unique(stage.inputs.traffic.key[found.request_log.row(exposed)]))
    caught = found.ending == "rolled_back" and found.metric == question.gate.metric
    return DetectionResult(caught, found.duration_s - began_s, len(exposed), users)


def detection_of(question: DetectionCase, answers: Sequence[DetectionResult]) -> Detection:
    """What the replays of one regression say."""
    caught = [answer for answer in answers if answer.caught]
    seconds, requests, users = (
        np.array([getattr(answer, name) for answer in caught], np.float64) for name in ("seconds", "requests", "users")
    )
    return Detection(
        metric=question.gate.metric, regression=question.injection.delta, component=question.injection.component,
        replays=len(answers), probability=len(caught) / len(answers),
        probability_interval=share_interval(len(caught), len(answers)),
        seconds=float(np.median(seconds)) if caught else None, seconds_interval=spread(seconds),
        requests_exposed=float(requests.mean()) if caught else None, requests_interval=spread(requests),
        users_exposed=float(users.mean()) if caught else None, users_interval=spread(users),
        users_harmed=float(np.mean([answer.users for answer in answers])),
    )  # fmt: skip
