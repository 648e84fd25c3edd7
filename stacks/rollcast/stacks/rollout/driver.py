"""The driver: the planner's own state machine in real time, with Pulumi for hands and telemetry for eyes.

It decides nothing. It asks the rollout what is next, writes the intent to the ledger, does it, checks the world, writes
the result and where the rollout now stands, and so on. Killed between any two of these, another driver goes on from the
ledger and the live state: every step may be done again, and a step that was done is found done.

Long because one process carries one rollout, and every step of it is written down here.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, assert_never

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_fixed

from rollcast.planner.gates.outcomes import StageVerdict, Verdict
from rollcast.planner.plan.models import Milestone, Operation, Serving
from rollcast.planner.rollout.state_machine import (
    PAUSED,
    Action,
    Arms,
    AwaitConfirmation,
    Finished,
    Hold,
    Observe,
    Outcome,
    Reach,
)
from rollcast.stacks.base.clock import Clock
from rollcast.stacks.base.errors import DriftError, EngineError, FormatError, HeldError, LedgerError, StackError
from rollcast.stacks.base.events import (
    Drifted,
    Emit,
    Evaluated,
    Failed,
    HeldBack,
    Looked,
    Ordered,
    Progressed,
    Reached,
    RollbackBegun,
    RolloutFinished,
    Working,
)
from rollcast.stacks.confirming.asker import Asker
from rollcast.stacks.evaluators.results import SuiteResult
from rollcast.stacks.ledger.lease import Lease
from rollcast.stacks.ledger.ledger import Ledger
from rollcast.stacks.ledger.payloads import (
    ROLLBACK,
    VERDICT,
    FailedBody,
    FinishedBody,
    HeldBody,
    IntentBody,
    JudgedBody,
    MovedBody,
    Order,
    OrderedBody,
    ReachedBody,
)
from rollcast.stacks.ledger.rollouts import FINISHED, RolloutContext
from rollcast.stacks.rollout.checkpoint import Checkpoint
from rollcast.stacks.rollout.confirmations import Confirming
from rollcast.stacks.rollout.evaluations import known_results, record_results, refusals
from rollcast.stacks.rollout.evidence import RequestCounts
from rollcast.stacks.rollout.milestones import MilestoneResult, MilestoneRunner, MilestoneState
from rollcast.stacks.rollout.observation import Observer
from rollcast.stacks.rollout.standstill import standstill
from rollcast.stacks.telemetry import TelemetrySource

_LOG = logging.getLogger(__name__)
_POLL_S = 0.25
_ROUND_S = 0.5  # between two looks for a freeze or a brake
_PATIENCE_S = 20.0
_RETRY_S = (1.0, 3.0)


class Exit(IntEnum):
    """What a rollout's end means to a script."""

    DONE = 0
    ROLLED_BACK = 4
    HELD = 5
    INTERRUPTED = 130


def exit_of(outcome: Outcome) -> Exit:
    """The exit code of an outcome."""
    match outcome:
        case Outcome.PROMOTED | Outcome.NOTHING:
            return Exit.DONE
        case Outcome.ROLLED_BACK:
            return Exit.ROLLED_BACK
        case _:
            assert_never(outcome)


@dataclass(frozen=True)
class Ended:
    """How far a driver came, and why it stopped there.

    `due_s`: when the time is over that a release waits for, on the machine's clock, where only that is missing.
    """

    exit: Exit
    reason: str
    tally: RequestCounts
    outcome: str | None = None
    due_s: float | None = None


class Driver:
    """Carries one rollout on. `stopping` turns true when a person wants the driver to stop at a safe state.

    `stands`: whether freezes and the brake hold it, which they do not where it leads to an earlier release.
    """

    def __init__(
        self, context: RolloutContext, ledger: Ledger, lease: Lease, steps: MilestoneRunner,
        source: TelemetrySource, emit: Emit,
        stopping: Callable[[], bool] = lambda: False, clock: Clock | None = None, stands: bool = True,
    ) -> None:  # fmt: skip
        self.context, self.ledger, self.lease = context, ledger, lease
        self.steps, self.emit, self.stopping = steps, emit, stopping
        checkpoint = Checkpoint.of(ledger.position(context.id))
        self.checkpoint = checkpoint
        self.clock = clock or Clock(checkpoint.elapsed_s, checkpoint.left_s)
        self.rollout = checkpoint.rollout(context.plan)
        self.observer = Observer(context.plan, self.rollout, checkpoint, self.clock, source, emit)
        self._judged_arms: Arms | None = None
        self._stands, self._looked_round_s = stands, -_ROUND_S
        self.confirming = Confirming(context, ledger, lease, Asker(steps.root))

    # ---- the loop -----------------------------------------------------------------------------

    def run(self, once: bool = False) -> Ended:
        """Goes on until the rollout ends, is held, or `stopping`; with `once` as far as the evidence allows now."""
        try:
            return self._run(once)
        finally:
            self.confirming.end()

    def _run(self, once: bool) -> Ended:
        looked, waited = False, -1
        self._orders(given_before=True)
        while True:
            self._orders()
            self._look_round()
            action = self.rollout.next(self.clock.now_s())
            _LOG.debug("%.1f s, %s: next is %s", self.clock.now_s(), self.stand(), _in_short(action))
            if isinstance(action, Finished):
                return self._finish(action)
            if isinstance(action, Hold) and (once or not self.checkpoint.stands_still):
                return self._hold(self.checkpoint.stands_still or action.reason)
            if self.stopping():
                return Ended(Exit.INTERRUPTED, self.stand(), self.checkpoint.tally)
            if isinstance(action, Hold):
                self.observer.poll()
                time.sleep(_ROUND_S)
                continue
            if isinstance(action, Reach):
                try:
                    self._reach(action)
                except HeldError as error:
                    return self._hold(str(error))
                looked = False
            elif isinstance(action, AwaitConfirmation):
                if once and waited == action.milestone.index and not self.confirming.asking:
                    return self._hold(self.confirming.sentence)
                self._await_confirmation(action, look=once and not looked)
                looked, waited = True, action.milestone.index
            elif once and looked:
                if self.rollout.position.paused:
                    return self._hold(self.checkpoint.stands_still or PAUSED)
                return Ended(Exit.HELD, f"more evidence is needed: {self.stand()}", self.checkpoint.tally)
            else:
                self._observe(action, once)
                looked = True

    def stand(self) -> str:
        """Where the rollout stands, in words."""
        index = self.rollout.position.milestone
        if self.rollout.position.rollback_from is not None:
            return f"during the rollback from milestone {self.rollout.position.rollback_from}"
        if index < 0:
            return "before the first milestone"
        milestone = self.context.plan.milestones[index]
        return f"at milestone {index} of {len(self.context.plan.milestones) - 1}, {milestone.title}"

    def _finish(self, action: Finished) -> Ended:
        tally = self.observer.poll()
        body = {"outcome": action.outcome.value, "reason": action.reason, "tally": tally.to_json()}
        self._save(FINISHED, FinishedBody.model_validate(body).to_json())
        self.emit(RolloutFinished(**body))
        return Ended(exit_of(action.outcome), action.reason, tally, action.outcome.value)

    def _hold(self, reason: str) -> Ended:
        self._held(reason)
        return Ended(Exit.HELD, reason, self.checkpoint.tally)

    def _held(self, reason: str) -> None:
        """Says that the rollout stays where it is; the ledger hears it once."""
        if self.checkpoint.told_hold != reason:
            self.checkpoint.told_hold = reason
            self._save("held", HeldBody(reason=reason, milestone=self.rollout.position.milestone).to_json())
        self.emit(HeldBack(reason=reason))

    # ---- milestones ---------------------------------------------------------------------------

    def _reach(self, action: Reach) -> None:
        position = self.rollout.position
        step = MilestoneKey(action.milestone, action.operations, action.rollback, position.rollback_from)
        again = self.checkpoint.intent == step.key
        stand = MilestoneState(self.context, position.milestone, position.rollback_from, position.rollback_step, again)
        gone = self.steps.drift(stand)
        if gone:
            self.ledger.append("drift", self.context.id, MovedBody(moved=gone).to_json(), self.lease)
            self.emit(Drifted(moved=gone))
            if not action.rollback:
                raise DriftError(
                    f"The live state was changed by someone else: {'; '.join(gone)}. "
                    "Put it back and run 'rollcast apply --resume', or roll back with 'rollcast abort'."
                )
        self.checkpoint.intent = step.key
        self.checkpoint.told_hold = None
        self._save("intent", IntentBody.model_validate(step.to_json()).to_json())
        self.emit(Working(**step.to_json()))
        known = known_results(self.ledger, self.context, action.operations)
        carried = self._carry_out(stand, action, step, known)
        record_results(self.ledger, self.lease, self.context, action.operations, carried.results, known)
        refused = self._refused(action.operations, carried.results)
        if refused and not action.rollback:
            self._refuse(refused)
            return
        self._reached(step, carried.serving)

    def _carry_out(
        self, stand: MilestoneState, action: Reach, step: MilestoneKey, known: Mapping[str, SuiteResult]
    ) -> MilestoneResult:
        """Does it, again where the engine itself failed. Raises StackError; the last milestone serves on."""
        for pause_s in (*_RETRY_S, None):
            try:
                return self.steps.carry_out(stand, action, self._progress, known)
            except EngineError as error:
                if pause_s is None or self.stopping():
                    raise self._failed(step, error) from None
                self.emit(Progressed(text=f"{error} Trying again."))
                time.sleep(pause_s)
                self.ledger.renew(self.lease)  # whoever lost its lease must not touch the stack of its successor
                self.steps.recover()
            except HeldError as error:
                raise self._stopped(step, error) from None
            except StackError as error:
                raise self._failed(step, error) from None
        raise AssertionError("unreachable")

    def _failed(self, step: MilestoneKey, error: StackError) -> StackError:
        with contextlib.suppress(LedgerError):
            body = FailedBody.model_validate({**step.to_json(), "error": str(error)})
            self.ledger.append("failed", self.context.id, body.to_json(), self.lease)
        self.emit(Failed(error=str(error)))
        return self._stopped(step, error)

    def _stopped(self, step: MilestoneKey, error: StackError) -> StackError:
        """The same, with what serves now and how to go on."""
        serves = self.steps.serves(self.context)
        what = "The rollback stopped" if step.rollback else "The rollout stopped"
        remedy = "" if step.rollback else ", or roll it back with 'rollcast abort'"
        return type(error)(f"{error} {what}; {serves}. Go on with 'rollcast apply --resume'{remedy}.")

    def _reached(self, step: MilestoneKey, serving: Serving) -> None:
        self.observer.poll()  # what ended before is evidence of the stage before
        self.rollout.reached(self.clock.now_s())
        self.checkpoint.intent = None
        self.checkpoint.told_hold = None
        self.checkpoint.ordered_on = False
        if not step.rollback or step.milestone.serving:
            self.observer.new_stage()
        shares = [share.model_dump(mode="json") for track in serving.values() for share in track]
        self._save("reached", ReachedBody.model_validate({**step.to_json(), "serving": shares}).to_json())
        self.emit(Reached(**step.to_json(), serving=shares))

    def _refused(self, operations: tuple[Operation, ...], results: Mapping[str, SuiteResult]) -> str:
        """Why an evaluation forbids to go on; empty when all are passed."""
        found: list[str] = []
        for operation in operations:
            if operation.evaluate is None:
                continue
            self.emit(Evaluated(operation=operation.id, metrics=dict(results[operation.id].metrics)))
            release = self.context.plan.releases[operation.release or ""]
            found.extend(refusals(operation.evaluate, results[operation.id], release))
        return "; ".join(found)

    def _refuse(self, reason: str) -> None:
        self.rollout.roll_back_unfinished(reason)
        self.checkpoint.intent = None
        self._begun_back(reason)

    def _begun_back(self, reason: str) -> None:
        self._save(ROLLBACK, JudgedBody(reason=reason, milestone=self.rollout.position.rollback_from).to_json())
        self.emit(RollbackBegun(reason=reason))

    def _progress(self, text: str) -> None:
        self.emit(Progressed(text=text))

    def _await_confirmation(self, action: AwaitConfirmation, look: bool) -> None:
        """One round: looks at the gates where it is time, or `look`; hears answers, and does what they say."""
        if action.until_s is not None and (look or self.clock.now_s() >= action.until_s):
            self._judge()
            if self.rollout.position.rollback_from is not None:
                return
        try:
            found = self.confirming.look(action.milestone, self.checkpoint)
        except FormatError:
            raise
        except LedgerError as error:
            self.emit(Progressed(text=f"waiting for the ledger: {error}"))
            time.sleep(_ROUND_S)
            return
        said = list(self.confirming.heard())
        for text in said:
            self.emit(Progressed(text=text))
        if found.given:
            self.rollout.confirm()
            self.checkpoint.told_hold = None
            self._save()
            self.emit(Progressed(text=f"confirmed: milestone {action.milestone.index}, {action.milestone.title}"))
        elif not (found.rolls_back and self._roll_back(found.why)):
            if self.checkpoint.told_hold != found.sentence:
                self._held(found.sentence)
            elif said:
                self._save()
            time.sleep(_POLL_S)

    def _roll_back(self, reason: str) -> bool:
        """Whether it could be begun: past the point of no return there is no rollback."""
        try:
            self.rollout.roll_back(reason)
        except ValueError:
            return False
        self._begun_back(reason)
        return True

    # ---- evidence -----------------------------------------------------------------------------

    def _observe(self, action: Observe, once: bool) -> None:
        while not once and self.clock.now_s() < action.until_s:
            self.observer.poll()
            if self.stopping() or self._orders() or self._look_round():
                return
            time.sleep(max(0.0, min(_POLL_S, action.until_s - self.clock.now_s())))
        self._judge()

    def _judge(self) -> None:
        self.observer.poll()
        self._judged_arms = self.rollout.arms()
        cleared = self.rollout.position.cleared
        verdict = self.rollout.look(self.clock.now_s())
        if verdict is not None:
            self._judged(verdict, cleared)

    def _judged(self, verdict: StageVerdict, cleared: bool) -> None:
        """Writes it down. `cleared`: the stage was passed before, and waits for what must be confirmed."""
        _LOG.debug("%s: %s", self.stand(), verdict.sentence)
        position = self.rollout.position
        arms = self.rollout.arms() or self._judged_arms
        body = {
            **verdict.to_json(),
            "milestone": position.milestone,
            "asked": {arms.candidate: arms.split} if arms else {},
            "tally": self.checkpoint.tally.to_json(),
        }
        self.emit(Looked(**body, cleared=position.cleared))
        self.checkpoint.verdict = body
        if position.rollback_from is not None:
            self._save(ROLLBACK, JudgedBody.model_validate({**body, "reason": position.reason}).to_json())
            self.emit(RollbackBegun(reason=position.reason))
        elif not cleared and (position.cleared or verdict.verdict is Verdict.HOLD):
            self._save(VERDICT, JudgedBody.model_validate(body).to_json())
        else:
            self._save()

    # ---- orders and position ------------------------------------------------------------------

    def _orders(self, given_before: bool = False) -> bool:
        """Does what people ordered since the last time: pause, promote, abort. True when there was any.

        An order that can't be done is reported and left; only one given before this driver began, so by the command
        that runs, is its error.
        """
        try:
            orders = [r for r in self.ledger.records(self.checkpoint.heard, self.context.id) if r.kind == "order"]
        except FormatError:
            raise  # a newer rollcast writes here; what it wrote is not understood, so that nothing more is done
        except LedgerError:
            return False  # heard at the next look; a write that can't be made says what is wrong
        refused: StackError | None = None
        for record in orders:
            self.checkpoint.heard = record.seq
            try:
                ordered = record.read(OrderedBody)
                self.obey(ordered.known_order, ordered.full, ordered.reason)
            except StackError as error:
                refused = error
                self.emit(Progressed(text=f"{record.body.get('order')} can't be done: {error}"))
        if orders:
            self._save()
        if refused is not None and given_before:
            raise refused
        return bool(orders)

    def obey(self, order: Order, full: bool = False, reason: str = "") -> None:
        """One order of a person. Raises StackError where it can't be done any more."""
        try:
            match order:
                case Order.PAUSE:
                    self.rollout.pause()
                    self.checkpoint.stands_still = ""  # it outlasts whatever paused the rollout before
                case Order.RESUME:
                    self.rollout.resume()
                case Order.GO_ON:
                    return
                case Order.PROMOTE:
                    self.rollout.promote(full)
                    self.checkpoint.stands_still, self.checkpoint.ordered_on = "", True
                    if self.rollout.awaits is not None:
                        self.emit(Progressed(text="a promotion does not wait for proof, and confirms nothing"))
                case Order.ABORT:
                    self._abort(reason or "aborted by hand")
                case _:
                    assert_never(order)
        except ValueError as error:
            raise StackError(f"{str(error)[0].upper()}{str(error)[1:]}.") from None
        self.emit(Ordered(order=order.value, reason=reason))

    def _look_round(self) -> bool:
        """Pauses where a freeze or the brake holds, and goes on where that is over. True where either changed.

        A person who promotes takes it on to the next milestone all the same, or to the end where in full.
        """
        here = self.rollout.position
        if not self._stands or here.rollback_from is not None or here.outcome is not None:
            return False
        if self.clock.now_s() - self._looked_round_s < _ROUND_S:
            return False
        self._looked_round_s = self.clock.now_s()
        try:
            found = standstill(self.context.plan.settings.freezes, self.ledger, self.clock.wall_s())
            answers = self.confirming.read(self.rollout.awaits) if here.paused and self.rollout.awaits else None
        except FormatError:
            raise
        except LedgerError:
            return False
        if answers is not None and answers.rolls_back and self._roll_back(answers.why):
            return True  # whoever denies orders it back
        passes = self.checkpoint.ordered_on or here.full
        if found is not None and not passes and (not here.paused or self.checkpoint.stands_still):
            if self.checkpoint.stands_still == found.sentence and here.paused:
                return False
            self.rollout.pause()
            self.checkpoint.stands_still, self.checkpoint.told_hold = found.sentence, None
            self._held(found.sentence)
            return True
        if found is None and self.checkpoint.stands_still:
            self.emit(Progressed(text=f"going on: over is what held it ({self.checkpoint.stands_still})"))
            if here.paused:
                self.rollout.resume()
            self.checkpoint.stands_still = ""
            self.checkpoint.told_hold = None
            self._save()
            return True
        return False

    def _abort(self, reason: str) -> None:
        if self.checkpoint.intent is not None and self.rollout.position.rollback_from is None:
            self.rollout.roll_back_unfinished(reason)
            self.checkpoint.intent = None
        else:
            self.rollout.roll_back(reason)

    def _save(self, kind: str = "", record: Mapping[str, Any] | None = None) -> None:
        self.checkpoint.position = self.rollout.snapshot()
        self.checkpoint.elapsed_s, self.checkpoint.left_s = self.clock.now_s(), self.clock.wall_s()
        body = self.checkpoint.to_json()
        self._patiently(lambda: self.ledger.save(self.lease, self.context.id, body, kind, dict(record or {})))

    def _patiently(self, write: Callable[[], object]) -> None:
        """A ledger that is out of reach for a moment stops nothing: nothing is done until it has been written."""

        def waits(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            self.emit(Progressed(text=f"waiting for the ledger: {error}"))

        Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, LedgerError) and not self.stopping()),
            stop=stop_after_delay(_PATIENCE_S),
            wait=wait_fixed(1.0),
            before_sleep=waits,
            reraise=True,
        )(write)


def _in_short(action: Action) -> str:
    """What the state machine wants, for diagnostics."""
    match action:
        case Reach():
            ids = ", ".join(operation.id for operation in action.operations) or "nothing to do"
            return f"{'back to ' if action.rollback else ''}milestone {action.milestone.index} ({ids})"
        case Observe():
            return f"evidence until {action.until_s:.1f} s"
        case AwaitConfirmation():
            return f"what confirms milestone {action.milestone.index}"
        case Hold():
            return f"to hold: {action.reason}"
        case Finished():
            return f"the end, {action.outcome.value}: {action.reason}"
        case _:
            assert_never(action)


@dataclass(frozen=True)
class MilestoneKey:
    """A milestone on its way, with a key that distinguishes it from every other one of the rollout."""

    milestone: Milestone
    operations: tuple[Operation, ...]
    rollback: bool
    rollback_from: int | None

    @property
    def key(self) -> str:
        return f"back-{self.rollback_from}/{self.milestone.index}" if self.rollback else str(self.milestone.index)

    def to_json(self) -> dict[str, Any]:
        return {
            "milestone": self.milestone.index,
            "title": self.milestone.title,
            "rollback": self.rollback,
            "operations": [operation.id for operation in self.operations],
        }
