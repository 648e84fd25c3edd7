"""Telemetry on its way to the gates: read from where it stood, placed in its stage, counted once.

A source that can't be reached stops nothing here. The gates see that nothing comes, and no data is never a pass.
"""

from __future__ import annotations

from collections.abc import Mapping

from rollcast.planner.plan.models import Plan
from rollcast.planner.rollout.state_machine import Rollout
from rollcast.planner.routing.split import Router
from rollcast.stacks.base.clock import Clock
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.base.events import Emit, ModelChanged, Progressed
from rollcast.stacks.fleet.fleet import Fleet
from rollcast.stacks.rollout.checkpoint import Checkpoint
from rollcast.stacks.rollout.counters import Counters
from rollcast.stacks.rollout.evidence import Collector, RequestCounts, Watch
from rollcast.stacks.telemetry import TelemetrySource

_SKEW_SAID_S = 30.0


class Observer:
    """Reads a source for a rollout. What it has read is in `checkpoint`, saved by whoever saves that."""

    def __init__(
        self, plan: Plan, rollout: Rollout, checkpoint: Checkpoint, clock: Clock, source: TelemetrySource, emit: Emit
    ) -> None:
        self._plan, self._rollout, self._checkpoint = plan, rollout, checkpoint
        self._clock, self._source, self._emit = clock, source, emit
        self._collector = Collector(plan.releases, clock, checkpoint.tally)
        self._said_blind = ""
        self._said_skew = False
        self._said_models = set(checkpoint.tally.other_models)
        self._counters = Counters(Fleet(plan.settings.endpoints), plan.releases, checkpoint.counters)
        self._newest_s = float("-inf")
        self._routers: tuple[int, Mapping[str, Router]] | None = None
        try:
            if checkpoint.cursor is None:
                checkpoint.cursor = checkpoint.stage_cursor = source.end()
            self._remember()
        except StackError as error:
            self._blind(str(error))

    def new_stage(self) -> None:
        """A milestone is in force: what ends from now on is its evidence. What ended before must have been read."""
        self._checkpoint.since_s = self._clock.wall_s()
        self._checkpoint.stage_cursor = self._checkpoint.cursor
        self._collector.new_stage()
        self._newest_s = float("-inf")
        if self._source.knows_requests:
            self._counters.new_stage()

    def poll(self) -> RequestCounts:
        """Takes what became known, and gives the gates their part of it."""
        jump = self._clock.jumped_s()
        if jump and self._checkpoint.since_s is not None:
            self._checkpoint.since_s += jump
            self._emit(Progressed(text=f"the machine's clock jumped by {jump:+.0f} s; this stage follows it"))
        watch = self._watch()
        more = True
        while more:
            try:
                batch = self._source.read(self._checkpoint.cursor or {})
            except StackError as error:
                self._blind(str(error))
                return self._checkpoint.tally
            self._said_blind = ""
            batch.requests = self._counters.skews.righted(batch.requests)
            before = self._checkpoint.tally.left_out
            outcomes = self._collector.take(batch, watch)
            self._checkpoint.cursor, more = batch.cursor, batch.more
            if outcomes is not None:
                self._rollout.observe(outcomes)
            self._say_models()
            dropped = {why: count - before[why] for why, count in self._checkpoint.tally.left_out.items()}
            self._rollout.received(len(batch.requests) + batch.unreadable, dropped)
            self._newest_s = max([self._newest_s, *(request.time_s for request in batch.requests if not request.label)])
        self._say_skew()
        wall_s = self._clock.wall_s()
        self._counters.poll(wall_s, self._checkpoint.tally.total)
        self._checkpoint.tally.crowded = self._rollout.crowded
        self._rollout.counted(self._counters.compared(min(self._newest_s, wall_s)), self._clock.now_s())
        return self._checkpoint.tally

    def _say_models(self) -> None:
        """A vendor serves another model than is declared: said once, and the stage's guard knows."""
        for text in self._collector.tally.other_models:
            if text not in self._said_models:
                self._said_models.add(text)
                self._emit(ModelChanged(text=text))
        if self._collector.other_models:
            self._rollout.answered(self._collector.other_models)

    def _say_skew(self) -> None:
        """A clock that is wrong is put right here, and said once: sessions and logs still go by it."""
        found = None if self._said_skew else self._counters.skews.furthest()
        if found is not None and abs(found[1]) >= _SKEW_SAID_S:
            self._said_skew = True
            self._emit(
                Progressed(
                    text=f"the clock of replica {found[0]} is {found[1]:+.0f} s off this machine's; what it reports is "
                    "put right by that, but set it: pins of sessions end by it"
                )
            )

    def _blind(self, why: str) -> None:
        """Telemetry is out of reach: said once. The gates see that nothing comes, and no data is never a pass."""
        if why != self._said_blind:
            self._said_blind = why
            self._emit(Progressed(text=why))

    def _watch(self) -> Watch:
        plan, index = self._plan, self._rollout.position.milestone
        since_s = self._checkpoint.since_s if self._checkpoint.since_s is not None else float("inf")
        if index < 0:
            return Watch(None, {}, since_s)
        if self._routers is None or self._routers[0] != index:
            serving = plan.state_at(index).serving
            pipelines = {track.pipeline for track in plan.lines.values()}
            self._routers = index, {n: Router(n, plan.lines, serving, plan.audiences) for n in pipelines}
        arms = self._rollout.arms()
        timeout_s = plan.lines[arms.line].rollout.timeout if arms is not None else 0.0
        return Watch(arms, self._routers[1], since_s, timeout_s)

    def _remember(self) -> None:
        """Requests that an earlier driver counted in this stage, so that a repeat of them is still a repeat."""
        cursor, until = dict(self._checkpoint.stage_cursor or {}), self._checkpoint.cursor or {}
        while self._source.knows_requests and cursor != until:
            batch = self._source.read(cursor, until)
            self._collector.remember(self._counters.skews.righted(batch.requests))
            if batch.cursor == cursor or not batch.more:
                return
            cursor = batch.cursor
