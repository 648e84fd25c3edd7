"""Who agreed to a plan, in the ledger of the environment that it is for.

An approval names a person, the releases and the digest of the plan: of another plan it says nothing, and it holds for
one rollout, the next that begins. The person is the account that runs the command, as its environment says (LOGNAME,
USER), so a name is a statement and no proof: whoever may write to the ledger could write another one. Who may, is
decided where the ledger is kept.
"""

from __future__ import annotations

import getpass
import socket
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from rollcast.planner.base.wording import in_words
from rollcast.planner.declaration.models import After
from rollcast.planner.plan.models import Plan
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.base.formats import StoredModel
from rollcast.stacks.ledger.ledger import Ledger
from rollcast.stacks.ledger.records import Record
from rollcast.stacks.ledger.rollouts import STARTED

APPROVED = "approved"


class ApprovedBody(StoredModel):
    """A person agrees to a plan."""

    plan_digest: str
    releases: dict[str, str]
    by: str
    host: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Approval:
    """Who agreed, and when (seconds since 1970 by that machine's clock)."""

    by: str
    time_s: float
    reason: str = ""


@dataclass(frozen=True)
class Approvals:
    """What is known of a plan: approvals that count, the oldest first, and who agreed to another plan since."""

    given: tuple[Approval, ...]
    outdated: tuple[Approval, ...]
    awaited: tuple[str, ...]
    needed: int

    @property
    def enough(self) -> bool:
        return len(self.given) >= self.needed

    @property
    def sentence(self) -> str:
        """What is missing; empty where nothing is."""
        if self.enough:
            return ""
        left = self.needed - len(self.given)
        who = f"{self.awaited[0]}" if len(self.awaited) == 1 else f"{left} of {in_words(self.awaited)}"
        had = f" beside {in_words(one.by for one in self.given)}" if self.given else ""
        stale = f"; {in_words(one.by for one in self.outdated)} approved another plan, and it has changed since"
        return f"this plan awaits the approval of {who}{had}{stale if self.outdated else ''}"

    def to_json(self) -> dict[str, Any]:
        return {
            "needed": self.needed,
            "given": [asdict(one) for one in self.given],
            "outdated": [asdict(one) for one in self.outdated],
            "awaited": [] if self.enough else list(self.awaited),
        }


def approvals_of(records: Iterable[Record], after: After, plan_digest: str) -> Approvals:
    """The approvals of a plan in the records of its environment: each person counts once, and only who is named now."""
    since: list[Record] = []
    for record in records:
        if record.kind == STARTED:
            since = []
        elif record.kind == APPROVED:
            since.append(record)
    given: dict[str, Approval] = {}
    outdated: dict[str, Approval] = {}
    for record in since:
        body = record.read(ApprovedBody)
        if body.by in after.approved_by:
            found = given if body.plan_digest == plan_digest else outdated
            found.setdefault(body.by, Approval(body.by, record.time_s, body.reason))
    awaited = tuple(name for name in after.approved_by if name not in given)
    stale = tuple(one for name, one in outdated.items() if name not in given)
    return Approvals(tuple(given.values()), stale, awaited, after.approvals if after.approved_by else 0)


def may_approve(environment: str, after: After | None) -> str:
    """The name of the person who runs this, where an environment asks this one. Raises StackError otherwise."""
    if after is None or not after.approved_by:
        raise StackError(
            f"Environment '{environment}' asks nobody for approval. Run 'rollcast apply', or name people under "
            "'approved_by' of its 'after'."
        )
    by = getpass.getuser()
    if by not in after.approved_by:
        raise StackError(
            f"'{by}' may not approve in '{environment}', which names {in_words(after.approved_by)}. "
            "Have one of them run 'rollcast approve'."
        )
    return by


def approve(ledger: Ledger, environment: str, after: After | None, plan: Plan, reason: str = "") -> Approvals:
    """Writes down that whoever runs this agrees to a plan; gives all approvals of it.

    Raises StackError where no approval is needed, nothing changes, or this person is not named or agreed before.
    """
    by = may_approve(environment, after)
    assert after is not None
    if plan.empty:
        raise StackError("The plan changes nothing, so there is nothing to approve. See 'rollcast plan'.")
    found = approvals_of(ledger.records(), after, plan.digest)
    if any(one.by == by for one in found.given):
        rest = f" {found.sentence[:1].upper()}{found.sentence[1:]}." if found.sentence else ""
        raise StackError(
            f"'{by}' approved this plan before, and each person counts once.{rest} See 'rollcast status --all'."
        )
    body = ApprovedBody(
        plan_digest=plan.digest, releases=dict(plan.to_release), by=by, host=socket.gethostname(), reason=reason
    )
    ledger.append(APPROVED, "", body.to_json())
    return approvals_of(ledger.records(), after, plan.digest)
