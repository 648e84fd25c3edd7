"""What is put in place is what a commit holds, whatever was there; state is never touched, and a stop loses nothing."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.following.folder_source import FolderSource
from rollcast.stacks.following.git_source import GitSource
from tests.controller.repositories import bare_of, commit, git, push

FILE = "rollcast.yaml"
Tree = dict[str, str]

_names = st.sampled_from(["m/1", "m/2", "policies/a.py", "deep/er/x", "top"])
_trees = st.dictionaries(_names, st.sampled_from(["one\n", "two\n", "three is longer\n"]), max_size=5)


def source_of(work: Path, state: Path, *only: str) -> GitSource:
    made = GitSource(str(bare_of(work)), "main", state, FILE, only)
    made.prepare()
    return made


def files_in(folder: Path) -> Tree:
    """Every file below a folder that is not state."""
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_text("utf-8") for name, path in found.items() if not name.startswith(".rollcast")}


@settings(max_examples=5)
@given(trees=st.lists(_trees, min_size=2, max_size=3), reached=st.integers(0, 6))
def test_a_folder_holds_exactly_the_commit_and_keeps_its_state_also_after_a_stop_in_the_middle(
    trees: list[Tree], reached: int
) -> None:
    with tempfile.TemporaryDirectory() as base:
        work, state = Path(base) / "work", Path(base) / "state"
        commit(work, {"a/b/rollcast.yaml": "begin\n", "other": "of the repository\n"})
        source = source_of(work, state)
        source.put("a/b", source.look().contents["a/b"])
        folder = source.folder("a/b")
        (folder / ".rollcast").mkdir()
        (folder / ".rollcast/ledger.db").write_text("kept", "utf-8")
        (folder / "service.log").write_text("written by a service", "utf-8")
        for number, tree in enumerate(trees):
            shutil.rmtree(work / "a/b")
            wanted = {**tree, FILE: f"number {number}\n"}
            push(work, {f"a/b/{name}": text for name, text in wanted.items()})
            content = source.look().contents["a/b"]
            (state / "places" / f"{folder.name}.putting").write_text(content, "utf-8")
            (state / "places" / f"{folder.name}.index.lock").touch()
            for name in sorted(wanted)[:reached]:  # git was killed here: it has noted none of them down
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_text("half", "utf-8")
            assert source.in_place("a/b") == "", "nobody may take half of it for a whole"
            source = GitSource(source.url, "main", state, FILE)
            source.prepare()
            assert files_in(folder) == {**wanted, "service.log": "written by a service"}
            assert (folder / ".rollcast/ledger.db").read_text("utf-8") == "kept"
            assert source.in_place("a/b") == content
        source.put("a/b", source.look().contents["a/b"])
        git(work, "revert", "--no-edit", "HEAD")
        git(work, "push", "--quiet", "origin", "HEAD:main")
        source.put("a/b", source.look().contents["a/b"])
        assert files_in(folder) == {**trees[-2], FILE: f"number {len(trees) - 2}\n",
                                    "service.log": "written by a service"}  # fmt: skip


def test_every_folder_with_a_declaration_is_a_project_and_only_those_that_changed_have_another_content(
    tmp_path: Path,
) -> None:
    work = tmp_path / "work"
    commit(work, {"rollcast.yaml": "root", "one/rollcast.yaml": "1", "one/x": "x", "two/deep/rollcast.yaml": "2"})
    source = source_of(work, tmp_path / "state")
    first = source.look()
    assert sorted(first.contents) == [".", "one", "two/deep"]
    push(work, {"one/x": "another"})
    second = source.look()
    assert second.commit != first.commit
    changed = {path for path in second.contents if second.contents[path] != first.contents[path]}
    assert changed == {".", "one"}, "the root holds what is below it"
    assert GitSource(source.url, "main", tmp_path / "state", FILE, ("one/",)).look().contents.keys() == {"one"}


def test_a_branch_that_was_forced_is_followed_and_what_it_left_is_named(tmp_path: Path) -> None:
    work = tmp_path / "work"
    commit(work, {"rollcast.yaml": "1"})
    source = source_of(work, tmp_path / "state")
    source.look()
    gone = push(work, {"rollcast.yaml": "2"})
    assert source.look().before == ""
    git(work, "reset", "--quiet", "--hard", "HEAD~1")
    forced = push(work, {"rollcast.yaml": "3"}, "--force")
    found = source.look()
    assert (found.commit, found.before) == (forced, gone)
    assert source.look().before == gone, "nothing new is nothing else"


def test_what_was_known_is_known_after_a_restart_while_the_repository_is_out_of_reach(tmp_path: Path) -> None:
    work = tmp_path / "work"
    made = commit(work, {"rollcast.yaml": "1"})
    source = source_of(work, tmp_path / "state")
    source.look()
    os.rename(source.url, tmp_path / "away")
    with pytest.raises(StackError, match="can't read"):
        source.look()
    again = GitSource(source.url, "main", tmp_path / "state", FILE)
    again.prepare()
    known = again.known()
    assert known is not None
    assert known.commit == made
    again.put(".", known.contents["."])
    assert files_in(again.folder(".")) == {FILE: "1"}


def test_a_copy_that_is_broken_is_made_again(tmp_path: Path) -> None:
    work = tmp_path / "work"
    made = commit(work, {"rollcast.yaml": "1"})
    source = source_of(work, tmp_path / "state")
    source.look()
    for pack in (tmp_path / "state/repository.git/objects").rglob("*"):
        if pack.is_file():
            pack.unlink()
    again = GitSource(source.url, "main", tmp_path / "state", FILE)
    again.prepare()
    assert again.look().commit == made


def test_a_commit_with_state_in_it_is_refused_for_that_project_alone(tmp_path: Path) -> None:
    work = tmp_path / "work"
    commit(work, {"one/rollcast.yaml": "1", "one/.rollcast/ledger.db": "x", "two/rollcast.yaml": "2"})
    found = source_of(work, tmp_path / "state").look()
    assert sorted(found.contents) == ["two"]
    assert "git rm" in found.problems["one"]


@pytest.mark.parametrize(("url", "ref"), [
    ("--upload-pack=x", "main"), ("https://a:secret@host/x", "main"), ("/a", "--main"), ("/a", "a..b"), ("/a", "a:b"),
])  # fmt: skip
def test_what_is_no_repository_or_branch_is_refused_before_git_sees_it(url: str, ref: str, tmp_path: Path) -> None:
    with pytest.raises(StackError) as refused:
        GitSource(url, ref, tmp_path, FILE)
    assert "secret" not in str(refused.value)


def test_the_state_of_another_source_is_not_used(tmp_path: Path) -> None:
    GitSource("/one", "main", tmp_path, FILE)
    with pytest.raises(StackError, match="--state"):
        GitSource("/two", "main", tmp_path, FILE)


@pytest.mark.parametrize("wanted", ["absent", "../out", "/etc"])
def test_a_path_that_is_no_project_of_the_source_is_named(wanted: str, tmp_path: Path) -> None:
    work = tmp_path / "work"
    commit(work, {"one/rollcast.yaml": "1"})
    with pytest.raises(StackError, match="path"):
        source_of(work, tmp_path / "state", wanted).look()


def test_a_folder_has_changed_where_what_is_declared_did_and_not_where_a_service_writes(tmp_path: Path) -> None:
    for name in ("one/rollcast.yaml", "two/rollcast.yaml", "one/policies/rules.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1", "utf-8")
    source = FolderSource(tmp_path, FILE)
    first = source.look().contents
    assert sorted(first) == ["one", "two"]
    for name in ("one/service.log", "one/.rollcast/live/flags.yaml", "one/__pycache__/x.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1", "utf-8")
    assert source.look().contents == first
    (tmp_path / "one/policies/rules.py").write_text("22", "utf-8")
    second = source.look().contents
    assert (second["one"] != first["one"], second["two"] == first["two"]) == (True, True)
