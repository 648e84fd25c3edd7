"""Taking over what a lost ledger owned, so that its successor goes on: nobody is served by anything else.

1. A ledger that can't be read is set aside, as it is.
2. The new one begins with what was found, from where, and what can't be known.
3. Its fencing token, above every one that the target has seen, is claimed: whoever wrote before writes no more.
4. Instances change hands, then flags, one at a time; what runs and what is routed stays as it is.
5. The target names the new ledger, and the ledger says that the recovery is complete.

Killed between any two of these the same command goes on, and until it has every other command refuses or finds the old
owner. What was shown to a person is looked at again under the lease: where it moved, nothing is taken over.
"""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rollcast.stacks.base.databases import ledger_file
from rollcast.stacks.base.errors import LedgerError, StaleError
from rollcast.stacks.base.failpoints import failpoint
from rollcast.stacks.flags import Holding
from rollcast.stacks.flags.definitions import OWNER
from rollcast.stacks.ledger.lease import Lease
from rollcast.stacks.ledger.ledger import Ledger
from rollcast.stacks.ledger.payloads import RecoveredBody
from rollcast.stacks.ledger.rollouts import RECOVERED, RECOVERING, ledger_of
from rollcast.stacks.project import Project
from rollcast.stacks.recovery.finding import RecoveryFinding, find, owned
from rollcast.stacks.recovery.lost import LedgerState
from rollcast.stacks.rollout.start import holding
from rollcast.stacks.state.live import target_at
from rollcast.stacks.targets.target import Target

_LOST = ".lost-"
_BESIDE = ("-journal", "-wal", "-shm")  # what SQLite keeps beside a file
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Recovery:
    """What was done: the ledger that goes on, its lineage and token, and what it begins with."""

    ledger: str
    lineage: str
    token: int
    body: RecoveredBody


def take_over(
    project: Project,
    shown: RecoveryFinding,
    *,
    gone: bool = False,
    reason: str = "",
    progress: Progress = lambda text: None,
) -> Recovery:
    """Carries a recovery out. Raises as `find` does, and StaleError where the target moved since it was shown."""
    _refuse_moved(shown, find(project, gone=gone))
    if shown.ledger.state is LedgerState.BROKEN:
        _set_aside(project, progress)
    ledger = ledger_of(project)
    begun, own = shown.ledger.begun, shown.body(getpass.getuser(), reason, _kept_aside(project))
    beginning = (RECOVERING, own.to_json()) if begun is None else None
    with holding(ledger, take_over=True, above=shown.token, beginning=beginning) as held:
        failpoint("recover: begun")
        _refuse_moved(shown, find(project, gone=gone))
        target = target_at(project.folder, project.environment, ledger.scope)
        target.claim(held.lease.token)
        body = own if begun is None else _with_what_serves(begun, own)
        _change_hands(project, target, ledger, held.lease, body.lineage, progress)
        ledger.append(RECOVERED, "", body.to_json(), held.lease)
        failpoint("recover: complete")
        return Recovery(ledger.place, ledger.lineage(), held.lease.token, body)


def _refuse_moved(shown: RecoveryFinding, found: RecoveryFinding) -> None:
    """Raises StaleError where the target says something else than was shown."""
    if shown.digest != found.digest:
        raise StaleError(
            "What the target says moved since it was shown: somebody is at work there. Nothing was taken over. "
            "Run 'rollcast recover' again."
        )


def _with_what_serves(begun: RecoveredBody, own: RecoveredBody) -> RecoveredBody:
    """What a recovery began with, and what it finds now that it goes on."""
    now = {name: getattr(own, name) for name in ("serving", "releases", "instances", "edits", "token")}
    return begun.model_copy(update=now)


def _change_hands(
    project: Project, target: Target, ledger: Ledger, lease: Lease, before: str, progress: Progress
) -> None:
    """Marks what is ours as the new ledger's. Raises FenceError where somebody has taken over meanwhile."""
    mine, pipelines = ledger.lineage(), {*project.declaration.each_pipeline()}
    flags, placed = owned(target, pipelines)
    for folder, item in placed.items():
        if item.owner != mine:
            progress(f"taking over instance {folder}")
            target.hand_over(lease.token, item, before, mine)
            failpoint("recover: an instance was taken over")
    for key, flag in flags.items():
        metadata = flag.get("metadata") or {}
        if metadata.get(OWNER) != mine:
            progress(f"taking over flag {key}")
            target.put_flag(lease.token, key, {**flag, "metadata": {**metadata, OWNER: mine}})
            failpoint("recover: a flag was taken over")
    said = Holding(
        lineage=mine, ledger=ledger.place, driver=str(lease.holder), rollout="none: it was recovered",
        since_s=time.time(), identity=lease.holder.to_json(),
    )  # fmt: skip
    target.put_holding(lease.token, sorted(pipelines), said)
    failpoint("recover: the ledger is named")


def _kept_aside(project: Project) -> str:
    """The ledger that was set aside last, also by a recovery that was killed; empty where there is none."""
    file = ledger_file(project.folder)
    kept = [path for path in file.parent.glob(f"{file.name}{_LOST}*") if not path.name.endswith(_BESIDE)]
    return str(max(kept, key=lambda path: path.name, default=""))


def _set_aside(project: Project, progress: Progress) -> None:
    """Moves a file that can't be read beside itself, with what SQLite keeps beside it. Raises LedgerError."""
    file = ledger_file(project.folder)
    kept = _free(file)
    try:
        for suffix in _BESIDE:
            beside = Path(f"{file}{suffix}")
            if beside.exists():
                os.replace(beside, f"{kept}{suffix}")
        os.replace(file, kept)
    except OSError as error:
        raise LedgerError(
            f"{file} can't be moved to {kept} ({error.strerror}). Give this user the right to write its folder, then "
            "run 'rollcast recover' again."
        ) from None
    progress(f"the ledger that can't be read is kept as {kept}")
    failpoint("recover: the old ledger was set aside")


def _free(file: Path) -> Path:
    """A name beside a file that nothing has: an older ledger that was set aside stays, too."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    names = (f"{file.name}{_LOST}{stamp}{f'-{number}' if number else ''}" for number in range(1000))
    return next(path for name in names if not (path := file.with_name(name)).exists())


__all__ = ["Recovery", "take_over"]
