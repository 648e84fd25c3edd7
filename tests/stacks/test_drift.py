"""A live system changed by hand while no rollout was under way: it is found, said, and put back by one command."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rollcast.cli.inputs.saved import sealed
from rollcast.stacks.project import Project
from rollcast.stacks.rollout.drift import drift_of
from tests.faults.surviving import assert_whole
from tests.stacks.site import Site

pytestmark = [pytest.mark.engine, pytest.mark.slow]


@pytest.fixture(autouse=True)
def _as_it_was(site: Site) -> Iterator[None]:
    """What a test changed by hand and left so is put back by hand."""
    live, before = site.folder / ".rollcast/live", site.folder / "before"
    shutil.copytree(live / "instances", before / "instances")
    shutil.copy(live / "flags.json", before)
    site.declare()
    yield
    shutil.rmtree(live / "instances")
    shutil.move(before / "instances", live / "instances")
    shutil.copy(before / "flags.json", live / "flags.json")
    shutil.rmtree(before)


def _flag(site: Site, change: Callable[[dict[str, Any]], object]) -> None:
    path = site.folder / ".rollcast/live/flags.json"
    data = json.loads(path.read_text("utf-8"))
    change(data["flags"])
    path.write_text(json.dumps(data), "utf-8")


KEY = "rollcast-rag-search"


def _paused(site: Site) -> None:
    _flag(site, lambda flags: flags[KEY].update(targeting={"if": [True, "paused"]}))


def _removed(site: Site) -> None:
    _flag(site, lambda flags: flags.pop(KEY))


def _foreign(site: Site) -> None:
    mine = {"state": "ENABLED", "variants": {"a": {}}, "defaultVariant": "a", "targeting": {}}
    _flag(site, lambda flags: flags.update({KEY: mine}))


def _metadata_edited(site: Site) -> None:
    def change(flags: dict[str, Any]) -> None:
        metadata = flags[KEY]["metadata"]
        metadata["rollcast_serving"] = metadata["rollcast_serving"].replace('"percent":100.0', '"percent":50.0')

    _flag(site, change)


def _instance(site: Site, slot: str) -> Path:
    return next((site.folder / ".rollcast/live/instances/rag-search" / slot).iterdir())


def _taken(site: Site) -> None:
    shutil.rmtree(_instance(site, "reranker"))


def _copied(site: Site) -> None:
    shutil.copytree(_instance(site, "safety"), _instance(site, "safety").with_name("copy"))


KINDS: dict[str, tuple[Callable[[Site], None], str]] = {
    "a rule of the flag": (_paused, "channel default serves everyone with paused 100 %, not with rel-"),
    "the flag is gone": (_removed, "default is served by nothing, not by rel-"),
    "another flag under its name": (_foreign, f"the flag {KEY} was not written by rollcast"),
    "what the flag says of itself": (_metadata_edited, "(50 % of everyone), not by rel-"),
    "an instance is gone": (_taken, "is gone, and rollcast did not do that"),
    "an instance too many": (_copied, "instance rag-search/safety/copy is there, and rollcast did not do that"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_drift_is_found_and_said(site: Site, kind: str) -> None:
    change, sentence = KINDS[kind]
    assert drift_of(Project.open(site.folder)) == []
    change(site)
    assert sentence in "; ".join(drift_of(Project.open(site.folder)))


def test_plan_shows_the_drift_and_apply_puts_it_back_even_when_it_is_killed(site: Site) -> None:
    before = site.components()
    for change in (_paused, _taken, _copied):
        change(site)
    planned = site.rollcast("plan", "--detailed-exitcode")
    assert planned.returncode == 2, "there is something to do"
    assert planned.stdout.startswith("Changed by hand since the last rollout; apply puts it back\n")
    assert "No changes" in planned.stdout
    assert len(json.loads(site.rollcast("plan", "--format", "json").stdout)["drift"]) == 3
    assert site.rollcast("apply", "--auto-approve", faults={"provider: after a write#0": "kill-all"}).returncode == -9
    applied = site.rollcast("apply", "--auto-approve")
    assert applied.returncode == 0, applied.stdout + applied.stderr
    assert "put back" in applied.stdout
    assert site.components() == before
    assert_whole(site)
    drift = json.loads(site.rollcast("history", "--format", "json").stdout)["rollouts"][0]["drift"]
    assert any("not with rel-" in text for text in drift)
    assert site.rollcast("plan", "--refresh-only", "--detailed-exitcode").returncode == 0


def test_a_saved_plan_is_stale_once_something_was_changed_by_hand(site: Site) -> None:
    site.declare(safety=2)
    assert site.rollcast("plan", "--out", "saved.json").returncode == 0
    _paused(site)
    refused = site.rollcast("apply", "saved.json", "--auto-approve")
    assert refused.returncode == 6, refused.stdout + refused.stderr
    assert "channel default serves everyone with paused 100 %" in refused.stderr


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [("lineage", "sha256:0", "it is another one"), ("tool_version", "0.0.1", "0.0.1 made the plan")],
)
def test_a_plan_of_another_ledger_or_of_another_version_is_refused(
    site: Site, field: str, value: str, said: str
) -> None:
    site.declare(safety=2)
    assert site.rollcast("plan", "--out", "saved.json").returncode == 0
    path = site.folder / "saved.json"
    data = json.loads(path.read_text("utf-8"))
    data["binding"][field] = value
    path.write_text(json.dumps(sealed(data)), "utf-8")  # as that one would have saved it
    refused = site.rollcast("apply", "saved.json", "--auto-approve")
    assert refused.returncode == 6, refused.stdout + refused.stderr
    assert said in refused.stderr


def test_a_rollback_begins_from_what_rollcast_left_and_not_from_what_a_hand_made_of_it(site: Site) -> None:
    site.declare(safety=2)
    with site.requests():
        assert site.rollcast("apply", "--auto-approve").returncode == 0
    _paused(site)
    back = site.rollcast("rollback", "--auto-approve")
    assert back.returncode == 0, back.stdout + back.stderr
    assert "put back" in back.stdout
    assert site.components()["safety"] == "no-code-execution@1"
    assert_whole(site)
