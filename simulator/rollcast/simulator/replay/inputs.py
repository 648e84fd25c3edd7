"""What all replays of one forecast share: plan, network, traffic, and what follows from them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rollcast.planner.base.keys import unit_of
from rollcast.planner.plan.models import Plan
from rollcast.planner.rollout.state_machine import trials_of
from rollcast.simulator.base.draws import Floats, Ints
from rollcast.simulator.replay.outcomes import Metric
from rollcast.simulator.replay.routing import Routing
from rollcast.simulator.stations.network import Network
from rollcast.simulator.traffic.recording import Traffic

Units = npt.NDArray[np.uint64]


class ReplayInputs:
    """What all replays of one forecast share: plan, network, traffic, routing, prices, metrics."""

    def __init__(self, plan: Plan, network: Network, traffic: Traffic, metrics: Sequence[Metric]) -> None:
        self.plan, self.network, self.traffic, self.metrics = plan, network, traffic, tuple(metrics)
        self.routing = Routing(plan, network, traffic)
        self.units = np.array([unit_of(key) for key in traffic.keys], np.uint64)
        self.delays = _delays(plan)
        self.trials = trials_of(plan)
        self.timeout_s = {track.id: track.rollout.timeout for track in plan.lines.values()}
        self.prices = _prices(network)
        self.segments = _segments(plan)
        self.segment = _segment_of_class(traffic, self.segments)[traffic.attributes]

    def unit(self, rows: Ints) -> Units:
        """Hashed targeting keys of rows."""
        return self.units[self.traffic.key[rows]]

    def cost_usd(self, path: Ints, rows: Ints, uses: npt.NDArray[np.int8]) -> Floats:
        """What requests cost: every attempt at every step, by its artifact's price."""
        if not self.prices.any():
            return np.zeros(len(path))
        price = self.prices[path]  # [n, width, 3]
        given, made = self.traffic.input_tokens[rows], self.traffic.output_tokens[rows]
        each = price[:, :, 0] + price[:, :, 1] * given[:, None] + price[:, :, 2] * made[:, None]
        total: Floats = (each * uses).sum(axis=1)
        return total


def _delays(plan: Plan) -> dict[str, float]:
    """How late each field that gates read becomes known."""
    delays: dict[str, float] = {}
    for track in plan.lines.values():
        for gate in track.rollout.gates:
            delays[gate.reads] = max(gate.label_delay_s, delays.get(gate.reads, 0.0))
    return delays


def _prices(network: Network) -> Floats:
    prices = np.zeros((len(network.paths), network.width, 3))
    for p, path in enumerate(network.paths):
        for s, step in enumerate(path.steps):
            price = network.stations[step.station].price
            prices[p, s] = (
                price.usd_per_request, price.usd_per_1k_input_tokens / 1000, price.usd_per_1k_output_tokens / 1000
            )  # fmt: skip
    return prices


def _segments(plan: Plan) -> tuple[str, ...]:
    return tuple(
        sorted(
            {
                name
                for release in plan.releases.values()
                for version in release.slots.values()
                for found in version.artifact.evaluations.values()
                for name in found.segments
            }
            | {name for one in plan.evaluations for found in one.counts.values() for name in found.segments}
        )
    )


def _segment_of_class(traffic: Traffic, segments: Sequence[str]) -> Ints:
    """Which evaluated segment a set of attributes belongs to: the first that one of its values names."""
    found = np.full(len(traffic.classes), len(segments), np.int64)
    for i, attributes in enumerate(traffic.classes):
        values = [str(attributes["segment"])] if "segment" in attributes else []
        values += [str(value) for value in attributes.values()]
        found[i] = next((segments.index(value) for value in values if value in segments), len(segments))
    return found
