"""A project as its last rollout knows it: the way out when `rollcast.yaml` can't be read any more.

`abort` and `rollback` need the target and the ledger alone. What a rollout was made from is in the ledger, so that a
file that was broken since, or is gone, hinders neither.
"""

from __future__ import annotations

from pathlib import Path

from rollcast.stacks.ledger.ledger import Ledger, open_ledger, scopes_in
from rollcast.stacks.ledger.records import Record
from rollcast.stacks.ledger.rollouts import STARTED, load, under_way
from rollcast.stacks.project import Project


def recorded_project(folder: Path, environment: str | None, file: str) -> Project | None:
    """The project of the one rollout that can be meant; None where there is none, or several might be.

    A rollout under way is meant before those that are over; `environment` leaves only its own. Raises LedgerError.
    """
    ledgers = [open_ledger(folder, scope) for scope in scopes_in(folder)]
    if environment is not None:
        ledgers = [ledger for ledger in ledgers if ledger.scope.rpartition("/")[2] == environment]
    going = [(ledger, started) for ledger in ledgers if (started := under_way(ledger)) is not None]
    over = [(ledger, started) for ledger in ledgers if (started := ledger.last(STARTED)) is not None]
    meant = going or over
    return _project(folder, file, *meant[0]) if len(meant) == 1 else None


def _project(folder: Path, file: str, ledger: Ledger, started: Record) -> Project:
    context = load(ledger, started)
    name = ledger.scope.rpartition("/")[2]
    declared = context.declaration.environments.get(name)
    settings = context.plan.settings.model_copy(update={"notify": declared.notify if declared else ()})
    return Project(folder, file, "", context.declaration, name, settings, None)
