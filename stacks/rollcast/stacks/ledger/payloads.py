"""The bodies of records, one model a kind, and the closed set of orders.

A writer gives a model's `to_json`; a reader asks a record for it (`record.read(StartedBody)`), and gets an error that
names the record where its body is of a newer format, or lacks what every version wrote.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import Field

from rollcast.planner.base.errors import did_you_mean
from rollcast.planner.rollout.state_machine import Outcome
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.base.formats import StoredModel

CONFIRMATION = "confirmation"
VERDICT, ROLLBACK = "verdict", "rollback"  # the kinds of records whose body is a JudgedBody


class Order(StrEnum):
    """What a person may order. The words are those of the ledger."""

    PAUSE = "pause"
    RESUME = "resume"
    GO_ON = "go on"  # whoever waited goes on with what another process left; nothing changes
    PROMOTE = "promote"
    ABORT = "abort"


class StartedBody(StoredModel):
    """A rollout begins: the digests of its documents, who began it and why."""

    documents: dict[str, str]
    plan_digest: str
    binding: dict[str, Any]
    from_release: dict[str, str | None]
    to_release: dict[str, str]
    holder: str = ""
    by: str = ""
    reason: str = ""
    forecast: str | None = Field(None, description="the digest of the forecast that was shown for it")
    rollback: bool = Field(False, description="it goes back to an earlier release")
    declared: str = Field("", description="of a rollback: the digest of the declaration that it leaves")
    hotfix: str = Field("", description="why it did not wait for its time in the environment before")
    eligibility: dict[str, Any] | None = Field(
        None, description="of an environment after another: what the release had served, and who approved the plan"
    )

    @property
    def approved_by(self) -> list[str]:
        """Who approved the plan."""
        given = ((self.eligibility or {}).get("approvals") or {}).get("given", [])
        return [str(one["by"]) for one in given]


class IntentBody(StoredModel):
    """A driver sets out for a milestone."""

    milestone: int
    title: str
    rollback: bool
    operations: list[str] = Field(default_factory=list)


class ReachedBody(IntentBody):
    """A milestone is true; `serving` is what was read back then."""

    serving: list[dict[str, Any]]


class FailedBody(IntentBody):
    """A milestone could not be carried out."""

    error: str


class HeldBody(StoredModel):
    """The rollout stays where it is, and why."""

    reason: str
    milestone: int


class JudgedBody(StoredModel):
    """What the gates said of a stage; further fields are the verdict's own, see `StageVerdict`."""

    milestone: int | None
    reason: str = ""


class ConfirmationBody(StoredModel):
    """A milestone is confirmed or denied. `which`: the place of the confirmation in its milestone.

    `source` is person, command or webhook; `by` that person, or what stands for the program or the webhook.
    """

    plan_digest: str
    milestone: int
    which: int
    confirmed: bool
    by: str
    source: str = "person"
    host: str = ""
    reason: str = ""


class MovedBody(StoredModel):
    """What was changed by hand, as it was found or as it was put back."""

    moved: list[str]


class FinishedBody(StoredModel):
    """A rollout is over."""

    outcome: str
    reason: str
    tally: dict[str, Any]

    @property
    def ending(self) -> Outcome:
        """How it ended. Raises StackError on an outcome that is not known here."""
        try:
            return Outcome(self.outcome)
        except ValueError:
            raise StackError(
                f"The rollout ended with '{self.outcome}', an outcome of another version of rollcast. "
                "Use the newer of the two."
            ) from None


class OrderedBody(StoredModel):
    """An order of a person, as it was left. What it orders may be of another version: `known_order` says."""

    order: str
    full: bool = False
    reason: str = ""
    by: str = ""
    cause: str = "by hand"

    @property
    def known_order(self) -> Order:
        """The order. Raises StackError on one that is not known here: it is left, and nothing is done for it."""
        return order_of(self.order)


class RecoveredBody(StoredModel):
    """What was found where a ledger was lost, from what, and what of it can't be known: the beginning of another one.

    `places`: where it was read. `token`: the newest that the target had seen. `aside`: where the ledger that could not
    be read was kept; `lineage`: whose flags and instances it was that are taken over, empty where they said none.
    """

    places: list[str]
    lineage: str
    token: int
    serving: list[dict[str, Any]]
    releases: dict[str, dict[str, str]]
    instances: dict[str, str] = Field(default_factory=dict, description="folder -> the release it was made for")
    holders: dict[str, dict[str, Any]] = Field(default_factory=dict, description="by pipeline: ledger and driver")
    edits: list[str] = Field(default_factory=list, description="what was changed by hand, as far as flags say")
    unknown: list[str] = Field(default_factory=list)
    ledger: str = Field("", description="why the ledger was not gone on with")
    aside: str = ""
    by: str = ""
    reason: str = ""


class RetriedBody(StoredModel):
    """A release that was rejected may be tried again."""

    reason: str
    by: str = ""


def order_of(word: str) -> Order:
    """The order of a word. Raises StackError."""
    try:
        return Order(word)
    except ValueError:
        raise StackError(
            f"'{word}' is no order that this rollcast knows: another version wrote it. Nothing was done for it. "
            f"{did_you_mean(word, list(Order))} Use the newer of the two."
        ) from None
