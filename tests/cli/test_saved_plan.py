"""A saved plan is carried out as it was saved, or not at all."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rollcast.cli.inputs.plans import read_plan
from rollcast.cli.inputs.saved import read_forecast, sealed
from rollcast.cli.main import main
from rollcast.stacks.base.errors import StackError, StaleError

EXAMPLE = Path(__file__).parents[2] / "examples" / "customer-support"
Place = tuple[str | int, ...]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("saved") / "plan.json"
    assert main(["-C", str(EXAMPLE), "plan", "--from", "released.yaml", "--out", str(file)]) == 0
    return file


def leaves(value: Any, place: Place = ()) -> Iterator[Place]:
    """The places of everything in a document that is no container with content."""
    if isinstance(value, dict | list) and value:
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(item, (*place, key))
    else:
        yield place


def changed(document: Any, place: Place, value: Any) -> Any:
    """A copy with another value at a place."""
    if not place:
        return value
    copy = dict(document) if isinstance(document, dict) else list(document)
    copy[place[0]] = changed(document[place[0]], place[1:], value)  # type: ignore[index,call-overload]
    return copy


@given(data=st.data())
def test_whatever_is_edited_in_a_saved_plan_is_seen(saved: Path, data: st.DataObject) -> None:
    document = json.loads(saved.read_text("utf-8"))
    place = data.draw(st.sampled_from([place for place in leaves(document) if place != ("file_digest",)]))
    old: Any = document
    for key in place:
        old = old[key]
    new = data.draw(st.sampled_from([100.0, 0, "", "x", None, [], {}, True]).filter(lambda value: value is not old))
    assume(json.dumps(new) != json.dumps(old))
    edited = saved.with_name("edited.json")
    edited.write_text(json.dumps(changed(document, place, new)), "utf-8")
    for approved in (True, False):
        with pytest.raises(StaleError, match=r"edited\.json was changed after it was saved"):
            read_plan(edited, approved=approved)


def test_an_edited_plan_is_refused_before_anything_else(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads(saved.read_text("utf-8"))
    share = next(s for m in document["milestones"] for s in m["serving"] if s["percent"] < 100)
    share["percent"] = 100.0
    project = shutil.copytree(EXAMPLE, tmp_path / "project", ignore=shutil.ignore_patterns(".rollcast"))
    (project / "plan.json").write_text(json.dumps(document), "utf-8")
    words = ["-C", str(project), "apply", str(project / "plan.json"), "--auto-approve", "--supersede"]
    assert main(words) == 6
    assert "was changed after it was saved" in capsys.readouterr().err
    assert not (project / ".rollcast").exists(), "nothing is touched"


def test_a_plan_that_does_not_say_its_digest_is_shown_and_not_carried_out(saved: Path, tmp_path: Path) -> None:
    document = json.loads(saved.read_text("utf-8"))
    del document["file_digest"]
    older = tmp_path / "older.json"
    older.write_text(json.dumps(document), "utf-8")
    assert not read_plan(older).empty
    with pytest.raises(StaleError, match="older version of rollcast"):
        read_plan(older, approved=True)


def test_what_a_plan_prints_as_json_can_be_read_back_as_saved(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", str(saved), "--format", "json"]) == 0
    (tmp_path / "printed.json").write_text(capsys.readouterr().out, "utf-8")
    assert read_plan(tmp_path / "printed.json", approved=True) == read_plan(saved, approved=True)


def test_a_digest_is_of_all_but_itself() -> None:
    assert sealed(sealed({"a": 1})) == sealed({"a": 1}) != sealed({"a": 2})


@pytest.mark.parametrize("version", ["1.1", "2.0", "17"])
@pytest.mark.parametrize("resealed", [True, False])
def test_what_a_newer_version_saved_is_refused_with_its_version(saved: Path, version: str, resealed: bool) -> None:
    document = {**json.loads(saved.read_text("utf-8")), "format_version": version, "new": {"gate": "unknown here"}}
    newer = saved.with_name("newer.json")
    newer.write_text(json.dumps(sealed(document) if resealed else document), "utf-8")
    for read in (read_plan, read_forecast):
        with pytest.raises(StackError, match=rf"has format {re.escape(version)}: a newer .* Use the newer of the two"):
            read(newer)
