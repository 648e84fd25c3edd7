"""The rollout: the one state machine that decides what happens next, live and simulated alike.

It is a pure function of (plan, position, evidence). `snapshot` gives all of it as plain data: a resumed rollout goes on
where it stood, its evidence included. Whoever drives it (the simulator with simulated time, the driver with real time)
asks `next`, does what it says, and reports back with `reached` or `observe` and `look`. Time is seconds on one clock of
the driver's choice and never goes back.

Long because there is one state machine, and every decision of a rollout is in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, assert_never

from pydantic import Field

from rollcast.planner.declaration.models import Json, Model, OnOtherModel
from rollcast.planner.gates.guards import Counted
from rollcast.planner.gates.outcomes import Outcomes, StageVerdict, Verdict
from rollcast.planner.gates.spec import GateSpec
from rollcast.planner.gates.stage import StageGates, allot_alpha
from rollcast.planner.plan.models import EVERYONE, Milestone, Operation, Plan, Share

PAUSED = "paused by hand; 'rollcast promote' or 'rollcast apply --resume' goes on"


class Outcome(StrEnum):
    """How a rollout ended."""

    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    NOTHING = "nothing_to_do"


@dataclass(frozen=True, slots=True)
class Reach:
    """Carry out these operations and shift to this milestone, then call `reached`."""

    milestone: Milestone
    operations: tuple[Operation, ...]
    rollback: bool


@dataclass(frozen=True, slots=True)
class Observe:
    """Wait until then, feed the outcomes that became known, then call `look`."""

    until_s: float


@dataclass(frozen=True, slots=True)
class AwaitConfirmation:
    """Nothing is missing for this milestone but what must be confirmed: get that, and call `confirm`.

    Until when to feed the outcomes that became known, and call `look`; None where nothing is under analysis.
    """

    milestone: Milestone
    until_s: float | None


@dataclass(frozen=True, slots=True)
class Hold:
    """Stay; a person must decide (`promote`, `abort`) or more evidence must come (`resume`)."""

    reason: str


@dataclass(frozen=True, slots=True)
class Finished:
    """Nothing more to do."""

    outcome: Outcome
    reason: str


Action = Reach | Observe | AwaitConfirmation | Hold | Finished


class Position(Model):
    """Where a rollout stands: plain data, enough to go on from."""

    milestone: int = Field(-1, description="the last milestone reached; -1 is the start")
    rollback_from: int | None = Field(None, description="the milestone that is being undone")
    rollback_step: int = 0
    entered_s: float = 0.0
    looked_s: float | None = None
    cleared: bool = Field(True, description="what the milestone requires is proved")
    held: str | None = None
    paused: bool = False
    confirmed: int = Field(
        -1, description="the last milestone that was confirmed", exclude_if=lambda given: bool(given < 0)
    )
    full: bool = Field(False, description="promoted in full: no later stage bakes or waits for gates")
    reason: str = ""
    outcome: Outcome | None = None
    evidence: dict[str, Json] | None = Field(None, description="the stage's gates, exactly as they stood")


@dataclass(frozen=True, slots=True)
class Arms:
    """Which requests a stage compares: same track, same audience, same time."""

    line: str
    audience: str
    candidate: str
    baseline: str | None
    split: float

    def side(self, track: str, audience: str, release: str) -> bool | None:
        """True for the new release, False for the concurrent baseline, None for requests outside the comparison."""
        if track != self.line or audience != self.audience:
            return None
        return True if release == self.candidate else False if release == self.baseline else None


class Rollout:
    """Decides, from a plan and a position, what happens next."""

    def __init__(self, plan: Plan, position: Position | None = None) -> None:
        self.plan = plan
        self.position = position or Position()
        self.verdict: StageVerdict | None = None
        evidence = self.position.evidence
        self.gates = StageGates.from_json(evidence) if evidence is not None else None
        self._move(evidence=None)
        if self.position.full:
            self._skip_later_bakes()

    def snapshot(self) -> Position:
        """The position with the evidence of the stage under way: what to keep, to go on from later."""
        return self.position.model_copy(update={"evidence": self.gates.to_json() if self.gates else None})

    # ---- what next ----------------------------------------------------------------------------

    def next(self, now_s: float) -> Action:
        """What to do now."""
        here = self.position
        if here.outcome is not None:
            return Finished(here.outcome, here.reason)
        if here.rollback_from is not None:
            return self._next_back(here.rollback_from)
        if self.plan.empty:
            return self._finish(Outcome.NOTHING, "the live state is as declared")
        if here.paused:
            if self.gates is not None and (not here.cleared or self.awaits):
                return Observe(self._next_look(now_s))  # a pause stops advancing, not watching
            return Hold(PAUSED)
        if not here.cleared:
            if here.held is not None:
                return Hold(here.held)
            return Observe(self._next_look(now_s))
        following = here.milestone + 1
        if following == len(self.plan.milestones):
            return self._finish(Outcome.PROMOTED, "every milestone is reached")
        if self.awaits is not None:
            return AwaitConfirmation(self.awaits, self._next_look(now_s) if self.gates is not None else None)
        return Reach(self.plan.milestones[following], tuple(self.plan.operations_of(following)), rollback=False)

    @property
    def awaits(self) -> Milestone | None:
        """The next milestone, where it must be confirmed, is not, and everything else that it waits for is there."""
        here, following = self.position, self.position.milestone + 1
        if not here.cleared or here.outcome is not None or here.rollback_from is not None:
            return None
        milestone = self.plan.milestones[following] if following < len(self.plan.milestones) else None
        return milestone if milestone is not None and milestone.confirm and here.confirmed < following else None

    def _next_back(self, start: int) -> Action:
        way = self.plan.rollback_of(start)
        step = self.position.rollback_step
        if way is None or step == len(way.milestones):
            return self._finish(Outcome.ROLLED_BACK, self.position.reason)
        operations = tuple(operation for operation in way.operations if operation.milestone == step)
        return Reach(way.milestones[step], operations, rollback=True)

    def _finish(self, outcome: Outcome, reason: str) -> Finished:
        self._move(outcome=outcome, reason=reason)
        self.gates = None
        return Finished(outcome, reason)

    def _next_look(self, now_s: float) -> float:
        milestone, here = self.plan.milestones[self.position.milestone], self.position
        every = self._look_every_s(milestone)
        last = here.entered_s if here.looked_s is None else here.looked_s
        due = last + every
        for mark in (here.entered_s + milestone.bake_min_s, here.entered_s + milestone.bake_max_s):
            if last < mark < due:
                due = mark
        return max(due, now_s)

    def _look_every_s(self, milestone: Milestone) -> float:
        return min(self.plan.lines[track].rollout.look_every for track in milestone.lines)

    # ---- reports of the driver ----------------------------------------------------------------

    def reached(self, now_s: float) -> None:
        """The operations of the last `Reach` are done: the world is at that milestone."""
        here = self.position
        if here.rollback_from is not None:
            self._move(rollback_step=here.rollback_step + 1, entered_s=now_s)
            return
        index = here.milestone + 1
        milestone = self.plan.milestones[index]
        bakes = milestone.bake_min_s > 0 or bool(milestone.gates)
        self.gates = self._start_gates(index, now_s) if bakes else None
        self.verdict = None
        self._move(milestone=index, entered_s=now_s, looked_s=None, cleared=not bakes, held=None)

    def observe(self, outcomes: Outcomes) -> None:
        """Outcomes of the stage's two arms that became known. Call `look` to have them judged."""
        if self.gates is not None:
            self.gates.observe(outcomes)

    def received(self, records: int, dropped: Mapping[str, int]) -> None:
        """How many records of telemetry were read in this stage, and how many of them were left out, and why."""
        if self.gates is not None:
            self.gates.guards.received(records, dropped)

    def answered(self, models: Mapping[str, int]) -> None:
        """Requests of this stage that other hosted models served than are declared: in words -> how many more."""
        if self.gates is not None:
            tracks = self.plan.milestones[self.position.milestone].lines or self.plan.lines
            holds = any(self.plan.lines[track].rollout.on_other_model is OnOtherModel.HOLD for track in tracks)
            self.gates.guards.answered(models, holds)

    @property
    def crowded(self) -> float:
        """The part of the stage's table of users that is taken; 0 while it is less than half."""
        return self.gates.guards.crowded if self.gates is not None else 0.0

    def counted(self, finished: Mapping[str, Counted], now_s: float) -> None:
        """What the data plane's own counters say of this stage, beside telemetry; see `Guards.counted`."""
        if self.gates is not None:
            self.gates.guards.counted(finished)
            arms = self.arms()
            pair = [finished.get(name) for name in (arms.candidate, arms.baseline or "")] if arms else []
            both = [counted for counted in pair if counted is not None]
            if len(both) == 2:
                self.gates.counted(both, now_s)

    def look(self, now_s: float) -> StageVerdict | None:
        """Judge the evidence and move: advance, go on, hold, or roll back.

        While paused, or while a confirmation is awaited, only proved harm moves it.
        """
        here = self.position
        waits = self.awaits is not None
        if self.gates is None or (here.cleared and not waits) or here.rollback_from is not None:
            return None
        milestone = self.plan.milestones[here.milestone]
        verdict = self.gates.look(now_s)
        self.verdict = verdict
        baked_s = now_s - here.entered_s
        change: dict[str, Any] = {"looked_s": now_s, "held": None}
        if verdict.verdict is Verdict.ROLL_BACK:
            self._move(**change)
            self.roll_back(verdict.sentence)
        elif here.paused or waits:
            self._move(**change)
        elif verdict.verdict is Verdict.ADVANCE and baked_s >= milestone.bake_min_s:
            self._move(**change, cleared=True)
        elif milestone.bake_max_s and baked_s >= milestone.bake_max_s:
            self._move(**change)
            self._overdue(milestone, verdict)
        else:
            self._move(**change)
        return verdict

    def _overdue(self, milestone: Milestone, verdict: StageVerdict) -> None:
        """The longest bake is over and the gates are inconclusive: the declaration decides. No data is never a pass."""
        seen = all(min(gate.n_candidate, gate.n_baseline) > 0 for gate in verdict.evidences)
        judged = verdict.verdict is Verdict.CONTINUE and seen and all(guard.ok for guard in verdict.guards)
        why = f"not proved within the longest bake: {verdict.sentence}"
        match milestone.bake_then:
            case "advance" if judged:
                self._move(cleared=True)
            case "rollback":
                self.roll_back(why)
            case "hold" | "advance":
                self._move(held=why)
            case _:
                assert_never(milestone.bake_then)

    # ---- a person's orders --------------------------------------------------------------------

    def roll_back(self, reason: str) -> None:
        """Lead the world back from where it is. Raises ValueError past the point of no return."""
        if self.position.rollback_from is not None:
            return
        here = self.position.milestone
        if here >= 0 and self.plan.rollback_of(here) is None:
            title = self.plan.milestones[here].title
            raise ValueError(f"past the point of no return, {title}: plan a new release instead")
        self._move(rollback_from=here, rollback_step=0, reason=reason, held=None)
        self.gates = None

    def roll_back_unfinished(self, reason: str) -> None:
        """Roll back from a milestone whose operations were begun and not all done."""
        begun = self.position.milestone + 1
        if self.plan.rollback_of(begun) is None:
            title = self.plan.milestones[begun].title
            raise ValueError(f"{title} was begun, and can only be completed: run 'rollcast apply --resume'")
        self._move(rollback_from=begun, rollback_step=0, reason=reason, held=None)
        self.gates = None

    def promote(self, full: bool = False) -> None:
        """Go on to the next milestone without waiting for proof; `full` skips every later bake as well."""
        reason = "promoted by hand" + (" in full" if full else "")
        self._move(cleared=True, held=None, paused=False, reason=reason, full=full or self.position.full)
        if full:
            self._skip_later_bakes()

    def _skip_later_bakes(self) -> None:
        milestones = tuple(
            m if m.index <= self.position.milestone else m.model_copy(update={"gates": (), "bake_min_s": 0.0})
            for m in self.plan.milestones
        )
        self.plan = self.plan.model_copy(update={"milestones": milestones})

    def confirm(self) -> None:
        """The milestone that `next` awaits a confirmation for is confirmed."""
        self._move(confirmed=self.position.milestone + 1)

    def pause(self) -> None:
        """Stay at the milestone until a person decides. Its gates are still looked at: proved harm rolls back."""
        self._move(paused=True)

    def resume(self) -> None:
        """Look again after a pause or a hold."""
        self._move(paused=False, held=None)

    # ---- parts --------------------------------------------------------------------------------

    def arms(self) -> Arms | None:
        """The comparison of the stage under way; None where no traffic is under analysis."""
        index = self.position.milestone
        return arms_of(self.plan, index) if index >= 0 and self.position.rollback_from is None else None

    def _start_gates(self, index: int, now_s: float) -> StageGates:
        milestone = self.plan.milestones[index]
        arms = arms_of(self.plan, index)
        specs = specs_of(self.plan, milestone)
        return StageGates.start(
            specs,
            alpha=stage_alpha(self.plan, milestone),
            advance_alpha=self.plan.lines[milestone.lines[0]].rollout.error_rate if milestone.lines else None,
            split=arms.split if arms else 1.0,
            stale_s=max(120.0, 4 * self._look_every_s(milestone)),
            started_s=now_s,
            min_sample=milestone.min_sample,
            counts=counts_of(self.plan),
        )

    def _move(self, **change: Any) -> None:
        self.position = self.position.model_copy(update=change)


def specs_of(plan: Plan, milestone: Milestone) -> tuple[GateSpec, ...]:
    """The gates that a milestone names: its stage's own, or the rollout's."""
    if not milestone.lines:
        return ()
    rule = plan.lines[milestone.lines[0]].rollout
    own = rule.stages[milestone.stage].gates if milestone.stage is not None else None
    return tuple(gate for gate in (rule.gates if own is None else own) if gate.metric in milestone.gates)


def stage_alpha(plan: Plan, milestone: Milestone) -> float:
    """This stage's part of the error rate that was declared for the whole rollout.

    Nothing is spent on stages without a concurrent baseline: there is nothing in them that could be falsely proved.
    """
    stages = sum(1 for other in plan.milestones if other.gates and compares(plan, other.index))
    error_rate = plan.lines[milestone.lines[0]].rollout.error_rate if milestone.lines else 0.05
    return allot_alpha(error_rate, max(stages, 1))


def compares(plan: Plan, index: int) -> bool:
    """Whether both releases serve at a milestone."""
    arms = arms_of(plan, index)
    return arms is not None and arms.baseline is not None and arms.split < 1.0


def counts_of(plan: Plan) -> bool:
    """Whether the data plane can say how many requests it finished: whether its addresses are declared."""
    return bool(plan.settings.endpoints)


def arms_of(plan: Plan, index: int) -> Arms | None:
    """The comparison that a milestone makes: the new release and the one that it replaces, in one audience."""
    milestone = plan.milestones[index]
    if milestone.audience is None or not milestone.lines:
        return None
    track = milestone.lines[0]
    shares = [share for share in milestone.serving.get(track, ()) if share.audience in (milestone.audience, EVERYONE)]
    own = [share for share in shares if share.audience == milestone.audience] or shares
    return _arms(track, milestone, own)


def trials_of(plan: Plan) -> frozenset[int]:
    """Milestones in which a new release serves users to whom nothing has proved it yet.

    One that gives it the rest of an audience after a comparison in that audience is none; one that gives it a whole
    audience at once is. Nor is the first release of a track: it takes nobody away from what was proved.
    """
    compared: set[tuple[str, str, str]] = set()
    found: set[int] = set()
    for milestone in plan.milestones:
        arms = arms_of(plan, milestone.index)
        if arms is None or plan.ends_of(arms.line)[0] is None:
            continue
        who = (arms.line, arms.audience, arms.candidate)
        if arms.baseline is not None:
            compared.add(who)
        if arms.baseline is not None or who not in compared:
            found.add(milestone.index)
    return frozenset(found)


def _arms(track: str, milestone: Milestone, own: list[Share]) -> Arms | None:
    if not own:
        return None
    baseline = own[1].release if len(own) > 1 else None
    return Arms(track, own[0].audience, own[0].release, baseline, own[0].percent / 100)
