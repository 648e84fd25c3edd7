"""A ledger that was lost: what serves stays, killed anywhere it ends the same, and each refusal has one clear error."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollcast.stacks.base.errors import DriftError, FenceError, LedgerError, LockedError, StackError, StaleError
from rollcast.stacks.ledger.audit import Audit
from rollcast.stacks.ledger.history import history
from rollcast.stacks.ledger.lease import Holder
from rollcast.stacks.ledger.records import verify
from rollcast.stacks.ledger.rollouts import under_way
from rollcast.stacks.recovery.finding import find
from rollcast.stacks.recovery.lost import LedgerState
from rollcast.stacks.recovery.taking_over import Recovery, take_over
from rollcast.stacks.rollout.drift import baseline_of
from rollcast.stacks.rollout.elsewhere import held_elsewhere
from tests.recovery.worlds import SCOPE, World, killed_at


@pytest.fixture(autouse=True)
def nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROLLCAST_LEDGER_URL", raising=False)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "project")


def recovered(world: World) -> Recovery:
    return take_over(world.project, find(world.project))


# ---- what serves stays ---------------------------------------------------------------------------


@settings(max_examples=8)
@given(percent=st.sampled_from([0.0, 1.0, 12.5, 50.0, 100.0]), kills=st.lists(st.integers(0, 14), max_size=3))
def test_killed_anywhere_and_run_again_it_ends_the_same(percent: float, kills: list[int]) -> None:
    with TemporaryDirectory() as folder:
        world = World(Path(folder) / "project", percent)
        before, newest = world.said(), world.target.newest()
        world.lose()
        for number in kills:
            killed_at(lambda: recovered(world), number)
            assert world.said() == before, "what is served stays as it is at every step"
        found = find(world.project)
        if found.ledger.state is not LedgerState.RECOVERED:
            take_over(world.project, found)
        ledger = world.ledger()
        records = ledger.records()
        assert verify(records) == len(records)
        assert [record.kind for record in records] == ["recovering", "recovered"]
        assert world.said() == before
        assert world.owners() == {ledger.lineage()} != {world.lineage}
        assert world.target.newest() > newest
        assert records[-1].body["lineage"] == world.lineage
        assert records[-1].body["serving"] == [
            share.model_dump(mode="json")
            for shares in baseline_of(world.project).state.serving.values()
            for share in shares
        ]
        assert (held_elsewhere(world.project), baseline_of(world.project).drift, under_way(ledger)) == ([], (), None)


def test_every_step_is_a_place_where_it_may_be_killed(world: World) -> None:
    """Else the property above kills nothing."""
    world.lose()
    assert [killed_at(lambda: recovered(world), number) for number in range(5)] == [True] * 5


def test_who_wrote_before_writes_no_more(world: World) -> None:
    late, token = world.target, world.target.newest()
    shutil.copytree(world.folder, world.folder.with_name("copy"), ignore=shutil.ignore_patterns("target"))
    world.lose()
    recovered(world)
    flag = late.flags()["rollcast-shop"]
    for write in (
        lambda: late.put_flag(token, "rollcast-shop", flag),
        lambda: late.claim(token),
        lambda: late.instances[0].remove_instance(token, "shop/answer/p@1", world.lineage),
    ):
        with pytest.raises(FenceError):
            write()


def test_a_ledger_that_comes_back_refuses_and_says_where_to_go(world: World) -> None:
    kept = world.file.read_bytes()
    world.lose()
    recovered(world)
    world.file.write_bytes(kept)
    (said,) = held_elsewhere(world.project)
    assert "or by another ledger of this one" in said
    with pytest.raises(LedgerError, match="Two ledgers hold parts"):
        find(world.project)


# ---- which ledger it is that is lost ---------------------------------------------------------------


def test_a_ledger_that_can_not_be_read_is_kept(world: World) -> None:
    garbage = b"no database" * 500
    world.file.write_bytes(garbage)
    done = recovered(world)
    assert Path(done.body.aside).read_bytes() == garbage
    assert "file is not a database" in done.body.ledger
    world.file.write_bytes(garbage[:-1])
    again = recovered(world)
    kept = [path.read_bytes() for path in world.file.parent.glob("ledger.db.lost-*")]
    assert sorted(map(len, kept)) == [len(garbage) - 1, len(garbage)], "an older one that was kept stays"
    assert again.lineage != done.lineage


def test_killed_after_it_was_set_aside_the_old_ledger_is_still_named(world: World) -> None:
    world.file.write_bytes(b"no database" * 500)
    assert killed_at(lambda: recovered(world), 0)
    assert not world.file.exists()
    assert Path(recovered(world).body.aside).read_bytes() == b"no database" * 500


def test_a_broken_chain_is_found(world: World) -> None:
    with closing(sqlite3.connect(world.file)) as database:
        database.execute("DROP TRIGGER rollcast_records_no_UPDATE")
        database.execute("UPDATE rollcast_records SET body = '{}'")
        database.commit()
    assert "was edited: its hash is wrong" in recovered(world).body.ledger


def test_an_older_copy_goes_on_with_its_history(world: World) -> None:
    kept = world.file.read_bytes()
    ledger = world.ledger()
    lease = ledger.acquire()
    world.target.claim(lease.token)
    ledger.append("note", "ro-2", {"text": "lost with the newer ledger"}, lease)
    ledger.release(lease)
    world.file.write_bytes(kept)
    found = find(world.project)
    assert found.ledger.state is LedgerState.BEHIND
    assert "it is older than the target" in found.ledger.why
    for number in range(3):
        assert killed_at(lambda: recovered(world), number)
    recovered(world)
    records = world.ledger().records()
    assert [record.kind for record in records] == ["note", "recovering", "recovered"]
    assert (world.owners(), records[0].hash) == ({world.lineage}, world.lineage)
    assert verify(records) == 3


def test_after_a_recovery_there_is_nothing_to_recover(world: World) -> None:
    assert find(world.project).ledger.state is LedgerState.WHOLE
    world.lose()
    recovered(world)
    assert find(world.project).ledger.state is LedgerState.RECOVERED


def test_the_history_names_what_was_found_and_what_is_not_known(world: World) -> None:
    world.lose()
    take_over(world.project, find(world.project), reason="the disk died")
    (one,) = history(world.ledger())["recoveries"]
    assert (one["reason"], len(one["serving"]), len(one["instances"])) == ("the disk died", 2, 2)
    assert any("approved" in text for text in one["unknown"])
    assert any(world.old.id in text and world.new.id in text for text in one["unknown"])
    with pytest.raises(StackError, match="The ledger was recovered at"):
        Audit(world.ledger()).at(1e12)
    with pytest.raises(StackError, match="The ledger was recovered at"):
        Audit(world.ledger()).between(0.0, 1e12)


# ---- one clear error for each refusal --------------------------------------------------------------


def test_nothing_serves(world: World) -> None:
    world.lose()
    shutil.rmtree(world.folder / "target")
    with pytest.raises(StackError, match=r"Nothing of shop serves at the target of dev .* Begin with 'rollcast apply'"):
        find(world.project)


def test_a_target_that_can_not_be_read(world: World) -> None:
    world.lose()
    (world.folder / "target/flags.json").write_text("{", "utf-8")
    with pytest.raises(StackError, match=r"flags\.json is no flag definition .* Restore it"):
        find(world.project)


def test_a_flag_that_is_not_ours(world: World) -> None:
    world.lose()
    flag = {"state": "ENABLED", "variants": {"on": True}, "defaultVariant": "on"}
    world.target.put_flag(world.target.newest(), "rollcast-shop", flag)
    with pytest.raises(DriftError, match="was not written by rollcast"):
        find(world.project)


def test_two_owners_at_one_target(world: World) -> None:
    world.lose()
    target = world.target
    folder, item = next(iter(target.placed().items()))
    target.instances[0].hand_over(target.newest(), folder, item.owner, "sha256:another")
    with pytest.raises(LedgerError, match=r"Two ledgers hold parts .*flag rollcast-shop is of .* instance shop/answer"):
        find(world.project)


def test_the_ledger_that_the_target_names_is_there(world: World, tmp_path: Path) -> None:
    shutil.copytree(world.folder, tmp_path / "clone", ignore=shutil.ignore_patterns(".rollcast", "target"))
    (tmp_path / "clone/target").symlink_to(world.folder / "target")
    world.hold(ledger=f"{world.file} on {socket.gethostname()}")
    clone = type(world.project).open(tmp_path / "clone", "dev")
    with pytest.raises(LedgerError, match=r"is not lost: it is .*ledger\.db .* and it is whole"):
        find(clone)
    assert world.owners() == {world.lineage}


def _living(world: World) -> None:
    world.hold(identity={**Holder.this().to_json(), "pid": os.getppid(), **_began(os.getppid())})


def _elsewhere(world: World) -> None:
    world.hold(identity={**Holder.this().to_json(), "host": "another-host"})


def _began(pid: int) -> dict[str, str]:
    from rollcast.stacks.base.processes import began

    return {"began": str(began(pid))}


@pytest.mark.parametrize(
    ("holds", "match", "gone_helps"),
    [
        (_living, "The driver that holds the target lives: .* since 1970", False),
        (_elsewhere, "can't be seen from this machine: .* --driver-gone", True),
        (World.hold, "can't be seen from this machine: .* --driver-gone", True),
    ],
)
def test_a_driver_that_may_be_at_work(
    world: World, holds: Callable[[World], None], match: str, gone_helps: bool
) -> None:
    world.lose()
    holds(world)
    with pytest.raises(LockedError, match=match):
        find(world.project)
    if not gone_helps:
        with pytest.raises(LockedError, match=match):
            find(world.project, gone=True)
        return
    take_over(world.project, find(world.project, gone=True), gone=True)
    assert world.owners() == {world.ledger().lineage()}


def test_what_moved_since_it_was_shown_is_not_taken_over(world: World) -> None:
    world.lose()
    shown = find(world.project)
    world.target.claim(world.target.newest() + 1)
    with pytest.raises(StaleError, match="somebody is at work there"):
        take_over(world.project, shown)
    assert world.owners() == {world.lineage}
    recovered(world)


def test_a_kind_that_can_not_hand_over_is_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from rollcast.stacks.instances.folder import FolderInstances

    monkeypatch.delattr(FolderInstances, "hand_over")
    world.lose()
    with pytest.raises(StackError, match="can't change hands: what keeps it"):
        recovered(world)


# ---- back-up and restore -------------------------------------------------------------------------


def test_a_copy_of_the_file_is_a_backup(world: World, tmp_path: Path) -> None:
    with closing(sqlite3.connect(world.file)) as source, closing(sqlite3.connect(tmp_path / "kept.db")) as kept:
        source.backup(kept)
    head = history(world.ledger())["head"]
    world.lose()
    shutil.copy(tmp_path / "kept.db", world.file)
    assert history(world.ledger())["head"] == head
    assert find(world.project).ledger.state is LedgerState.WHOLE
    with pytest.raises(Exception, match="append-only"), closing(sqlite3.connect(world.file)) as restored:
        restored.execute("DELETE FROM rollcast_records")
    assert json.loads(json.dumps(SCOPE)) in world.ledger().scopes()
