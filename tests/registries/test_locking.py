"""The lock: every source looked up at once, every mistake said at once, and nothing used that it does not name."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcast.planner.declaration.models import Artifact, ArtifactKind, Component, Declaration, SourcePin
from rollcast.stacks.artifacts import cache
from rollcast.stacks.artifacts.lock import Lock, LockedSource, computed
from rollcast.stacks.base.errors import StackError
from tests.registries import web as behaviours
from tests.registries.locking import content, declare, locked, run
from tests.registries.test_git import commit
from tests.registries.test_http import source
from tests.registries.web import Web


def test_every_mistake_is_said_at_once_with_its_place_and_nothing_is_written(
    project: Path, web: Web, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ROLLCAST_REGISTRY_TIMEOUT_S", "1")
    right = source(web, "/right.txt", b"right")
    declare(project, right)
    assert run(project, "lock") == 0
    before = (project / "rollcast.lock").read_text("utf-8")
    broken = source(web, "/broken.txt", b"broken")
    web.misbehaving["/broken.txt"] = behaviours.failing
    slow = source(web, "/slow.txt", b"slow")
    web.misbehaving["/slow.txt"] = lambda handler, body: threading.Event().wait(2.5)  # type: ignore[assignment]
    declare(
        project, right, "fiel:prompts", f"{web.address}/absent#sha256={'0' * 64}", broken, slow, "file:absent",
        f"http://127.0.0.1:1/closed#sha256={'0' * 64}",
    )  # fmt: skip
    capsys.readouterr()
    assert run(project, "lock") == 1
    said = capsys.readouterr().err
    for line, text in {
        5: "a1@1: source 'fiel:prompts' is of a kind that can't be read",
        6: "answered 404. Correct the address",
        7: "answered 500 3 times",
        8: "can't be reached",
        9: "source 'file:absent' isn't there",
        10: "127.0.0.1:1 can't be reached",
    }.items():
        assert any(f"rollcast.yaml:{line}:" in each and text in each for each in said.splitlines()), (text, said)
    assert (project / "rollcast.lock").read_text("utf-8") == before


def test_a_pin_is_never_declared(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pin = f", pinned: {{identity: 'http://h/f', digest: 'sha256:{'0' * 64}'}}"
    declare(project, "vendor:example/bot-2026-05-01", more=pin)
    assert run(project, "validate") == 1
    assert "'pinned' is what the lock says" in capsys.readouterr().err
    declare(project, "vendor:example/bot-2026-05-01", more=", made_from: [a@1]")
    assert run(project, "validate") == 1
    assert "'made_from' is what a registry says" in capsys.readouterr().err


@given(st.lists(st.sampled_from(["a@1", "b@1", "git+file:a", "elsewhere:x", "c@1"]), max_size=5).map(tuple))
def test_what_a_registry_names_joins_the_lineage_once_and_changes_no_digest(said: tuple[str, ...]) -> None:
    artifact = partial(Artifact, kind=ArtifactKind.DATASET, version="1")
    made, maker = (
        artifact(name="c", source="git+file:c", derived_from=("b@1",)),
        artifact(name="a", source="git+file:a"),
    )
    c = Component(artifact="c@1")
    declaration = Declaration(pipeline="p", components={"c": c}, artifacts=(maker, artifact(name="b"), made))
    pin = {name: SourcePin(identity=f"git+file:{name}", digest=f"sha256:{'0' * 64}", size=1) for name in "ac"}
    lock = Lock({}, {
        "a@1": LockedSource(source="git+file:a", pin=pin["a"]),
        "c@1": LockedSource(source="git+file:c", pin=pin["c"], lineage=said),
    })  # fmt: skip
    known = {one.reference: one for one in lock.pins_of(declaration).artifacts}
    expected = {"a@1" if name == "git+file:a" else name for name in said} & {"a@1", "b@1"}
    assert {*known["c@1"].made_from} == expected
    assert {*known["c@1"].makers} == {"b@1", *expected}
    assert len(known["c@1"].makers) == len({*known["c@1"].makers})
    bare = Lock({}, {name: one.model_copy(update={"lineage": ()}) for name, one in lock.sources.items()})
    here = Path()
    assert computed(lock.pins_of(declaration), here) == computed(bare.pins_of(declaration), here)


def test_one_artifact_is_updated_and_all_else_stays(project: Path, tmp_path: Path) -> None:
    for name in ("p", "q"):
        commit(tmp_path / name, {"a.txt": "one"})
    declare(project, *(f"git+file://{tmp_path / name}@main" for name in ("p", "q")))
    assert run(project, "lock") == 0
    for name in ("p", "q"):
        commit(tmp_path / name, {"a.txt": "two"})
    assert run(project, "lock", "--update", "a1") == 0
    assert content(project) == {"a.txt": b"one"}
    assert content(project, "a1@1") == {"a.txt": b"two"}
    assert run(project, "lock", "--update", "a7") == 1


def test_a_declared_digest_is_that_of_the_content(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "p.txt").write_text("one", "utf-8")
    right, wrong = hashlib.sha256(b"one").hexdigest(), "1" * 64
    declare(project, "file:p.txt", more=f", digest: 'sha256:{right}'")
    assert run(project, "lock") == 0
    declare(project, "file:p.txt", more=f", digest: 'sha256:{wrong}'")
    assert run(project, "lock") == 1
    assert f"its content has the digest sha256:{right}, and 'digest' says sha256:{wrong}" in capsys.readouterr().err
    declare(project, "vendor:example/bot-2026-05-01", more=f", digest: 'sha256:{wrong}'")
    assert run(project, "lock") == 1
    assert "no files of a hosted model" in capsys.readouterr().err


def test_a_file_that_is_swapped_for_one_of_equal_name_is_seen_before_anyone_is_served_by_it(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "p.txt").write_text("one", "utf-8")
    declare(project, "file:p.txt")
    assert run(project, "lock") == 0
    (project / "p.txt").write_text("two", "utf-8")
    assert run(project, "plan") == 1
    assert "the content of a0@1 is not what rollcast.lock pins" in capsys.readouterr().err


def test_what_was_changed_in_the_cache_is_thrown_away_and_fetched_again(project: Path, web: Web) -> None:
    declare(project, source(web, "/answer.txt", b"answer"))
    assert run(project, "lock") == 0
    content(project)
    [entry] = cache.entries()
    kept = entry.folder / "files" / "answer.txt"
    kept.chmod(stat.S_IRUSR | stat.S_IWUSR)
    kept.write_text("danger", "utf-8")
    assert run(project, "cache", "verify") == 1
    (project / ".rollcast" / "artifacts").rename(project / "old")
    assert content(project) == {"answer.txt": b"answer"}
    assert run(project, "cache", "verify") == 0


def test_the_cache_is_shared_and_pruned(
    project: Path, tmp_path: Path, web: Web, capsys: pytest.CaptureFixture[str]
) -> None:
    declare(project, source(web, "/answer.txt", b"answer"))
    assert run(project, "lock") == 0
    content(project)
    other = tmp_path / "other"
    other.mkdir()
    declare(other, source(web, "/answer.txt", b"answer"))
    assert run(other, "lock") == 0
    fetched = [method for method, _, _ in web.seen].count("GET")
    assert content(other) == {"answer.txt": b"answer"}
    assert [method for method, _, _ in web.seen].count("GET") == fetched, "another project fetches nothing again"
    capsys.readouterr()
    assert run(project, "cache", "list") == 0
    assert "1 contents, 6 bytes" in capsys.readouterr().out
    assert run(project, "cache", "prune") == 0
    assert len(cache.entries()) == 1, "it was used today"
    os.utime(cache.entries()[0].folder / "entry.json", (0, 0))
    assert run(project, "cache", "prune") == 0
    assert cache.entries() == []


def test_many_who_fetch_the_same_at_once_fetch_it_once(project: Path, web: Web) -> None:
    declare(project, source(web, "/weights.bin", bytes(5_000_000)))
    assert run(project, "lock") == 0
    from rollcast.planner.declaration.models import SourcePin

    pin = SourcePin.model_validate(locked(project))

    def one(_: int) -> int:
        with cache.content_of(pin, "a0@1") as files:
            return (files / "weights.bin").stat().st_size

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(one, range(8))) == {5_000_000}
    assert [method for method, _, _ in web.seen].count("GET") == 1


def test_a_fetch_that_is_cancelled_leaves_nothing_and_goes_on_later(project: Path, web: Web) -> None:
    body = os.urandom(3_000_000)
    declare(project, source(web, "/weights.bin", body))
    assert run(project, "lock") == 0
    from rollcast.planner.declaration.models import SourcePin

    pin, calls = SourcePin.model_validate(locked(project)), [0]

    def stopped() -> bool:
        calls[0] += 1
        return calls[0] > 2

    with pytest.raises(StackError, match="cancelled"), cache.content_of(pin, "a0@1", stopped=stopped):
        pass
    assert cache.entries() == []
    assert content(project) == {"weights.bin": body}
    assert int(web.seen[-1][2].removeprefix("bytes=").rstrip("-")) > 0


def test_an_older_lock_is_read(project: Path) -> None:
    (project / "p.txt").write_text("one", "utf-8")
    declare(project, "file:p.txt")
    assert run(project, "lock") == 0
    data = json.loads((project / "rollcast.lock").read_text("utf-8"))
    (project / "rollcast.lock").write_text(json.dumps({**data, "format_version": "1.0"}), "utf-8")
    assert run(project, "lock", "--check") == 0
