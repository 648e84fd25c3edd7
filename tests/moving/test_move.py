"""A ledger moves to a database that a team shares, and back: every row, the chain, marks, and what a kill leaves."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, text

from rollcast.stacks.base import failpoints
from rollcast.stacks.base.errors import LedgerError, LockedError, MovedError, StackError
from rollcast.stacks.ledger.ledger import open_ledger
from rollcast.stacks.ledger.records import verify
from rollcast.stacks.moving.move import move
from rollcast.stacks.project import Project
from tests.stacks.servers import Postgres, postgres

TEXT = """
schema: rollcast/v1
pipeline: shop
artifacts: [{kind: prompt-template, name: p, version: "1", source: "file:m/1"}]
components: {answer: {artifact: p@1}}
environments:
  staging: {default: true, target: {publish: ["ledger#shop-staging"]}}
  prod: {}
"""
TABLES = {
    "rollcast_records": "scope, seq",
    "rollcast_documents": "digest",
    "rollcast_positions": "scope, rollout",
    "rollcast_leases": "scope",
}
POINTS = [
    "move: before the copy is kept",
    "move: after the copy is kept",
    "move: after the old place is marked",
    "move: before the end is kept",
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with postgres(tmp_path_factory.mktemp("postgres")) as found:
        yield found


@pytest.fixture(autouse=True)
def nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ROLLCAST_LEDGER_URL", "PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE"):
        monkeypatch.delenv(name, raising=False)


def project_in(folder: Path) -> Project:
    (folder / "m").mkdir(parents=True)
    (folder / "m/1").write_text("prompt\n", "utf-8")
    (folder / "rollcast.yaml").write_text(TEXT, "utf-8")
    return Project.open(folder, "staging")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = project_in(tmp_path / "project")
    filled(made)
    return made


def filled(project: Project, count: int = 3) -> None:
    """A history of two environments, with documents and positions."""
    for environment in ("staging", "prod"):
        ledger = open_ledger(project.folder, f"shop/{environment}")
        for number in range(count):
            lease = ledger.acquire()
            digest = ledger.put({"plan": number, "text": "ü\n'\"\x00", "within": ledger.put([environment, number])})
            ledger.append("note", f"ro-{number}", {"documents": {"plan": digest}, "x": 0.1 * number}, lease)
            ledger.save(lease, f"ro-{number}", {"at": number}, "saved", {"n": number})
            ledger.release(lease)


def file_url(project: Project) -> str:
    return f"sqlite:///{project.folder}/.rollcast/ledger.db"


def rows(url: str) -> dict[str, list[str]]:
    """All that a ledger's database holds, without the records and marks of moves."""
    engine = create_engine(url)
    with engine.connect() as connection:
        found = {
            table: [tuple(row) for row in connection.execute(text(f"SELECT * FROM {table} ORDER BY {key}"))]
            for table, key in TABLES.items()
        }
    engine.dispose()
    found["rollcast_records"] = [row for row in found["rollcast_records"] if row[3] != "moved"]
    plain = {True: 1, False: 0}  # SQLite has no truth values
    return {
        table: sorted(repr([plain[value] if isinstance(value, bool) else value for value in row]) for row in each)
        for table, each in found.items()
    }


@contextmanager
def using(url: str) -> Iterator[None]:
    """Commands of this block find their ledger there, and Pulumi's state as the move said it."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("ROLLCAST_LEDGER_URL", url)
        if url.startswith("postgresql"):
            patched.setenv("PULUMI_BACKEND_URL", url.replace("postgresql+psycopg", "postgres"))
        yield


# ---- every row --------------------------------------------------------------------------------

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=5,
)
steps = st.lists(
    st.tuples(st.sampled_from(["append", "document", "position"]), st.sampled_from(["staging", "prod"]), values),
    min_size=1,
    max_size=8,
)


def written(folder: Path, history: list[tuple[str, str, Any]]) -> None:
    ledgers = {name: open_ledger(folder, f"shop/{name}") for name in ("staging", "prod")}
    for number, (what, environment, value) in enumerate(history):
        ledger = ledgers[environment]
        if what == "append":
            ledger.append("note", f"ro-{number}", {"value": value})
        elif what == "document":
            ledger.append("note", "", {"kept": ledger.put({"inner": ledger.put([value]), "value": value})})
        else:
            lease = ledger.acquire()
            ledger.save(lease, "ro-1", {"value": value}, "saved", {"value": value})
            ledger.release(lease)


@given(steps, steps)
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_move_there_and_back_keeps_every_row_and_an_unbroken_chain(
    server: Postgres, before: list[tuple[str, str, Any]], between: list[tuple[str, str, Any]]
) -> None:
    url = server.database()
    with tempfile.TemporaryDirectory() as name:
        project = project_in(Path(name) / "project")
        written(project.folder, before)
        had = rows(file_url(project))
        move(project, url, None)
        assert rows(url) == had
        with using(url):
            written(project.folder, between)
            now = rows(url)
            move(project, "file", None)
        assert rows(file_url(project)) == now
        for scope in ("shop/staging", "shop/prod"):
            verify(open_ledger(project.folder, scope).records())


def test_the_history_goes_on_where_it_was(project: Project, server: Postgres) -> None:
    url, lineage = server.database(), open_ledger(project.folder, "shop/prod").lineage()
    found = move(project, url, None)
    assert [(one.scope, one.records) for one in found.copied.scopes] == [("shop/prod", 6), ("shop/staging", 6)]
    assert found.copied.documents == 12
    with using(url):
        ledger = open_ledger(project.folder, "shop/prod")
        assert ledger.lineage() == lineage, "whose instances are at a target is still said by the same history"
        assert ledger.acquire().token == 4, "fencing tokens go on above those that the target has seen"
        last = ledger.last("moved")
        assert last is not None
        assert (last.seq, last.body["records"], last.body["by"] != "") == (6, 6, True)
        assert ledger.get(ledger.records()[0].body["documents"]["plan"])["plan"] == 0


def test_several_projects_move_into_one_database_and_one_of_them_back(
    project: Project, server: Postgres, tmp_path: Path
) -> None:
    url = server.database()
    move(project, url, None)
    other = project_in(tmp_path / "other")
    (other.folder / "rollcast.yaml").write_text(TEXT.replace("pipeline: shop", "pipeline: mall"), "utf-8")
    other = Project.open(other.folder, "prod")
    open_ledger(other.folder, "mall/prod").append("note", "", {"kept": open_ledger(other.folder, "mall/prod").put(7)})
    had = rows(file_url(other))
    move(other, url, None)
    with using(url):
        assert len(open_ledger(project.folder, "shop/prod").records()) == 7
        move(other, "file", None)
        assert open_ledger(project.folder, "shop/prod").append("note", "", {}).seq == 7, "the others stay and go on"
        with pytest.raises(MovedError):
            open_ledger(other.folder, "mall/staging")
    assert rows(file_url(other)) == had, "nothing of another project is in the file"


def test_flags_that_relays_read_in_the_ledger_go_along(project: Project, server: Postgres) -> None:
    from rollcast.stacks.flags.publishing import place_of

    place_of("ledger#shop-staging", project.folder).put('{"flags": {}}')
    url = server.database()
    move(project, url, None)
    with using(url):
        found = place_of("ledger#shop-staging", project.folder).get()
    assert found is not None
    assert found[1] == '{"flags": {}}'


# ---- the old place ----------------------------------------------------------------------------


def test_nobody_goes_on_with_the_old_ledger_and_no_password_is_shown(
    project: Project, server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = open_ledger(project.folder, "shop/prod")
    monkeypatch.setenv("TEAM_PASSWORD", "hunter2")
    url = server.database().replace("rollcast@", "rollcast:${TEAM_PASSWORD}@")
    found = move(project, url, None)
    assert "hunter2" not in repr(found)
    for scope in ("shop/prod", "shop/staging", "shop/never-used", "renamed/prod"):
        with pytest.raises(MovedError, match=r"was moved to postgresql\+psycopg://rollcast:\*\*\*@127.0.0.1") as caught:
            open_ledger(project.folder, scope)
        assert "Set ROLLCAST_LEDGER_URL to that database" in str(caught.value)
        assert "hunter2" not in str(caught.value)
    with pytest.raises(MovedError):
        old.append("note", "", {})
    with pytest.raises(MovedError):
        old.acquire()


def test_the_file_is_the_ledger_again_after_a_move_back_and_the_database_refuses(
    project: Project, server: Postgres
) -> None:
    url = server.database()
    move(project, url, None)
    with using(url):
        move(project, "file", None)
        with pytest.raises(MovedError, match=r"Unset ROLLCAST_LEDGER_URL, and go on"):
            open_ledger(project.folder, "shop/prod")
    assert open_ledger(project.folder, "shop/prod").append("note", "", {}).seq == 8
    move(project, url, None)
    with using(url):
        assert verify(open_ledger(project.folder, "shop/prod").records()) == 10


def test_a_move_that_is_over_says_so_when_it_is_repeated(project: Project, server: Postgres) -> None:
    url = server.database()
    assert not move(project, url, None).already
    with using(url):
        open_ledger(project.folder, "shop/prod").append("note", "", {})
    assert move(project, url, None).already
    with using(url):
        assert verify(open_ledger(project.folder, "shop/prod").records()) == 8


# ---- refused ----------------------------------------------------------------------------------


def test_it_is_refused_while_somebody_is_at_work_and_while_a_dead_one_holds_the_lease(
    project: Project, server: Postgres
) -> None:
    url, ledger = server.database(), open_ledger(project.folder, "shop/prod")
    lease = ledger.acquire()
    with pytest.raises(LockedError, match="is at work here and holds the lease"):
        move(project, url, None)
    ledger.renew(lease, ttl_s=-5.0)
    with pytest.raises(LockedError, match="Take it over with 'rollcast apply --resume'"):
        move(project, url, None)
    ledger.append("note", "", {}, lease)
    ledger.release(lease)
    move(project, url, None)


def test_a_database_with_another_history_of_the_pipeline_is_refused(
    project: Project, server: Postgres, tmp_path: Path
) -> None:
    url = server.database()
    with using(url):
        open_ledger(project.folder, "shop/prod").append("note", "", {"other": True})
    with pytest.raises(LedgerError, match="holds a ledger of pipeline 'shop' that is in use"):
        move(project, url, None)
    assert open_ledger(project.folder, "shop/prod").append("note", "", {}).seq == 6, "the old one is what it was"


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("file", "is at .* already"),
        ("postgresql+psycopg://me:hunter2@127.0.0.1:1/none", "Correct --to, or make the database reachable"),
        ("nonsense", "its URL is none.*Correct --to"),
        ("postgresql+psycopg://me:${NOT_SET_HERE}@db/x", "NOT_SET_HERE isn't set"),
    ],
)
def test_a_place_that_is_none_is_refused_in_a_sentence(project: Project, to: str, said: str) -> None:
    with pytest.raises(StackError, match=said) as caught:
        move(project, to, None)
    assert "hunter2" not in str(caught.value)


def test_a_project_without_a_ledger_has_nothing_to_move(tmp_path: Path) -> None:
    project = project_in(tmp_path / "project")
    with pytest.raises(LedgerError, match=r"There is no ledger at .*: nothing is to be moved"):
        move(project, f"sqlite:///{tmp_path}/other.db", None)
    assert not (project.folder / ".rollcast").exists()


def test_an_edited_ledger_is_not_moved(project: Project, server: Postgres) -> None:
    with create_engine(file_url(project)).begin() as connection:
        connection.execute(text("DROP TRIGGER rollcast_records_no_UPDATE"))
        connection.execute(text("UPDATE rollcast_records SET body = '{}' WHERE seq = 2 AND scope = 'shop/prod'"))
    url = server.database()
    with pytest.raises(LedgerError, match="Record 2 of shop/prod was edited"):
        move(project, url, None)
    assert rows(url)["rollcast_records"] == []
    open_ledger(project.folder, "shop/prod").append("note", "", {})


def test_a_ledger_is_not_moved_on_without_the_state_of_its_stacks(project: Project, server: Postgres) -> None:
    url = server.database()
    move(project, url, None)
    with using(url), pytest.MonkeyPatch.context() as elsewhere:  # inside: what is undone last would come back for good
        elsewhere.setenv("PULUMI_BACKEND_URL", "postgres://elsewhere/x")
        with pytest.raises(StackError, match=r"at postgres://127.0.0.1:\d+/test_\d+, and PULUMI_BACKEND_URL names "
                                             r"postgres://elsewhere/x"):  # fmt: skip
            move(project, "file", None)


# ---- killed -----------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from pathlib import Path
from rollcast.stacks.base import failpoints
from rollcast.stacks.moving.move import move
from rollcast.stacks.project import Project
failpoints.install(lambda name: os.kill(os.getpid(), signal.SIGKILL) if name == sys.argv[3] else None)
move(Project.open(Path(sys.argv[1]), "staging"), sys.argv[2], None)
"""


@pytest.mark.parametrize("point", POINTS)
def test_a_move_that_is_killed_leaves_one_truth_and_goes_on(project: Project, server: Postgres, point: str) -> None:
    url, had = server.database(), rows(file_url(project))
    done = subprocess.run([sys.executable, "-c", KILLED, str(project.folder), url, point], check=False)
    assert done.returncode == -signal.SIGKILL
    marked = POINTS.index(point) >= 2
    if marked:
        with pytest.raises(MovedError):
            open_ledger(project.folder, "shop/prod")
    else:
        open_ledger(project.folder, "shop/prod").append("note", "", {"after": "the kill"})
    with using(url):
        usable = usable_as_new(project)
        assert not usable or rows(url)["rollcast_records"] == [], "a copy that is not confirmed is never gone on with"
    move(project, url, None)
    with using(url):
        ledger = open_ledger(project.folder, "shop/prod")
        assert verify(ledger.records()) == (7 if marked else 8)
        assert {*had["rollcast_records"]} <= {*rows(url)["rollcast_records"]}


def usable_as_new(project: Project) -> bool:
    """Whether the new place lets anybody begin; it then has nothing of the history."""
    try:
        open_ledger(project.folder, "shop/prod")
    except MovedError as error:
        return "that has not come to its end" not in str(error)
    return True


class Killed(BaseException):
    """Ends a move in this process, as a kill would."""


@given(st.lists(st.sampled_from([*POINTS, ""]), max_size=4), st.booleans())
@settings(max_examples=6, deadline=None)
def test_however_often_it_is_killed_the_last_repetition_moves_all_of_it(points: list[str], writes: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        project, url = project_in(Path(name) / "project"), f"sqlite:///{name}/team.db"
        filled(project, 2)
        for point in [*points, ""]:
            with broken_at(point), suppress(Killed):
                move(project, url, None)
            if writes and point:
                with suppress(MovedError):
                    open_ledger(project.folder, "shop/prod").append("note", "", {"at": point})
        had = rows(file_url(project))
        assert rows(url) == had
        with using(url):
            for scope in ("shop/prod", "shop/staging"):
                ledger = open_ledger(project.folder, scope)
                verify(ledger.records())
                assert [record.kind for record in ledger.records()].count("moved") == 1


@contextmanager
def broken_at(point: str) -> Iterator[None]:
    def hook(name: str) -> None:
        if name == point:
            raise Killed

    before = list(failpoints._installed)
    failpoints.install(hook)
    try:
        yield
    finally:
        failpoints._installed[:] = before


def test_the_command_writes_json_and_history_says_where_the_ledger_went(
    project: Project, server: Postgres, capsys: Any
) -> None:
    from rollcast.cli.main import main

    url = server.database()
    assert main(["-C", str(project.folder), "ledger", "move", "--to", url, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["scope"] for one in found["scopes"]] == ["shop/prod", "shop/staging"]
    assert (found["already"], found["documents"], found["pulumi"]["stacks"]) == (False, 12, [])
    assert main(["-C", str(project.folder), "history"]) == 1
    assert "This ledger was moved to postgresql+psycopg://rollcast@127.0.0.1" in capsys.readouterr().err
