"""What a driver does about confirmations: asks programs and webhooks, writes down what they say, reads all answers."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from rollcast.planner.plan.models import Milestone
from rollcast.stacks.confirming.answers import (
    ConfirmationState,
    MilestoneConfirmations,
    confirmations_of,
)
from rollcast.stacks.confirming.asker import Asker
from rollcast.stacks.confirming.asking import Heard, question_of
from rollcast.stacks.ledger.lease import Lease
from rollcast.stacks.ledger.ledger import Ledger
from rollcast.stacks.ledger.payloads import CONFIRMATION, ConfirmationBody
from rollcast.stacks.ledger.records import Record
from rollcast.stacks.ledger.rollouts import RolloutContext
from rollcast.stacks.rollout.checkpoint import Checkpoint


class Confirming:
    """The confirmations of one rollout, for the process that carries it on.

    As of the last look: `sentence` says what is awaited, `asking` whether a program or a webhook has still to answer.
    """

    def __init__(self, context: RolloutContext, ledger: Ledger, lease: Lease, asker: Asker) -> None:
        self._context, self._ledger, self._lease, self._asker = context, ledger, lease, asker
        self._said: list[str] = []
        self._records: list[Record] = []  # of the rollout, as far as they were read
        self.sentence = ""
        self.asking = False

    def look(self, milestone: Milestone, checkpoint: Checkpoint) -> MilestoneConfirmations:
        """All answers of now; what only a program or a webhook can answer is put to them, which nothing waits for.

        Raises LedgerError.
        """
        found = self.read(milestone)
        wrote = False
        if found.denied is None:
            for one in found.each:
                if one.open and not one.declared.by:
                    wrote |= self._ask(milestone, one, checkpoint)
        if wrote:
            found = self.read(milestone)
        self.sentence = found.sentence
        self.asking = self._asker.asking and found.denied is None
        return found

    def heard(self) -> Iterator[str]:
        """What is to be said of tries since the last time."""
        said, self._said = self._said, []
        yield from said

    def end(self) -> None:
        self._asker.end()

    def read(self, milestone: Milestone) -> MilestoneConfirmations:
        """All answers of now. Only what is new is read, however long it waits. Raises LedgerError."""
        newest = self._records[-1].seq if self._records else -1
        self._records += self._ledger.records(newest, self._context.id)
        return confirmations_of(self._records, milestone, self._context.plan_digest)

    def _ask(self, milestone: Milestone, one: ConfirmationState, checkpoint: Checkpoint) -> bool:
        """Whether an answer that decides was written down."""
        question = question_of(self._context, milestone, one.which, checkpoint.verdict)
        heard = self._asker.look(one.declared, question)
        if heard is None:
            return False
        if heard.confirmed is None:
            checkpoint.unanswered[question.id] = heard.reason
            self._said.append(
                f"{one.declared.who} has not confirmed milestone {milestone.index}: {heard.reason}; the next try is in "
                f"{one.declared.ask_every:g} s"
            )
            return False
        checkpoint.unanswered.pop(question.id, None)
        self._write(milestone, one, heard, heard.confirmed)
        return True

    def _write(self, milestone: Milestone, one: ConfirmationState, heard: Heard, confirmed: bool) -> None:
        body = ConfirmationBody(
            plan_digest=self._context.plan_digest, milestone=milestone.index, which=one.which, confirmed=confirmed,
            by=one.declared.who, source=one.declared.source, host=socket.gethostname(), reason=heard.reason,
        )  # fmt: skip
        self._ledger.append(CONFIRMATION, self._context.id, body.to_json(), self._lease)


__all__ = ["Confirming"]
