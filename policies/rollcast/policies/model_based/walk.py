"""One walk through one rollout: moves, what they did, and what must hold after each of them.

A move does what a driver, a crash, the traffic or a person does. The decision what comes next is never taken here, but
by `rollcast.planner.rollout.state_machine.Rollout`, as the simulator and the live driver ask it.

Long because every move of a walk acts on one state.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from rollcast.planner.gates.outcomes import Verdict
from rollcast.planner.plan.models import Milestone, Operation, Plan, Serving
from rollcast.planner.rollout.state_machine import (
    AwaitConfirmation,
    Finished,
    Hold,
    Observe,
    Position,
    Reach,
    Rollout,
    specs_of,
)
from rollcast.policies.judgement.evaluation import judge_one, pass_all
from rollcast.policies.model_based.chains import chains_of
from rollcast.policies.model_based.evidence import StageEvidence, outcomes_of
from rollcast.policies.model_based.expectations import expectations
from rollcast.policies.model_based.model_state import Attributes, ModelRequest, ModelState
from rollcast.policies.model_based.plan_checks import unplanned_once
from rollcast.policies.model_based.trace import Counterexample, Trace, release_in_words, serving_in_words
from rollcast.policies.model_based.users import User, users_of
from rollcast.policies.rules.review import Review
from rollcast.policies.rules.rule import Policy, Violation
from rollcast.policies.rules.states import State, proofs_of, where_of

OUR_OWN = "The rollout's own invariant"
MOODY = (
    "It depends on more than the review, such as the clock, chance or a file: judge by the review alone, where the day "
    "is review.today."
)


class Walk:
    """A rollout on its way. Moves that are not possible now do nothing."""

    def __init__(self, review: Review, policies: Iterable[Policy] = ()) -> None:
        self.review, self.plan = review, review.plan
        self.rollout = Rollout(self.plan)
        self.world = ModelState(self.plan)
        self.policies = tuple(policies)
        self.users = users_of(self.plan)
        self.begun: Reach | None = None
        self.done: set[str] = set()
        self.harmed = False
        self.finished: Finished | None = None
        self.story = Trace(tuple(self._start_in_words()))
        self.chains = chains_of(self.plan)
        self._proofs = proofs_of(self.plan)
        self.furthest: dict[tuple[int, str], int] = {}
        self.seen_serving: Serving | None = None
        self._units, self._heard = 0, False
        for what in unplanned_once(review):
            self.broken(OUR_OWN, what)
        self._static: dict[str, set[str]] = {one.name: self._judged(one, ()) for one in self.policies}

    def _start_in_words(self) -> Iterator[str]:
        yield from serving_in_words(self.plan, self.plan.start)
        for release in self.plan.releases.values():
            yield release_in_words(release)
        shifts = [milestone.title for milestone in self.plan.milestones]
        yield "the plan: " + (" -> ".join(shifts) or "nothing to do")

    # ---- where it stands ------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """What serves and runs now, with every half-done operation."""
        here = self.rollout.position
        index, back, step = here.milestone, here.rollback_from, here.rollback_step
        where = "the start" if index < 0 else where_of(self.plan, self.plan.milestones[index])
        if back is not None:
            begun = f"{where_of(self.plan, self.plan.milestones[back])}" if back >= 0 else "the start"
            where, index = f"during the rollback from {begun}", back
        elif self.begun is not None:
            index = self.begun.milestone.index
            where = f"on the way to {where_of(self.plan, self.begun.milestone)}"
        return State(
            self.plan, where, dict(self.world.serving), index, back, step, tuple(self.world.serving), self._proofs,
            dict(self.world.instances),
        )  # fmt: skip

    @property
    def observing(self) -> Milestone | None:
        """The milestone whose evidence is awaited; None while something else is to be done."""
        waits = self.begun is None and isinstance(self.rollout.next(self.world.now_s), Observe)
        return self.plan.milestones[self.rollout.position.milestone] if waits else None

    @property
    def ready(self) -> list[Operation]:
        """Operations that may be carried out now, in the order of the plan. Begins the next milestone."""
        if self.begun is None:
            action = self.rollout.next(self.world.now_s)
            if isinstance(action, AwaitConfirmation):
                self.rollout.confirm()
                self.story.steps.append(f'confirmed: "{action.milestone.title}"')
                action = self.rollout.next(self.world.now_s)
            if isinstance(action, Finished):
                self.finished = action
            if not isinstance(action, Reach):
                return []
            self.begun, self.done = action, set()
        names = {operation.id for operation in self.begun.operations}
        waiting = [operation for operation in self.begun.operations if operation.id not in self.done]
        return [operation for operation in waiting if not (set(operation.after) & names) - self.done]

    # ---- the driver -----------------------------------------------------------------------------

    def operate(self, choice: int = 0) -> None:
        """Carry out one operation that is ready; the last one of a milestone reaches it."""
        ready = self.ready
        if self.begun is None:
            return
        if ready:
            operation = ready[choice % len(ready)]
            self.story.steps.append(_operation_in_words(operation, self.begun))
            for what in self.world.do(operation, self.begun.milestone):
                self.broken(OUR_OWN, what)
            self.done.add(operation.id)
        elif len(self.done) < len(self.begun.operations):
            self.broken(OUR_OWN, "operations wait for each other in a circle: none can be carried out.")
        if len(self.done) == len(self.begun.operations):
            self._reached(self.begun)
        self.check()

    def _reached(self, reach: Reach) -> None:
        self.rollout.reached(self.world.now_s)
        self.story.steps.append(f'reached: "{reach.milestone.title}"')
        self.begun, self.done, self.harmed, self._heard = None, set(), False, False
        if not reach.rollback:
            left = self.rollout.plan.milestones[reach.milestone.index]
            proves = bool(left.gates) or left.bake_min_s > 0
            if proves and isinstance(
                self.rollout.next(self.world.now_s), Reach | Finished
            ):  # a pause may hold it there
                self.broken(OUR_OWN, "a milestone that must prove something is left at once.")

    def reach(self) -> None:
        """Carry out everything that is left of the milestone under way."""
        before = self.rollout.position
        while self.ready or self.begun is not None:
            self.operate()
            if self.rollout.position is not before:
                return

    def onward(self) -> None:
        """Everything goes well: the next milestone is reached, proves what it must, or is promoted by hand."""
        self.reach()
        self.watch(StageEvidence.HEALTHY)
        if self.observing is not None:
            self.promote()

    def crash(self, remembers: bool = True) -> None:
        """The process is killed and resumed from what it wrote down; operations may be done again."""
        note = "the process is killed and resumed" + ("" if remembers else "; the milestone is begun again")
        self.story.steps.append(note)
        kept = self.rollout.snapshot()
        back = Position.model_validate_json(kept.model_dump_json())
        before = self.rollout.next(self.world.now_s) if self.begun is None else None
        self.rollout = Rollout(self.plan, back)
        if before is not None and self.rollout.next(self.world.now_s) != before:
            self.broken(OUR_OWN, "a resumed rollout goes on otherwise than the one that was killed.")
        if not remembers:
            self.done = set()
        self.check()

    # ---- evidence -------------------------------------------------------------------------------

    def watch(self, evidence: StageEvidence, patient: bool = True) -> None:
        """Telemetry arrives and is looked at: at the next look, or, patiently, when the shortest bake is over."""
        milestone = self.observing
        action = self.rollout.next(self.world.now_s)
        if milestone is None or not isinstance(action, Observe):
            return
        over_s = self.rollout.position.entered_s + milestone.bake_min_s
        self._pass(max(action.until_s, over_s if patient else 0.0))
        arms = self.rollout.arms()
        split = arms.split if arms is not None else 1.0
        batch = outcomes_of(
            evidence, specs_of(self.plan, milestone), split, milestone.min_sample, self.world.now_s, self._units
        )
        if batch is not None:
            self._units += len(batch)
            self._heard = True
            self.rollout.observe(batch)
        self.story.steps.append(f"telemetry is {evidence}; the gates look")
        self.harmed = self.harmed or (evidence is StageEvidence.HARMFUL and split < 1.0)
        self._look(milestone, evidence)

    def _look(self, milestone: Milestone, evidence: StageEvidence) -> None:
        before = self.rollout.position
        verdict = self.rollout.look(self.world.now_s)
        after = self.rollout.position
        if verdict is None:
            self.broken(OUR_OWN, "a stage that waits for evidence gives no verdict on it.")
            return
        baked_s = self.world.now_s - before.entered_s
        overdue = bool(milestone.bake_max_s) and baked_s >= milestone.bake_max_s
        waved = overdue and milestone.bake_then == "advance" and verdict.verdict is Verdict.CONTINUE
        proved = verdict.verdict is Verdict.ADVANCE and baked_s >= milestone.bake_min_s
        if after.cleared and not (proved or waved):
            self.broken(
                OUR_OWN,
                f"a stage was passed on the verdict '{verdict.verdict}' after {baked_s:g} s: {verdict.sentence}",
            )
        if before.paused and after.cleared:
            self.broken(OUR_OWN, "a paused rollout passed a stage.")
        if proved and not after.cleared and not before.paused:
            self.broken(OUR_OWN, f"a stage that proved what it must was not passed: {verdict.sentence}")
        if verdict.verdict is Verdict.ROLL_BACK and after.rollback_from is None:
            self.broken(OUR_OWN, f"harm was proved and nothing is rolled back: {verdict.sentence}")
        if not self._heard and verdict.verdict is Verdict.ADVANCE:
            self.broken(OUR_OWN, "no data counted as a pass.")
        if evidence is StageEvidence.HARMFUL and self.harmed and after.cleared and specs_of(self.plan, milestone):
            self.broken(
                OUR_OWN, f"every request on the new release failed, and the stage was passed: {verdict.sentence}"
            )
        self.check()

    def wait_out(self) -> None:
        """Silence until the longest bake of the stage is over, then a look: the declaration decides."""
        milestone = self.observing
        if milestone is None:
            return
        self._pass(self.rollout.position.entered_s + milestone.bake_max_s)
        self.story.steps.append(f"nothing is heard until the longest bake ({milestone.bake_max_s:g} s) is over")
        self._look(milestone, StageEvidence.SILENT)

    def _pass(self, until_s: float) -> None:
        for what in self.world.wait(max(0.0, until_s - self.world.now_s)):
            self.broken(OUR_OWN, what)

    # ---- people ---------------------------------------------------------------------------------

    def pause(self) -> None:
        """Somebody pauses the rollout."""
        if self._under_way():
            self.rollout.pause()
            self.story.steps.append("somebody pauses")
            if not isinstance(self.rollout.next(self.world.now_s), Hold | Observe):
                self.broken(OUR_OWN, "a paused rollout goes on.")
            self.check()

    def go_on(self) -> None:
        """Somebody lets a paused or held rollout look again."""
        stays = self.rollout.position.paused or isinstance(self.rollout.next(self.world.now_s), Hold)
        if self.begun is None and self.finished is None and stays:
            self.rollout.resume()
            self.story.steps.append("somebody lets it go on")
            self.check()

    def promote(self, full: bool = False) -> None:
        """Somebody promotes without waiting for proof."""
        if self._under_way():
            self.rollout.promote(full)
            self.story.steps.append("somebody promotes" + (" in full" if full else ""))
            if isinstance(self.rollout.next(self.world.now_s), Hold):
                self.broken(OUR_OWN, "a promoted rollout is held.")
            self.check()

    def abort(self) -> None:
        """Somebody aborts: back from wherever it stands, half-done milestones included."""
        if self.finished is not None or self.rollout.position.rollback_from is not None:
            return
        unfinished = self.begun is not None and bool(self.done)
        position = self.rollout.position.milestone + (1 if unfinished else 0)
        try:
            (self.rollout.roll_back_unfinished if unfinished else self.rollout.roll_back)("aborted by hand")
        except ValueError as refusal:
            self.story.steps.append(f"somebody aborts; refused: {refusal}")
            if not self.plan.milestones[position].point_of_no_return:
                self.broken(OUR_OWN, "there is no rollback before the point of no return.")
            return
        self.story.steps.append("somebody aborts")
        self.begun, self.done = None, set()
        self.check()

    def _under_way(self) -> bool:
        here = self.rollout.position
        return here.outcome is None and here.rollback_from is None and not self.plan.empty

    # ---- traffic --------------------------------------------------------------------------------

    def request(self, pipeline: str, key: str, attributes: Attributes) -> None:
        """A request comes in."""
        request = self.world.enter(pipeline, key, attributes)
        if request is not None:
            self.story.steps.append(f"{request} comes in and is served by {request.routed.release}")

    def visit(self, choice: int, count: int) -> None:
        """A request in flight passes some of its slots."""
        if not self.world.requests:
            return
        request: ModelRequest = self.world.requests[choice % len(self.world.requests)]
        passed = request.ahead[:count]
        self.story.steps.append(f"{request} passes {', '.join(passed)}")
        for what in self.world.visit(request, count):
            self.broken(OUR_OWN, what)

    # ---- what must hold -------------------------------------------------------------------------

    def check(self) -> None:
        """The rollout's own invariants and every policy, in the state that is reached. Raises Broken with the story."""
        for what in expectations(self):
            self.broken(OUR_OWN, what)
        if self.policies:
            here = replace(self.review, visited=(self.state,))
            if pass_all(here, self.policies):
                return
            found = [self._finds(here, one) for one in self.policies]
            if not any(found):
                self.broken("A policy", f"one of them gives two verdicts on the same state. {MOODY}")

    def _finds(self, here: Review, one: Policy) -> bool:
        """Whether a policy finds something here that it may; raises Broken where it may not."""
        judgement = judge_one(here, one)
        if judgement.broken:
            self.broken(f"Policy '{one.name}'", judgement.message)
        for finding in judgement.findings:
            if finding.message not in self._static[one.name]:
                self.broken(f"Policy '{one.name}'", finding.message, finding.remedy)
        return not judgement.passed

    def _judged(self, one: Policy, visited: tuple[State, ...]) -> set[str]:
        """What a policy finds without any state: it is of the plan, not of the way.

        It breaks a project's own rule as a state would. A guardrail of the library asks there for what a release of
        tomorrow will bring, such as an approval, and is judged when that release is planned.
        """
        judgement = judge_one(replace(self.review, visited=visited), one)
        if judgement.broken:
            self.broken(f"Policy '{one.name}'", judgement.message)
        found = {finding.message for finding in judgement.findings}
        if found and judgement.override is None and not one.of_library:
            # A rule may miss states where there are none: what it finds in the whole plan, too, is of the plan.
            for finding in judge_one(self.review, one).findings:
                if finding.message in found:
                    self.broken(f"Policy '{one.name}'", finding.message, finding.remedy)
        return found

    def broken(self, rule: str, what: str, remedy: str = "") -> None:
        """Raises Broken with the story so far."""
        raise Counterexample(self.emit(rule, what, remedy))

    def emit(self, rule: str, what: str, remedy: str = "") -> str:
        """The story so far, of a rule that does not hold."""
        state = self.state
        shown = [state.where, *serving_in_words(self.plan, state.serving)]
        return self.story.emit(rule, what, remedy, shown, list(self._affected(state)))

    def _affected(self, state: State) -> Iterator[str]:
        """Who is served by what the rollout brings, with users to name."""
        old = {share.release for shares in self.plan.start.values() for share in shares}
        for share in state.shares:
            if share.release in old and len({s.release for s in state.shares}) > 1:
                continue
            named = [user.key for user in self.users if self._served_by(user, share.line) == share.release]
            known = f", {', '.join(named[:3])} among them" if named else ""
            yield f"{share.percent:g} % of {share.audience} on channel {share.line}{known}, by {share.release}"
        for request in self.world.requests:
            yield f"in flight: {request}, on {request.routed.release}"

    def _served_by(self, user: User, track: str) -> str | None:
        routed = self.world.route(user.pipeline, user.key, user.attributes)
        return routed.release if routed is not None and routed.line == track else None


def _operation_in_words(operation: Operation, reach: Reach) -> str:
    way = "back: " if reach.rollback else ""
    if operation.kind == "drain":
        return f"{way}drain for {operation.wait_s:g} s"
    if operation.kind in ("shift", "flag"):
        shares = reach.milestone.serving.get(operation.line or "", ())
        to = ", ".join(f"{share.percent:g} % of {share.audience} to {share.release}" for share in shares)
        return f"{way}shift channel {operation.line}: {to or 'nothing is served'}"
    what = operation.artifact or operation.line or ""
    where = " in place" if operation.in_place else ""
    return f"{way}{operation.kind} {operation.component or ''} {what}{where}".replace("  ", " ")


__all__ = ["Plan", "StageEvidence", "Violation", "Walk"]
