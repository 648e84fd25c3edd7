"""`rollcast doctor`: what is wrong with a connected service is found and named, and what is right is left alone."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rollcast.planner.base.buckets import BUCKETING
from rollcast.stacks.flags.definitions import content_digest
from tests.dataplane.probing import probe_in
from tests.dataplane.releasing import FLAG, both, put
from tests.dataplane.running import Running, running, until
from tests.relay.relays import RunningRelay, relaying
from tests.stacks.site import free_port

DOCTOR = [sys.executable, "-c", "from rollcast.cli.main import script; script()"]
CONTENT = content_digest(both(0))
Found = dict[str, tuple[str, str]]


def project(folder: Path, target: str) -> Path:
    """A project whose target is this; both releases serve, and their instances are there."""
    folder.mkdir(exist_ok=True)
    (folder / "index.txt").write_text("content", "utf-8")
    (folder / "rollcast.yaml").write_text(
        f"""\
schema: rollcast/v1
pipeline: help-desk
artifacts: [{{kind: retrieval-index, name: index, version: "1", source: "file:index.txt"}}]
components: {{index: {{artifact: index@1}}}}
environments: {{prod: {{default: true, target: {{{target}}}}}}}
""",
        "utf-8",
    )
    put(folder / ".rollcast/live/flags.json", both(0))
    for variant in both(0)["variants"].values():
        for part in variant.get("components", {}).values():
            place = folder / ".rollcast/live/instances" / part["instance"]
            place.mkdir(parents=True, exist_ok=True)
            (place / "manifest.json").write_text(json.dumps({"digest": part["digest"]}), "utf-8")
    return folder


def doctor(folder: Path, *words: str, **environment: str) -> tuple[int, Found]:
    """(exit code, subject -> (health, detail)); the last of several checks of one subject."""
    import os

    done = subprocess.run(
        [*DOCTOR, "-C", str(folder), "doctor", "--format", "json", *words],
        capture_output=True, text=True, check=False, timeout=120, env={**os.environ, **environment},
    )  # fmt: skip
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    assert report["healthy"] is (done.returncode == 0)
    return done.returncode, {each["subject"]: (each["health"], each["detail"]) for each in report["checks"]}


def ready(*services: Running, headers: Mapping[str, str] | None = None) -> None:
    for service in services:
        until(
            lambda each=service: (
                each.client.get("/rollcast/inflight", headers=headers).json()["definitions"] or {}
            ).get(FLAG)
        )


def test_a_service_that_is_well_connected_has_nothing_wrong(tmp_path: Path) -> None:
    with running(tmp_path / "a", flag=both(0)) as one, running(tmp_path / "b", flag=both(0)) as two:
        ready(one, two)
        folder = project(tmp_path / "project", f"endpoint: [{one.url}, {two.url}]")
        before = one.definition.read_text(), one.state()["entered"]
        code, found = doctor(folder)
        assert code == 0, found
        assert {health for health, _ in found.values()} == {"ok", "not judged"}
        assert found["A5 the control endpoint is behind its token"][0] == "not judged"
        assert found["bucketing"] == ("ok", f"all replicas split by {BUCKETING}")
        assert (one.definition.read_text(), one.state()["entered"]) == before, "nothing was written, nor asked"
        code, found = doctor(folder, "--probe", str(probe_in(one.folder, False)))
        assert code == 0, found
        assert found["C7 answers say which release served"][0] == "ok"
        done = subprocess.run([*DOCTOR, "-C", str(folder), "doctor"], capture_output=True, text=True, check=False)
        assert " 0 wrong, " in done.stdout


def test_what_is_wrong_is_named_with_the_address_and_the_remedy(tmp_path: Path) -> None:
    token = {"ROLLCAST_ENDPOINT_TOKEN": "t"}
    gone = f"http://127.0.0.1:{free_port()}"
    with (
        running(tmp_path / "a", flag=both(0), environment=token) as behind,
        running(tmp_path / "b", flag=both(100)) as late,
    ):
        ready(late)
        ready(behind, headers={"Authorization": "Bearer t"})
        folder = project(tmp_path / "project", f"endpoint: [{behind.url}, {late.url}, {gone}]")
        code, found = doctor(folder)
        assert code == 1
        assert "Set ROLLCAST_ENDPOINT_TOKEN here" in found[behind.url][1]
        assert "does not evaluate what the target holds" in found[late.url][1]
        assert "doesn't answer" in found[gone][1]
        code, found = doctor(folder, ROLLCAST_ENDPOINT_TOKEN="t")
        assert found[behind.url][0] == "ok"
        next((folder / ".rollcast/live/instances").rglob("manifest.json")).unlink()
        assert "names instances that are not there" in doctor(folder)[1]["flag"][1]


@pytest.fixture(scope="module")
def relays(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two relays that are older than a lease; the second has another definition."""
    folder = tmp_path_factory.mktemp("relays")
    put(folder / "flags.json", both(0))
    put(folder / "other.json", both(7))
    with relaying(folder / "flags.json") as one, relaying(folder / "other.json") as two:
        until(lambda: two.fleet()["time"] - two.fleet()["since"] > two.fleet()["lease_s"] + 0.2, 15)
        yield one, two


def test_a_fleet_of_mixed_kits_and_hashes_is_found(tmp_path: Path, relays: tuple[RunningRelay, RunningRelay]) -> None:
    one, two = relays
    folder = project(tmp_path / "project", f"relay: {one.url}")
    told = {"definitions": {FLAG: CONTENT}, "warm": [], "entered": {}, "finished": {}}
    assert "no replica acknowledges" in doctor(folder)[1]["relays"][1]
    for relay in relays:
        relay.acknowledge("a", kit="kit/1", bucketing=BUCKETING, **told)
        relay.acknowledge("b", kit="kit/1", bucketing=BUCKETING, **told)
    code, found = doctor(folder)
    assert (code, found["kits"]) == (0, ("ok", "kit/1")), found
    one.acknowledge("b", kit="kit/2", bucketing="flagd-cbor-murmur3-32/1", **told)
    one.acknowledge("c", kit="kit/2", bucketing=BUCKETING, lease_s=1, degraded="no source", **told)
    time.sleep(1.2)
    code, found = doctor(folder)
    assert code == 1
    assert found["kits"] == ("warning", "mixed: kit/1 at replica a; kit/2 at replica b, replica c")
    assert "replica b by flagd-cbor-murmur3-32/1" in found["bucketing"][1]
    assert "'rollcast dataplane forget c'" in found["replica c"][1]
    assert "no source" in found["replica c"][1]
    both_relays = project(tmp_path / "both", f"relay: [{one.url}, {two.url}]")
    assert "serve different flags" in doctor(both_relays)[1]["relays"][1]


def test_a_target_without_addresses_and_one_that_others_reach_are_said(tmp_path: Path) -> None:
    code, found = doctor(project(tmp_path / "a", "kind: flagd"))
    assert (code, found["fleet"][0]) == (0, "warning")
    code, found = doctor(project(tmp_path / "b", "endpoint: http://192.0.2.1:9001"))
    assert (code, found["tokens"][0]) == (1, "warning")
    assert "ROLLCAST_ENDPOINT_TOKEN is not set" in found["tokens"][1]
