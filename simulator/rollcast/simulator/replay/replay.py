"""One replay: the rollout's own state machine, driven by simulated time and fed with simulated outcomes.

`Rollout` decides; this module only keeps time. Between two decisions the engine serves what arrives, routed by the
split of the moment; at each look the gates get what became known: an outcome when its request ended, a delayed label
that much later, and only of requests that arrived since the stage began.

Long because one loop keeps the time of all that can happen next.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from rollcast.planner.gates.outcomes import Outcomes, Verdict
from rollcast.planner.plan.models import Serving
from rollcast.planner.rollout.state_machine import (
    Arms,
    AwaitConfirmation,
    Finished,
    Hold,
    Observe,
    Outcome,
    Reach,
    Rollout,
)
from rollcast.simulator.base.draws import Floats, Ints
from rollcast.simulator.engines.interface import Batch, Demand, Engine
from rollcast.simulator.replay.durations import OperationTimes
from rollcast.simulator.replay.inputs import ReplayInputs
from rollcast.simulator.replay.propagation import Following
from rollcast.simulator.replay.request_log import RequestLog
from rollcast.simulator.replay.routing import REFUSED, RoutingTable
from rollcast.simulator.replay.spending import Spending
from rollcast.simulator.traffic.arrivals import Arrivals

Ending = Literal["promoted", "rolled_back", "held"]
_LONGEST_S = 400 * 86400.0


@dataclass
class StageRecord:
    """One milestone as this replay went through it."""

    milestone: int
    title: str
    entered_s: float
    left_s: float = float("nan")
    first: int = 0
    last: int = 0
    arms: Arms | None = None


Weighed = tuple[str, float | None, float, float | None, float]  # metric, difference, margin, e-value of harm, alpha


@dataclass(frozen=True, slots=True)
class Look:
    """What the gates of a milestone knew at one look."""

    at_s: float
    milestone: int
    gates: tuple[Weighed, ...]


@dataclass(frozen=True)
class Replay:
    """What happened: how the rollout ended, when, and every request."""

    ending: Ending
    reason: str
    duration_s: float
    requests: int
    request_log: RequestLog
    stages: tuple[StageRecord, ...] = field(default=())
    metric: str = ""  # the gate that ended it by a rollback
    demand: tuple[Demand, ...] = ()
    looks: tuple[Look, ...] = ()
    usd: float = 0.0  # what its instances cost until its end
    most_usd_per_hour: float = 0.0


class Replayer:
    """Drives one engine through time."""

    def __init__(self, inputs: ReplayInputs, engine: Engine, seed: int, rates: Floats) -> None:
        self.inputs, self.engine, self.arrivals = inputs, engine, Arrivals(inputs.traffic)
        self.now_s = 0.0
        self.submitted = 0
        self.request_log = RequestLog(inputs, seed, self.arrivals, rates)
        self.table: RoutingTable = inputs.routing.table(inputs.plan.before)
        self._seed, self._changes = seed, 0
        self._following: Following | None = None

    def serve(self, serving: Serving) -> None:
        """From now on, requests are routed like this. Returns when the last replica has followed."""
        before, self.table = self.table, self.inputs.routing.table(serving)
        declared = self.inputs.plan.settings.propagation
        if declared is None or self.table.same(before):
            return
        self._following = Following(declared, self._seed, self._changes, self.now_s, before)
        self._changes += 1
        self.advance(self._following.last_s)
        self._following = None

    def advance(self, until_s: float) -> Ints:
        """Serves everything that arrives before `until_s`; the requests that ended before it."""
        upto = self.arrivals.before(until_s)
        requests = np.arange(self.submitted, upto, dtype=np.int64)
        rows = requests % self.arrivals.rows
        times = self.arrivals.times(requests)
        path, place, places = self.table.path[rows], self.table.place[rows], self.table.places
        if self._following is not None:
            path, place, places = self._following.routed(self.table, requests, rows, times)
        self.request_log.admit(requests, times, path, place, places)
        served = path != REFUSED
        self.engine.submit(Batch(requests[served], times[served], rows[served], path[served]))
        self.submitted, self.now_s = upto, until_s
        return self.request_log.complete(self.engine.advance(until_s))

    def finish(self) -> None:
        """Lets every request that was submitted end."""
        self.request_log.complete(self.engine.advance(float("inf")))

    def prefetch(self, release: str, slot: str) -> None:
        """Warms the cache of a slot with the most frequent queries so far, in that order."""
        network, traffic = self.inputs.network, self.inputs.traffic
        path = network.paths[network.path_of[release]]
        step = next((step for step in path.steps if step.slot == slot), None)
        cache = network.stations[step.station].profile.cache if step is not None else None
        if step is None or cache is None or not cache.prefetch:
            return
        rows = np.arange(min(self.submitted, len(traffic)))
        queries, counts = np.unique(traffic.query[rows], return_counts=True)
        most = queries[np.lexsort((queries, -counts))][: cache.prefetch]
        self.engine.prefetch(step.station, most, self.now_s)


def counterfactual(inputs: ReplayInputs, engine: Engine, seed: int, rates: Floats, requests: int) -> RequestLog:
    """The same requests with no rollout."""
    replayer = Replayer(inputs, engine, seed, rates)
    until_s = float(replayer.arrivals.times(np.array([requests - 1]))[0]) if requests else 0.0
    replayer.advance(float(np.nextafter(until_s, np.inf)))
    replayer.finish()
    return replayer.request_log


def replay(inputs: ReplayInputs, engine: Engine, seed: int, rates: Floats, *, beyond: bool = True) -> Replay:
    """One rollout from its start to its end, and, with `beyond`, on to the end of the trace."""
    driver = _Driver(inputs, Replayer(inputs, engine, seed, rates))
    ending, reason = driver.run()
    duration_s = driver.time.now_s
    if beyond and duration_s < inputs.traffic.span_s:
        driver.time.advance(inputs.traffic.span_s)
    demand = engine.demand()  # before what still waits is served with nobody coming any more
    driver.time.finish()
    return Replay(
        ending, reason, duration_s, driver.time.submitted, driver.time.request_log, tuple(driver.stages), driver.metric,
        demand, tuple(driver.looks), driver.spending.usd, driver.spending.most_usd_per_hour,
    )  # fmt: skip


class _Driver:
    """Does what the rollout says, in simulated time."""

    def __init__(self, inputs: ReplayInputs, time: Replayer) -> None:
        self.inputs, self.time = inputs, time
        self.rollout = Rollout(inputs.plan)
        self.serving: Serving = dict(inputs.plan.before)
        self.durations = OperationTimes(inputs.plan)
        self.spending = Spending(inputs.plan)
        self.stages: list[StageRecord] = []
        self.looks: list[Look] = []
        self.metric = ""
        self.delays = inputs.delays
        self.labels: list[Ints] = []

    def run(self) -> tuple[Ending, str]:
        while True:
            action = self.rollout.next(self.time.now_s)
            if isinstance(action, Finished):
                self._leave()
                return ("rolled_back" if action.outcome is Outcome.ROLLED_BACK else "promoted"), action.reason
            if isinstance(action, Hold) or self.time.now_s > _LONGEST_S:
                self._leave()
                return "held", action.reason if isinstance(action, Hold) else "it never ended"
            if isinstance(action, Reach):
                self._reach(action)
            elif isinstance(action, Observe):
                self._observe(action.until_s)
            elif isinstance(action, AwaitConfirmation):
                self.rollout.confirm()  # at once: when people will, nobody knows, and the forecast says so

    def _reach(self, action: Reach) -> None:
        took_s = self.durations.of(action.operations)
        self.spending.work(action.operations, took_s)
        if took_s > 0:
            self.time.advance(self.time.now_s + took_s)
        if action.milestone.serving:
            self.serving = {**self.serving, **action.milestone.serving}
            self.time.serve(self.serving)
        for operation in action.operations:
            if operation.kind == "warm" and operation.release and operation.component:
                self.time.prefetch(operation.release, operation.component)
        self._leave()
        self.rollout.reached(self.time.now_s)
        index = self.rollout.position.milestone if not action.rollback else -1
        self.stages.append(
            StageRecord(index, action.milestone.title, self.time.now_s, first=self.time.submitted, arms=self._arms())
        )
        self.labels = []

    def _arms(self) -> Arms | None:
        return self.rollout.arms() if self.rollout.gates is not None else None

    def _leave(self) -> None:
        if self.stages and self.stages[-1].left_s != self.stages[-1].left_s:
            self.stages[-1].left_s, self.stages[-1].last = self.time.now_s, self.time.submitted

    def _observe(self, until_s: float) -> None:
        self.spending.wait(until_s - self.time.now_s)
        ended = self.time.advance(until_s)
        stage = self.stages[-1]
        if stage.arms is not None:
            self._feed(stage, stage.arms, ended, until_s)
        verdict = self.rollout.look(until_s)
        if verdict is not None and verdict.evidences:
            gates = ((e.metric, e.difference, e.margin, e.e_value_harm, e.alpha) for e in verdict.evidences)
            self.looks.append(Look(until_s, stage.milestone, tuple(gates)))
        if verdict is not None and self.rollout.position.rollback_from is not None:
            harmful = [e.metric for e in verdict.evidences if e.verdict is Verdict.ROLL_BACK]
            self.metric = harmful[0] if harmful else "overdue"

    def _feed(self, stage: StageRecord, arms: Arms, ended: Ints, until_s: float) -> None:
        """Outcomes of the stage's arms that became known, oldest first."""
        request_log = self.time.request_log
        mine, candidate = request_log.sides(ended[ended >= stage.first], arms)
        if len(mine):
            values = request_log.values(mine, [f for f, delay in self.delays.items() if delay == 0])
            self.rollout.observe(
                Outcomes(request_log.done_s[mine], self.inputs.unit(request_log.row(mine)), candidate, values)
            )
        delayed = {name: delay for name, delay in self.delays.items() if delay > 0}
        if delayed:
            self.labels.append(mine)
            self._feed_labels(arms, delayed, until_s)

    def _feed_labels(self, arms: Arms, delayed: dict[str, float], until_s: float) -> None:
        """Labels that arrived since the last look, for the requests that they belong to."""
        request_log = self.time.request_log
        waiting = np.concatenate(self.labels)
        kept = np.zeros(len(waiting), np.bool_)
        before_s = self.rollout.position.looked_s
        since_s = self.stages[-1].entered_s if before_s is None else before_s
        for delay in sorted(set(delayed.values())):
            known_s = request_log.done_s[waiting] + delay
            now = (known_s < until_s) & (known_s >= since_s)
            kept |= known_s >= until_s
            mine, candidate = request_log.sides(waiting[now], arms)
            if len(mine):
                values = request_log.values(mine, [name for name, other in delayed.items() if other == delay])
                units = self.inputs.unit(request_log.row(mine))
                labels = np.ones(len(mine), np.bool_)
                self.rollout.observe(Outcomes(known_s[now], units, candidate, values, labels))
        self.labels = [waiting[kept]]
