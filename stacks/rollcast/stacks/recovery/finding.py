"""What a target says when its ledger is lost: who is served by what, by which instances, and who held it last.

A recovery is refused, with one error each, where it is not needed, where nothing serves, where two owners hold parts,
where the ledger that holds them goes on elsewhere, and where the driver that held them last may still be at work.
"""

from __future__ import annotations

import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from rollcast.planner.planning.settlement import split_of
from rollcast.planner.releases.releases import digest_of
from rollcast.planner.routing.split import flag_key
from rollcast.stacks.base.clock import moment
from rollcast.stacks.base.databases import LEDGER_URL, ledger_file
from rollcast.stacks.base.errors import DriftError, LedgerError, LockedError, StackError
from rollcast.stacks.flags import Holding
from rollcast.stacks.flags.definitions import OWNER
from rollcast.stacks.instances import Placed
from rollcast.stacks.ledger.lease import Holder
from rollcast.stacks.ledger.payloads import RecoveredBody
from rollcast.stacks.ledger.records import short_lineage
from rollcast.stacks.ledger.rollouts import scope_of
from rollcast.stacks.project import Project
from rollcast.stacks.recovery.lost import FoundLedger, LedgerState, found_ledger, whole_elsewhere
from rollcast.stacks.rollout.status import components
from rollcast.stacks.state.live import EditedFlags, LiveReading, read, target_at
from rollcast.stacks.targets.target import Target


@dataclass(frozen=True)
class RecoveryFinding:
    """What was found. `lineage`: whose flags and instances are to be taken over; empty where they say none."""

    ledger: FoundLedger
    live: LiveReading
    lineage: str
    token: int
    holdings: Mapping[str, Holding]
    places: tuple[str, ...]

    @property
    def split(self) -> dict[str, tuple[str, ...]]:
        """The channels that several releases serve."""
        return split_of(self.live.state)

    @property
    def digest(self) -> str:
        """Of all that is shown: what moved since is not taken over unseen."""
        held = {name: item.model_dump(mode="json") for name, item in self.holdings.items()}
        return digest_of([self.live.state.digest, self.lineage, self.token, held, dict(self.live.edits)])

    def unknown(self) -> list[str]:
        """What of the past can't be known from here, a clause each."""
        since = "since the copy that was restored" if self.ledger.state is LedgerState.BEHIND else "before"
        return [
            f"which rollouts there were {since}, who began them, why, and who approved them",
            f"what gates, evaluations and counts had shown {since}: no evidence is carried over",
            f"which releases were rolled back {since}: 'rollcast apply --once' may begin one of them again",
            f"how long releases had served {since}: an environment after this one counts from the next rollout",
            *(
                []
                if self.ledger.state is LedgerState.BEHIND
                else ["the releases that 'rollcast rollback' went back to"]
            ),
            *(
                f"which of {' and '.join(releases)} the rollout on channel '{track}' was to lead to"
                for track, releases in self.split.items()
            ),
        ]

    def body(self, by: str, reason: str, aside: str) -> RecoveredBody:
        """As it is kept in the ledger."""
        state = self.live.state
        served = sorted({share.release for shares in state.serving.values() for share in shares})
        return RecoveredBody(
            places=list(self.places),
            lineage=self.lineage,
            token=self.token,
            serving=[share.model_dump(mode="json") for shares in state.serving.values() for share in shares],
            releases={name: components(state.releases[name]) for name in served},
            instances={folder: item.release for folder, item in self.live.placed.items()},
            holders={name: item.model_dump(mode="json") for name, item in self.holdings.items()},
            edits=list(self.live.edits.values()),
            unknown=self.unknown(),
            ledger=self.ledger.why,
            aside=aside,
            by=by,
            reason=reason,
        )


def find(project: Project, *, gone: bool = False) -> RecoveryFinding:
    """What the target of a project says. `gone`: a person has seen that the driver it names has ended.

    Where the ledger is whole nothing more is looked at. Raises LockedError where a driver may be at work, DriftError
    where a flag is not rollcast's, LedgerError and StackError for all else that refuses a recovery.
    """
    target = target_at(project.folder, project.environment, scope_of(project.declaration, project.environment_name))
    pipelines = {*project.declaration.each_pipeline()}
    token = target.newest()
    ledger = found_ledger(project, token)
    live = read(target, sorted(pipelines), EditedFlags.AS_WRITTEN)
    if live.foreign:
        raise DriftError(f"{live.edits[live.foreign[0]]}. Remove it from the definition, or choose another target.")
    holdings = {name: item for name, item in sorted(target.holdings().items()) if name in pipelines}
    flags, placed = owned(target, pipelines)
    lineage = _owner(flags, placed, ledger)
    found = RecoveryFinding(ledger, live, lineage, token, holdings, target.places)
    if ledger.state in (LedgerState.WHOLE, LedgerState.RECOVERED):
        return found
    if not flags and not placed:
        _refuse_nothing(project, target, pipelines, ledger)
    _refuse_elsewhere(project, found)
    _refuse_living(holdings, gone=gone)
    return found


def owned(target: Target, pipelines: Collection[str]) -> tuple[dict[str, Any], dict[str, Placed]]:
    """The flags of these pipelines, by key, and the instances that were made for them."""
    there = target.flags()
    flags = {key: there[key] for name in sorted(pipelines) if (key := flag_key(name)) in there}
    placed = {
        folder: item
        for folder, item in target.placed().items()
        if (item.pipeline or folder.partition("/")[0]) in pipelines
    }
    return flags, placed


def _owner(flags: Mapping[str, Any], placed: Mapping[str, Placed], ledger: FoundLedger) -> str:
    """Whose flags and instances these are. Raises LedgerError where two ledgers own parts of them."""
    owners: dict[str, str] = {}
    for key, flag in flags.items():
        owners.setdefault(str((flag.get("metadata") or {}).get(OWNER) or ""), f"flag {key}")
    for folder, item in placed.items():
        owners.setdefault(item.owner, f"instance {folder}")
    owners.pop("", None)
    if ledger.state is LedgerState.GOING_ON:
        owners.pop(ledger.lineage, None)
        expected = ledger.begun.lineage if ledger.begun is not None else ""
        if expected and expected != ledger.lineage:
            owners.setdefault(expected, "what a recovery had begun to take over")
    if ledger.lineage and ledger.state is not LedgerState.GOING_ON:
        owners.setdefault(ledger.lineage, "the history of the ledger here")
    if len(owners) > 1:
        shown = "; ".join(f"{what} is of lineage {short_lineage(owner)}" for owner, what in owners.items())
        raise LedgerError(
            f"Two ledgers hold parts of what is declared here ({shown}), and two histories can't become one. Nothing "
            "was changed. Go on with the one that is left, or take away by hand what the other one put there; a ledger "
            f"here that is not the lost one has to be moved out of the way, or {LEDGER_URL} set to the right one."
        )
    return next(iter(owners), ledger.lineage)


def _refuse_nothing(project: Project, target: Target, pipelines: Collection[str], ledger: FoundLedger) -> None:
    """Nothing is there. Raises StackError where the ledger has nothing to recover from, either."""
    if ledger.state not in (LedgerState.ABSENT, LedgerState.BROKEN):
        return
    names = ", ".join(sorted(pipelines))
    first = "" if ledger.state is LedgerState.ABSENT else f"Move {ledger_file(project.folder)} out of the way, and "
    remedy = f"{first}begin with 'rollcast apply', or correct the target of the environment."
    raise StackError(
        f"Nothing of {names} serves at the target of {project.environment_name} ({', '.join(target.places)}), so there "
        f"is nothing to recover. {remedy[0].upper()}{remedy[1:]}"
    )


def _refuse_elsewhere(project: Project, found: RecoveryFinding) -> None:
    """Raises LedgerError where the ledger that the target names is there: nothing is lost."""
    scope, own = scope_of(project.declaration, project.environment_name), ledger_file(project.folder)
    for name, item in found.holdings.items():
        if item.lineage == found.lineage and whole_elsewhere(
            item.ledger, socket.gethostname(), item.lineage, scope, own
        ):
            raise LedgerError(
                f"The ledger of pipeline '{name}' is not lost: it is {item.ledger}, and it is whole. Go on with it, in "
                f"its own project or by {LEDGER_URL}."
            )


def _refuse_living(holdings: Mapping[str, Holding], *, gone: bool) -> None:
    """Raises LockedError where the driver that held the target last lives, or may live on another machine."""
    for name, item in holdings.items():
        since = moment(item.since_s)
        what = f"rollout {item.rollout} of pipeline '{name}' was last driven by {item.driver}, since {since}"
        holder = Holder.of(item.identity) if item.identity else None
        if holder is not None and (holder.is_gone or holder == Holder.this()):
            continue
        if holder is not None and holder.host == socket.gethostname():
            raise LockedError(
                f"The driver that holds the target lives: {what}. It may still write. End it (Ctrl-C, or SIGTERM to "
                f"process {holder.pid}), then run 'rollcast recover' again."
            )
        if not gone:
            raise LockedError(
                f"Whether the driver that held the target has ended can't be seen from this machine: {what}. Look "
                "there, end it where it runs, then run 'rollcast recover --driver-gone'."
            )


__all__ = ["RecoveryFinding", "find", "owned"]
