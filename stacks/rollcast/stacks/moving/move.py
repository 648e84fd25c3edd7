"""The move itself: in which order, and what is left when it is killed between two steps.

1. The old place is locked: nobody can take a lease or write. A lease that is held refuses the move.
2. Pulumi's stacks are carried to their new backend; the old one stays as it is.
3. All rows are copied in one transaction, held against the old ones, and marked `arriving`.
4. The old place is marked `moved`, and let go.
5. The new place is marked `here`, with a record of the move in each scope.

Killed before 4 the old place is the truth, and the new one refuses to be used; killed after it, neither is used. The
same command goes on from each of these.

Long because the order of a move is in one place.
"""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, select, text
from sqlalchemy.exc import SQLAlchemyError

from rollcast.stacks.base.databases import LEDGER_URL, first_line, ledger_file
from rollcast.stacks.base.errors import LedgerError, MovedError
from rollcast.stacks.base.failpoints import failpoint
from rollcast.stacks.base.formats import StoredModel
from rollcast.stacks.base.secrets import filled
from rollcast.stacks.engine.backends import (
    PASSPHRASE,
    backend_beside,
    backend_shown,
    backend_url,
    keep_passphrase,
    own_backend,
    passphrase,
    passphrase_file,
    refuse_other_backend,
)
from rollcast.stacks.ledger.connecting import OpenedDatabase, connect, database_now_s
from rollcast.stacks.ledger.lease import Holder
from rollcast.stacks.ledger.ledger import Ledger
from rollcast.stacks.ledger.marks import EVERY, MarkState, mark_of, put_mark
from rollcast.stacks.ledger.rollouts import STARTED, scope_of
from rollcast.stacks.ledger.schema import LEASES, RECORDS
from rollcast.stacks.moving.rows import Copied, copy, scopes_of
from rollcast.stacks.project import Project

MOVED = "moved"
OWN = "file"
"""What names the project's own file as the place to move to."""
Progress = Callable[[str], None]


class ArrivedBody(StoredModel):
    """The ledger came here: from where, how many records were there, and who moved it."""

    source: str
    place: str
    records: int
    head: str
    by: str = ""


@dataclass(frozen=True)
class Move:
    """What was moved. `backend`: Pulumi's, without a password, empty for the project's own; `stacks`: carried there.

    `passphrase_in`: the file that holds the passphrase of Pulumi's stacks; empty where a variable does.
    """

    source: str
    place: str
    copied: Copied
    backend: str
    stacks: tuple[str, ...]
    passphrase_in: str
    already: bool = False


def move(project: Project, to: str, pulumi_to: str | None, progress: Progress = lambda text: None) -> Move:
    """Moves the ledger of a project, with all of its environments, to a database, or back to its own file.

    `to`: an SQLAlchemy URL, or `file`; `pulumi_to`: a backend of Pulumi, by default the same database for a server, and
    the project's folder for its file; both may name variables of the environment. Raises LockedError where a lease is
    held, LedgerError or StackError where it can't be done: then the old place is what it was.
    """
    source = _source(project)
    target = connect(ledger_file(project.folder) if to == OWN else filled(to), named="--to")
    if source.engine.url == target.engine.url:
        raise LedgerError(f"The ledger is at {source.place} already. Name another place with --to.")
    if target.read_only:
        raise LedgerError(f"The new place can't be written ({target.read_only}). Give this user the right to write it.")
    backend = _backend(project, target, filled(pulumi_to) if pulumi_to else None)
    try:
        return _moved(project, source, target, backend, progress)
    except SQLAlchemyError as error:
        raise LedgerError(
            f"The ledger can't be moved ({first_line(error)}). Make both databases reachable and writable, and repeat "
            "'rollcast ledger move': it goes on where it is."
        ) from None


def _source(project: Project) -> OpenedDatabase:
    url, file = os.environ.get(LEDGER_URL), ledger_file(project.folder)
    if not url and not file.exists():
        raise LedgerError(f"There is no ledger at {file}: nothing is to be moved. Set {LEDGER_URL} and begin there.")
    found = connect(url or file)
    if found.read_only:
        raise LedgerError(f"The old place can't be written ({found.read_only}), so it can't be marked as moved. "
                          "Give this user the right to write it.")  # fmt: skip
    return found


def _backend(project: Project, target: OpenedDatabase, given: str | None) -> str:
    """The backend of Pulumi that goes with the new place."""
    now = backend_url(project.folder)
    if given is not None:
        return given
    if target.is_file:
        return own_backend(project.folder)
    shared = now != own_backend(project.folder)
    if shared or target.engine.dialect.name != "postgresql":
        return now
    return backend_beside(target.engine.url.render_as_string(hide_password=False))


def _moved(project: Project, source: OpenedDatabase, target: OpenedDatabase, backend: str, progress: Progress) -> Move:
    pipeline, shown = project.declaration.pipeline, backend_shown(backend, project.folder)
    declared = [scope_of(project.declaration, name) for name in project.declaration.environments]
    stacks: list[str] = []
    with _locked(source, declared) as old:
        scopes = scopes_of(old, pipeline, every=source.is_file)
        left = _left_before(old, pipeline, source, target, project.folder)
        _refuse_held(old, scopes)
        with _locked(target, declared) as new:
            arrived = mark_of(new, f"{pipeline}/")
            _refuse_used(new, pipeline, scopes, target, going_on=left)
        if left and arrived is not None:
            shown = arrived.backend
        if not left:
            began = [scope for scope in scopes if _began(old, scope)]
            stacks = _carry(project, began, backend, progress)
        if not (left and arrived is not None and arrived.state is MarkState.HERE):
            with _locked(target, declared) as new:
                progress(f"copying {len(scopes)} scopes to {target.place}")
                published = None if source.is_file else _published(project)
                copied = copy(old, new, scopes, published)
                for name in _pipelines(pipeline, scopes):
                    put_mark(new, name, MarkState.ARRIVING, source.place, shown)
                failpoint("move: before the copy is kept")
            failpoint("move: after the copy is kept")
            if not left:
                put_mark(old, EVERY if source.is_file else pipeline, MarkState.MOVED, target.place)
    failpoint("move: after the old place is marked")
    if left and arrived is not None and arrived.state is MarkState.HERE:
        return Move(source.place, target.place, Copied((), 0), arrived.backend, (), "", already=True)
    _keep_words(project, backend)
    with _locked(target, declared) as new:
        for name in _pipelines(pipeline, scopes):
            put_mark(new, name, MarkState.HERE, source.place, shown)
        for one in copied.scopes:
            body = ArrivedBody(
                source=source.place, place=target.place, records=one.records, head=one.head, by=getpass.getuser()
            )
            Ledger(target.engine, one.scope).append_within(new, MOVED, "", body.to_json())
        failpoint("move: before the end is kept")
    held_in = "" if os.environ.get(PASSPHRASE) else str(passphrase_file(project.folder))
    return Move(source.place, target.place, copied, shown, tuple(stacks), held_in)


@contextmanager
def _locked(database: OpenedDatabase, scopes: Sequence[str]) -> Iterator[Connection]:
    """A transaction in which nobody else writes to these scopes; a file is locked whole by beginning one."""
    with database.engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL lock_timeout = '15s'"))
            for scope in sorted({*scopes, *scopes_of(connection, scopes[0].partition("/")[0], every=False)}):
                connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:scope))"), {"scope": scope})
        yield connection


def _left_before(old: Connection, pipeline: str, source: OpenedDatabase, target: OpenedDatabase, root: Path) -> bool:
    """Whether the old place was marked by a move to this very place.

    Raises MovedError where it went elsewhere, StackError where Pulumi's state is not where it would be looked for.
    """
    mark = mark_of(old, f"{pipeline}/")
    if mark is None:
        return False
    if mark.state is MarkState.HERE:
        refuse_other_backend(mark.backend, root)
        return False
    if mark.state is MarkState.ARRIVING:
        raise MovedError(
            f"{source.place} is itself the end of a move from {mark.place} that has not come to its end. "
            f"Give that place to {LEDGER_URL} again, and repeat 'rollcast ledger move' there."
        )
    if mark.place != target.place:
        raise MovedError(f"The ledger was moved from {source.place} to {mark.place} before. Move it on from there.")
    return True


def _refuse_held(old: Connection, scopes: Sequence[str]) -> None:
    """Raises LockedError where somebody is at work."""
    for row in old.execute(select(LEASES).where(LEASES.c.scope.in_(scopes), LEASES.c.held.is_(True))):
        Holder.of(json.loads(row.holder)).refuse(row.expires_s - database_now_s(old), take_over=False)


def _refuse_used(
    new: Connection, pipeline: str, scopes: Sequence[str], target: OpenedDatabase, *, going_on: bool
) -> None:
    """Raises LedgerError where the new place is already somebody's ledger of one of these pipelines."""
    there = {*new.execute(select(RECORDS.c.scope).distinct()).scalars()}
    for name in _pipelines(pipeline, scopes):
        mark = mark_of(new, f"{name}/")
        used = mark.state is MarkState.HERE if mark is not None else any(s.startswith(f"{name}/") for s in there)
        if used and not going_on:
            raise LedgerError(
                f"{target.place} holds a ledger of pipeline '{name}' that is in use, and two histories can't become "
                f"one. Nothing was moved. Choose another database, or give it to {LEDGER_URL} and go on with that one."
            )


def _pipelines(pipeline: str, scopes: Sequence[str]) -> list[str]:
    return sorted({pipeline, *(scope.partition("/")[0] for scope in scopes)})


def _began(old: Connection, scope: str) -> bool:
    """Whether a rollout ever began: only then there can be a stack."""
    query = select(RECORDS.c.seq).where(RECORDS.c.scope == scope, RECORDS.c.kind == STARTED).limit(1)
    return old.execute(query).first() is not None


def _carry(project: Project, scopes: Sequence[str], backend: str, progress: Progress) -> list[str]:
    from rollcast.stacks.engine.carrying import carry

    now = backend_url(project.folder)
    if now == backend or not scopes:
        return []
    pairs = [(scope.partition("/")[0], scope.partition("/")[2]) for scope in scopes]
    return carry(project.folder, pairs, now, backend, passphrase(project.folder), progress)


def _keep_words(project: Project, backend: str) -> None:
    """A stack that comes back to the project's folder is opened by the file that is there."""
    given = os.environ.get(PASSPHRASE)
    if backend == own_backend(project.folder) and given:
        passphrase_file(project.folder).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        keep_passphrase(project.folder, given)


def _published(project: Project) -> list[str]:
    """The names under which environments publish their flags in the ledger's database."""
    found = []
    for environment in project.declaration.environments.values():
        places = (environment.flag_settings.model_extra or {}).get("publish", ())
        found += [str(place).partition("#")[2] for place in places if str(place).startswith("ledger#")]
    return found


__all__ = ["OWN", "Move", "move"]
