"""What a forecast can assume: injected regressions, and faults of the world.

`METRIC=DELTA@COMPONENT` makes the new version of a component worse by DELTA: a rate or a mean by its value, a latency
by seconds. It happens in the rollout alone. `KIND@COMPONENT:at=TIME,for=TIME,…` is a fault, and the world without the
rollout has it too: `loss` (`replicas=N`), `slow` (`factor=X`), `errors` (`rate=P`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from rollcast.planner.base.errors import did_you_mean
from rollcast.planner.base.values import duration_s
from rollcast.planner.plan.models import Plan
from rollcast.simulator.base.draws import Floats
from rollcast.simulator.base.errors import SimulatorError
from rollcast.simulator.engines.interface import CapacityChange, Disturbances, Slowdown
from rollcast.simulator.replay.outcomes import Metric
from rollcast.simulator.stations.network import OVERHEAD, Network

_INJECTION = re.compile(r"(?P<metric>[A-Za-z0-9_]+)=(?P<delta>[-+]?[0-9.]+(?:e-?[0-9]+)?)@(?P<component>[\w.-]+)")
_FAULT = re.compile(r"(?P<kind>[a-z]+)@(?P<component>[\w.-]+?)(?::(?P<options>.*))?")
_LATENCY = re.compile(r"(latency|ttft)_p\d+(_\d)?_s")


class FaultKind(StrEnum):
    """What can go wrong with a station."""

    LOSS = "loss"
    SLOW = "slow"
    ERRORS = "errors"


_OPTIONS: Mapping[FaultKind, frozenset[str]] = {
    FaultKind.LOSS: frozenset({"at", "for", "replicas"}),
    FaultKind.SLOW: frozenset({"at", "for", "factor"}),
    FaultKind.ERRORS: frozenset({"at", "for", "rate"}),
}


@dataclass(frozen=True)
class Injection:
    """A regression of the new version of a component."""

    metric: str
    delta: float
    component: str

    @property
    def latency(self) -> bool:
        return _LATENCY.fullmatch(self.metric) is not None

    def __str__(self) -> str:
        return f"{self.metric}={self.delta:+g}@{self.component}"


def parse_injection(text: str, plan: Plan, metrics: Sequence[Metric]) -> Injection:
    """From `violation_rate=+0.02@safety`. Raises SimulatorError."""
    found = _INJECTION.fullmatch(text)
    if found is None:
        raise SimulatorError(f"'{text}' is no injection. Write METRIC=DELTA@COMPONENT, as violation_rate=0.02@safety.")
    injection = Injection(found["metric"], float(found["delta"]), found["component"])
    known = [metric.name for metric in metrics] + ["latency_p95_s"]
    if not injection.latency and injection.metric not in known:
        raise SimulatorError(f"No outcome of '{injection.metric}' is drawn, as no gate reads it. "
                             f"{did_you_mean(injection.metric, known)}")  # fmt: skip
    changed = changed_slots(plan)
    if not _own(injection.component, changed):
        raise SimulatorError(
            f"'{injection.component}' does not change in this plan. {did_you_mean(injection.component, changed)}"
        )
    return injection


def changed_slots(plan: Plan) -> tuple[str, ...]:
    """Slots whose new release has another version than what serves."""
    return tuple(dict.fromkeys(change.component for change in plan.changes if change.action != "delete"))


def _own(component: str, slots: Sequence[str]) -> list[str]:
    """The slot of that name and what is attached to it."""
    return [slot for slot in slots if slot == component or slot.startswith(component + ".")]


def carriers(plan: Plan, network: Network, component: str) -> list[int]:
    """Paths of releases that have a new version of a component."""
    before = {share.release for shares in plan.start.values() for share in shares}
    old = {slot: set[str]() for slot in changed_slots(plan)}
    for release in before:
        for slot in old:
            if slot in plan.releases[release].slots:
                old[slot].add(plan.releases[release].slots[slot].identity)
    found = []
    for index, path in enumerate(network.paths):
        slots = plan.releases[path.release].slots
        if any(slot in slots and slots[slot].identity not in old[slot] for slot in _own(component, list(old))):
            found.append(index)
    return found


def inject_rates(
    rates: Floats, injections: Sequence[Injection], plan: Plan, network: Network, metrics: Sequence[Metric]
) -> None:
    """Makes the failure rates [metric, path, segment] of releases with the new version worse, in place."""
    for injection in injections:
        for m, metric in enumerate(metrics):
            if metric.name != injection.metric:
                continue
            worse = injection.delta / (metric.high - metric.low) * (-1 if metric.better == "higher" else 1)
            for path in carriers(plan, network, injection.component):
                rates[m, path] = (rates[m, path] + worse).clip(0.0, 1.0)


def slowness(injections: Sequence[Injection], plan: Plan, network: Network) -> tuple[Slowdown, ...]:
    """Injected latency at the stations that only the new version has. Raises SimulatorError where it has none."""
    found: list[Slowdown] = []
    for injection in injections:
        if not injection.latency:
            continue
        new = carriers(plan, network, injection.component)
        old = {step.station for i, path in enumerate(network.paths) if i not in new for step in path.steps}
        stations = {step.station for i in new for step in network.paths[i].steps
                    if step.slot == injection.component and step.station not in old}  # fmt: skip
        if not stations:
            raise SimulatorError(
                f"{injection}: the new version of {injection.component} runs on no station of its own, so it can't be "
                "slower than the old one. Name a component whose instance changes."
            )
        found += [Slowdown(station, 0.0, float("inf"), added_s=injection.delta) for station in sorted(stations)]
    return tuple(found)


def parse_faults(texts: Sequence[str], network: Network) -> Disturbances:
    """From `loss@generator:at=10m,for=5m,replicas=1` and its like. Raises SimulatorError."""
    capacity: list[CapacityChange] = []
    slow: list[Slowdown] = []
    for text in texts:
        kind, component, options = _parse_fault(text)
        stations = [i for i, spec in enumerate(network.stations) if spec.slot == component]
        if not stations:
            known = sorted({spec.slot for spec in network.stations if not spec.slot.endswith(OVERHEAD)})
            raise SimulatorError(f"'{text}': no station serves '{component}'. {did_you_mean(component, known)}")
        at_s, lasts_s = _time(options.get("at", "0"), text), _time(options["for"], text) if "for" in options else None
        end_s = float("inf") if lasts_s is None else at_s + lasts_s
        for station in stations:
            match kind:
                case FaultKind.LOSS:
                    spec = network.stations[station]
                    down = min(int(_number(options.get("replicas", "1"), text)), spec.replicas)
                    capacity.append(CapacityChange(at_s, station, down))
                    if lasts_s is not None:
                        capacity.append(CapacityChange(end_s + spec.profile.start_s, station, 0))
                case FaultKind.SLOW:
                    factor = _number(options.get("factor", "2"), text)
                    slow.append(Slowdown(station, at_s, end_s, factor=factor))
                case FaultKind.ERRORS:
                    rate = min(_number(options.get("rate", "0.1"), text), 1.0)
                    slow.append(Slowdown(station, at_s, end_s, errors=rate))
                case _:
                    assert_never(kind)
    return Disturbances(tuple(sorted(capacity, key=lambda change: change.at_s)), tuple(slow))


def _parse_fault(text: str) -> tuple[FaultKind, str, dict[str, str]]:
    found = _FAULT.fullmatch(text)
    if found is None or found["kind"] not in [*FaultKind]:
        kinds = ", ".join(FaultKind)
        raise SimulatorError(f"'{text}' is no fault. Write KIND@COMPONENT:at=10m,for=5m with a KIND of {kinds}.")
    kind, options = FaultKind(found["kind"]), dict[str, str]()
    known = _OPTIONS[kind]
    for part in filter(None, (found["options"] or "").split(",")):
        name, _, value = part.partition("=")
        if name.strip() not in known or not value:
            raise SimulatorError(f"'{text}': '{part}' is no option of {kind}. {did_you_mean(name, known)}")
        options[name.strip()] = value.strip()
    return kind, found["component"], options


def _time(text: str, place: str) -> float:
    try:
        seconds: float = duration_s(text if not text.replace(".", "").isdigit() else float(text))
    except ValueError as error:
        raise SimulatorError(f"'{place}': {error}.") from None
    return seconds


def _number(text: str, place: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise SimulatorError(f"'{place}': '{text}' is not a number.") from None
    if not 0 <= value < float("inf"):
        raise SimulatorError(f"'{place}': {text} is not possible; give a number of at least 0.")
    return value
