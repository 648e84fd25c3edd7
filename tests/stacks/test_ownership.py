"""Whose a target's instances and flags are: no order of two owners' writes changes what the other put there."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcast.planner.declaration.models import TargetSettings
from rollcast.planner.releases.releases import digest_of
from rollcast.stacks.base.errors import FenceError, StackError
from rollcast.stacks.flags import Holding
from rollcast.stacks.flags.definitions import OWNER
from rollcast.stacks.instances import InstanceSpec, Placed, Provisioning
from rollcast.stacks.instances.folder import FolderInstances, FolderSettings
from rollcast.stacks.ledger.ledger import open_ledger
from rollcast.stacks.provider.resources import is_placed
from rollcast.stacks.state.ownership import foreign_at, others_of, refuse_others
from rollcast.stacks.targets.opening import short_target
from rollcast.stacks.targets.target import Target

SETTINGS = TargetSettings(definition="flags.json", instances="instances")
OWNERS = ("sha256:one", "sha256:two")
writes = st.lists(st.tuples(st.sampled_from(["put", "remove"]), st.sampled_from(OWNERS), st.integers(0, 2)), max_size=8)


def _target(root: Path) -> Target:
    return short_target(SETTINGS, root)


def _placed(folder: str, owner: str) -> Placed:
    return Placed(
        folder=folder, digest=digest_of("content"), release="rel-1", slot="s", owner=owner,
        pipeline=f"of {owner}" if owner else "",
    )  # fmt: skip


def _put(target: Target, root: Path, folder: str, owner: str) -> None:
    content = root / "content"
    content.mkdir(exist_ok=True)
    (content / "manifest.json").write_text(json.dumps({"digest": digest_of("content")}))
    target.instances[0].put_instance(1, _placed(folder, owner), content, InstanceSpec(), Provisioning())


@given(writes)
def test_what_an_owner_put_there_goes_by_its_own_hand_alone(steps: list[tuple[str, str, int]]) -> None:
    with TemporaryDirectory() as folder:
        root = Path(folder)
        target, there = _target(root), dict[str, str]()
        for what, owner, number in steps:
            name = f"=/slot/{number}"
            if what == "remove":
                target.instances[0].remove_instance(1, name, owner)
                if there.get(name) == owner:
                    del there[name]
            elif there.get(name, owner) == owner:
                _put(target, root, name, owner)
                there[name] = owner
            else:
                with pytest.raises(StackError, match="another owner"):
                    _put(target, root, name, owner)
            assert {name: item.owner for name, item in target.placed().items()} == there


def test_an_instance_without_a_mark_stays_its_pipelines(tmp_path: Path) -> None:
    target = _target(tmp_path)
    _put(target, tmp_path, "p/slot/one", "")
    assert is_placed(target.placed()["p/slot/one"], _placed("p/slot/one", OWNERS[0])), (
        "nothing is made again for a mark"
    )
    assert others_of(target, {"p"}, OWNERS[0], {"p/slot/one"}) == []
    target.instances[0].remove_instance(1, "p/slot/one", OWNERS[0])
    assert target.placed() == {}


def test_two_owners_of_one_name_are_distinguished_before_anything_is_made(tmp_path: Path) -> None:
    target = _target(tmp_path)
    _put(target, tmp_path, "=/index/once", OWNERS[0])
    with pytest.raises(StackError, match=r"Instance =/index/once .* another owner: pipeline 'of sha256:one'"):
        refuse_others(target, ["p"], OWNERS[1], {"=/index/once"})
    refuse_others(target, ["p"], OWNERS[0], {"=/index/once"})
    refuse_others(target, ["p"], OWNERS[1], {"=/index/another"})


@pytest.mark.parametrize("said", [True, False])
def test_who_reaches_another_ledger_learns_where_to_go(tmp_path: Path, said: bool) -> None:
    target = _target(tmp_path)
    flag: dict[str, Any] = {"variants": {}, "metadata": {OWNER: OWNERS[0]}}
    target.put_flag(1, "rollcast-p", flag)
    if said:
        holding = Holding(
            lineage=OWNERS[0], ledger="/a/ledger.db on host", driver="process 7 of ana on host", rollout="ro-1",
            since_s=0.0,
        )  # fmt: skip
        target.put_holding(1, ["p"], holding)
    (note,) = others_of(target, {"p"}, OWNERS[1])
    assert "Pipeline 'p' is served at this target by another project" in note
    assert "ROLLCAST_LEDGER_URL" in note
    assert ("/a/ledger.db on host" in note and "process 7 of ana" in note and "1970-01-01" in note) == said
    assert others_of(target, {"p"}, OWNERS[0]) == []


@given(writes, st.lists(st.tuples(st.sampled_from([*OWNERS, ""]), st.sampled_from("pq")), max_size=4))
def test_what_is_foreign_is_what_another_owner_or_another_pipeline_has(
    steps: list[tuple[str, str, int]], flags: list[tuple[str, str]]
) -> None:
    with TemporaryDirectory() as folder:
        root, owners = Path(folder), dict[str, str]()
        target = _target(root)
        for _, owner, number in steps:
            _put(target, root, f"=/slot/{number}", owners.setdefault(f"=/slot/{number}", owner))
        for owner, pipeline in flags:
            owners[f"rollcast-{pipeline}"] = owner
            target.put_flag(1, f"rollcast-{pipeline}", {"variants": {}, "metadata": {OWNER: owner} if owner else {}})
        found = {item.name: item.owner for item in foreign_at(target, {"p"}, OWNERS[0])}
        mine = {name for name, owner in owners.items() if owner == OWNERS[0] or (not owner and name == "rollcast-p")}
        assert found == {name: owner for name, owner in owners.items() if name not in mine}


claims = st.lists(st.tuples(st.sampled_from(["a/dev", "b/dev"]), st.integers(1, 4)), max_size=10)


@given(st.integers(0, 3), claims)
def test_tokens_are_compared_within_a_scope_and_never_across(legacy: int, claimed: list[tuple[str, int]]) -> None:
    with TemporaryDirectory() as folder:
        root = Path(folder)
        if legacy:
            _target(root).claim(legacy)
        newest: dict[str, int] = {}
        for scope, token in claimed:
            target = short_target(SETTINGS, root, scope)
            assert target.newest() == max(legacy, newest.get(scope, 0))
            if token < target.newest():
                with pytest.raises(FenceError, match=f"fencing token {token}"):
                    target.put_flag(token, f"of {scope}", {"token": token})
            else:
                target.put_flag(token, f"of {scope}", {"token": token})
                newest[scope] = token
        assert _target(root).flags() == {f"of {scope}": {"token": token} for scope, token in newest.items()}


def test_a_project_sweeps_up_after_itself_alone(tmp_path: Path) -> None:
    mine, other = (FolderInstances(FolderSettings(path="instances"), tmp_path, scope) for scope in ("a/dev", "b/dev"))
    for target in (mine, other):
        target._staging(1, "p/s/i").mkdir(parents=True)
    mine.claim(5)
    assert not mine._staging(1, "p/s/i").exists()
    assert other._staging(1, "p/s/i").exists(), "it may be at work"


def test_a_claim_shows_whether_instances_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "instances").write_text("a file in its place")
    with pytest.raises(StackError, match="instances can't be written"):
        _target(tmp_path).claim(1)


def test_who_holds_a_target_is_no_reason_to_stop_where_it_can_not_be_read(tmp_path: Path) -> None:
    target = _target(tmp_path)
    for text in ("{", "[]", '{"p": 7}'):
        (tmp_path / ".rollcast-holdings.json").write_text(text)
        assert target.holdings() == {}


def test_where_a_ledger_is_holds_no_secret(tmp_path: Path) -> None:
    assert str(tmp_path / ".rollcast" / "ledger.db") in open_ledger(tmp_path, "p/e").place
    from sqlalchemy import create_engine

    from rollcast.stacks.ledger.ledger import Ledger

    engine = create_engine("postgresql+psycopg://ana:hunter2@db.example/rollcast?options=hunter3")
    assert Ledger(engine, "p/e").place == "postgresql+psycopg://ana:***@db.example/rollcast"
