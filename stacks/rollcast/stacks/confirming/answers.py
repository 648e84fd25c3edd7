"""Who confirmed or denied a milestone, in the ledger of its rollout.

An answer names the rollout, the plan by its digest, the milestone and one of its confirmations; another plan is another
rollout, and asks again. Of each person the last answer counts, and one denial is enough. A denial by a program or a
webhook counts until somebody lets the rollout go on, which asks it once more.
"""

from __future__ import annotations

import getpass
import socket
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from rollcast.planner.base.wording import in_words
from rollcast.planner.declaration.confirmations import Confirmation, OnDenied
from rollcast.planner.plan.models import Milestone, Plan
from rollcast.planner.rollout.state_machine import Position, Rollout
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.ledger.ledger import Ledger
from rollcast.stacks.ledger.payloads import CONFIRMATION, ConfirmationBody, Order, OrderedBody
from rollcast.stacks.ledger.records import Record
from rollcast.stacks.ledger.rollouts import RolloutContext


@dataclass(frozen=True)
class ConfirmationAnswer:
    """Who answered, when (seconds since 1970 by that machine's clock), and what."""

    by: str
    confirmed: bool
    time_s: float
    reason: str = ""


@dataclass(frozen=True)
class ConfirmationState:
    """One confirmation of a milestone, with the answers that count."""

    which: int
    declared: Confirmation
    answers: tuple[ConfirmationAnswer, ...]

    @property
    def denied(self) -> ConfirmationAnswer | None:
        return next((one for one in self.answers if not one.confirmed), None)

    @property
    def given(self) -> bool:
        """Whether it is confirmed, by as many as it takes, and denied by nobody."""
        needed = self.declared.approvals if self.declared.by else 1
        return self.denied is None and len(self.answers) >= needed

    @property
    def open(self) -> bool:
        """Whether an answer is still awaited."""
        return self.denied is None and not self.given

    @property
    def sentence(self) -> str:
        """What is missing, or who denied it; empty where it is confirmed."""
        if self.denied is not None:
            why = f": {self.denied.reason}" if self.denied.reason else ""
            return f"denied by {self.denied.by}{why}"
        if self.given:
            return ""
        if not self.declared.by:
            return f"awaits the confirmation of {self.declared.who}"
        had = [one.by for one in self.answers]
        left = [name for name in dict.fromkeys(self.declared.by) if name not in had]
        missing = self.declared.approvals - len(had)
        who = in_words(left) if missing == len(left) else f"{missing} of {in_words(left)}" if missing > 1 else ""
        beside = f" beside {in_words(had)}" if had else ""
        return f"awaits the confirmation of {who or in_words(left, 'or')}{beside}"

    def to_json(self) -> dict[str, Any]:
        return {
            "source": self.declared.source,
            "who": self.declared.who,
            "needed": self.declared.approvals if self.declared.by else 1,
            "on_denied": self.declared.on_denied.value,
            "given": self.given,
            "denied": self.denied is not None,
            "answers": [asdict(one) for one in self.answers],
        }


@dataclass(frozen=True)
class MilestoneConfirmations:
    """All that a milestone waits for."""

    milestone: Milestone
    each: tuple[ConfirmationState, ...]

    @property
    def given(self) -> bool:
        return all(one.given for one in self.each)

    @property
    def denied(self) -> ConfirmationState | None:
        """The denial that decides: one that rolls back before one that holds."""
        found = [one for one in self.each if one.denied is not None]
        back = [one for one in found if one.declared.on_denied is OnDenied.ROLLBACK]
        return next(iter([*back, *found]), None)

    @property
    def rolls_back(self) -> bool:
        """Whether it is denied, and the declaration says that this means a rollback."""
        return self.denied is not None and self.denied.declared.on_denied is OnDenied.ROLLBACK

    @property
    def why(self) -> str:
        """The denial that decides, in words; empty where there is none."""
        name = f"milestone {self.milestone.index}, {self.milestone.title}"
        return f"{name}, is {self.denied.sentence}" if self.denied is not None else ""

    @property
    def sentence(self) -> str:
        """For people: what the milestone waits for, and what to do; empty where it is confirmed."""
        if self.given:
            return ""
        name = f"milestone {self.milestone.index}, {self.milestone.title}"
        parts = "; ".join(one.sentence for one in self.each if one.sentence)
        people = any(one.declared.by for one in self.each if not one.given)
        hooks = any(one.denied is not None and not one.declared.by for one in self.each)
        remedies = ["'rollcast approve' confirms it"] if people else []
        remedies += ["'rollcast apply --resume' asks again"] if hooks else []
        remedies += ["'rollcast abort' rolls back"] if self.denied is not None else []
        return f"{name}: {parts}" + (f" ({', '.join(remedies)})" if remedies else "")

    def to_json(self) -> dict[str, Any]:
        """As `status --format json` shows it."""
        milestone = {"milestone": self.milestone.index, "title": self.milestone.title}
        return {**milestone, "reason": self.sentence, "confirmations": [one.to_json() for one in self.each]}


def confirmations_of(records: Iterable[Record], milestone: Milestone, plan_digest: str) -> MilestoneConfirmations:
    """What a milestone waits for, held against the records of its rollout."""
    found: list[dict[str, ConfirmationAnswer]] = [{} for _ in milestone.confirm]
    for record in records:
        if record.kind == "order" and record.read(OrderedBody).order == Order.RESUME:
            for one, answers in zip(milestone.confirm, found, strict=True):
                if not one.by:
                    answers.clear()
        if record.kind != CONFIRMATION:
            continue
        body = record.read(ConfirmationBody)
        if (body.plan_digest, body.milestone) != (plan_digest, milestone.index) or body.which >= len(found):
            continue
        wanted = milestone.confirm[body.which]
        if body.source == wanted.source and (not wanted.by or body.by in wanted.by):
            answer = ConfirmationAnswer(body.by, body.confirmed, record.time_s, body.reason)
            found[body.which].pop(body.by, None)
            found[body.which][body.by] = answer
    pairs = enumerate(zip(milestone.confirm, found, strict=True))
    return MilestoneConfirmations(
        milestone, tuple(ConfirmationState(which, one, tuple(answers.values())) for which, (one, answers) in pairs)
    )


def awaited_of(plan: Plan, position: Position | None) -> Milestone | None:
    """The milestone whose confirmation a rollout waits for, from where it stands."""
    if position is None:
        return None
    return Rollout(plan, position.model_copy(update={"evidence": None})).awaits


def answer(
    ledger: Ledger, context: RolloutContext, milestone: Milestone, *, confirmed: bool, reason: str = ""
) -> tuple[MilestoneConfirmations, bool]:
    """Writes down what whoever runs this answers. Gives all answers, and whether there was anything to write down.

    Raises StackError where nobody asks this person.
    """
    by = may_answer(milestone)
    found = confirmations_of(ledger.records(-1, context.id), milestone, context.plan_digest)
    wanted = list(_unanswered(found, by, confirmed))
    for one in wanted:
        body = ConfirmationBody(
            plan_digest=context.plan_digest, milestone=milestone.index, which=one.which, confirmed=confirmed, by=by,
            host=socket.gethostname(), reason=reason,
        )  # fmt: skip
        ledger.append(CONFIRMATION, context.id, body.to_json())
    again = confirmations_of(ledger.records(-1, context.id), milestone, context.plan_digest)
    return again, bool(wanted)


def _unanswered(found: MilestoneConfirmations, by: str, confirmed: bool) -> Iterator[ConfirmationState]:
    """The confirmations to which a person has not given this answer."""
    for one in found.each:
        last = next((answer for answer in one.answers if answer.by == by), None)
        if by in one.declared.by and (last is None or last.confirmed is not confirmed):
            yield one


def may_answer(milestone: Milestone) -> str:
    """The name of the person who runs this, where a milestone asks this one. Raises StackError otherwise."""
    named = list(dict.fromkeys(name for one in milestone.confirm for name in one.by))
    what = f"milestone {milestone.index}, {milestone.title}"
    if not named:
        who = in_words(one.who for one in milestone.confirm)
        raise StackError(f"No person is to confirm {what}: it awaits {who}. 'rollcast abort' rolls the rollout back.")
    by = getpass.getuser()
    if by not in named:
        raise StackError(
            f"'{by}' may not confirm {what}, which names {in_words(named)}. Have one of them run 'rollcast approve'."
        )
    return by


__all__ = [
    "ConfirmationAnswer",
    "ConfirmationState",
    "MilestoneConfirmations",
    "answer",
    "awaited_of",
    "confirmations_of",
    "may_answer",
]
