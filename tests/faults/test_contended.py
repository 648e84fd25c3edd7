"""More than one process: two applies at once, an old one that wakes up late, a ledger that goes away for a while."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from rollcast.planner.declaration.models import TargetSettings
from rollcast.stacks.base.errors import FenceError
from rollcast.stacks.instances import InstanceSpec, Placed, Provisioning
from rollcast.stacks.ledger.ledger import open_ledger
from rollcast.stacks.ledger.records import verify
from rollcast.stacks.ledger.rollouts import STARTED
from rollcast.stacks.targets.opening import short_target
from tests.faults.figures import survived, tried
from tests.faults.surviving import assert_whole, meaning
from tests.stacks.servers import postgres
from tests.stacks.site import PATIENT, Site, injected

pytestmark = [pytest.mark.engine, pytest.mark.slow]
QUICK_LEASE = {"ROLLCAST_LEASE_S": "3"}


def test_of_two_applies_at_once_one_is_refused_and_changes_nothing(site: Site) -> None:
    site.declare(safety=2)
    began = len([r for r in open_ledger(site.folder, "rag-search/local").records() if r.kind == STARTED])
    with (
        site.requests() as requests,
        site.background("apply", "--auto-approve") as one,
        site.background("apply", "--auto-approve") as two,
    ):
        codes = sorted([one.wait(200), two.wait(200)])
    tried("two applies at once", 1, requests)
    assert codes[0] == 0
    assert codes[1] in (6, 7), codes
    records = open_ledger(site.folder, "rag-search/local").records()
    assert len([r for r in records if r.kind == STARTED]) == began + 1
    assert meaning(site) == (["0", "1", "2", "3"], "promoted")
    assert_whole(site)
    assert (requests.mixed, requests.failed) == (0, 0)
    survived("two applies at once", 1)


@pytest.mark.parametrize("failpoint", ["engine: before an update#3", "provider: before a write#3"])
def test_a_paused_process_that_wakes_after_its_lease_was_taken_changes_nothing(site: Site, failpoint: str) -> None:
    version = site.other_version()
    site.declare(safety=version)
    (site.faults / "faults.json").write_text(json.dumps({failpoint: "pause-all"}))
    (site.faults / "passed").write_text("")
    with (
        site.requests() as requests,
        site.background("apply", "--auto-approve", **injected(site.faults), **QUICK_LEASE) as old,
    ):
        _await_stopped(old.pid)
        _stop_between_writes(site, old.pid)
        time.sleep(3.5)  # the lease runs out: nobody renews it
        resumed = site.rollcast("apply", "--resume", **QUICK_LEASE)
        assert resumed.returncode == 0, resumed.stdout + resumed.stderr
        ended = meaning(site)
        for process in [psutil.Process(old.pid), *psutil.Process(old.pid).children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):  # the engine and the provider were ended by the newer process
                process.send_signal(signal.SIGCONT)
        assert old.wait(120) == 7, old.stderr.read() if old.stderr else ""
    tried("a paused process that wakes late", 1, requests)
    assert ended == meaning(site) == (["0", "1", "2", "3"], "promoted")
    assert site.components()["safety"] == f"no-code-execution@{version}"
    assert_whole(site)
    assert (requests.mixed, requests.failed) == (0, 0)
    survived("a paused process that wakes late", 1)


def _stop_between_writes(site: Site, pid: int) -> None:
    """A process that is stopped while it writes to an SQLite file blocks it for all: go on until it is not writing."""
    for _ in range(100):
        try:
            connection = sqlite3.connect(site.folder / ".rollcast/ledger.db", timeout=0.2)
            connection.execute("BEGIN IMMEDIATE")
            connection.close()
            return
        except sqlite3.OperationalError:
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.05)
            os.kill(pid, signal.SIGSTOP)
    raise AssertionError("the process is always writing")


def _await_stopped(pid: int) -> None:
    for _ in range(600):
        if psutil.Process(pid).status() == psutil.STATUS_STOPPED:
            return
        time.sleep(0.1)
    raise AssertionError("the process never came to the boundary")


def test_a_late_write_is_refused_by_the_target_itself(tmp_path: Path) -> None:
    target = short_target(TargetSettings(definition="live/flags.json", instances="live/instances"), tmp_path)
    (instances,) = target.instances
    spec, watch = InstanceSpec(), Provisioning()
    target.put_flag(1, "f", {"state": "ENABLED"})
    target.claim(2)
    content = tmp_path / "content"
    content.mkdir()
    (content / "manifest.json").write_text('{"digest": "sha256:x", "kind": "reranker"}')
    late = (
        lambda: target.put_flag(1, "f", None),
        lambda: instances.put_instance(1, Placed(folder="p/s/i", digest="sha256:x"), content, spec, watch),
        lambda: instances.remove_instance(1, "p/s/i"),
        lambda: target.put_document(1, "sha256:" + "0" * 64, "{}"),
        lambda: target.claim(1),
    )
    for write in late:
        with pytest.raises(FenceError, match="fencing token 1"):
            write()
    assert target.flag("f") == {"state": "ENABLED"}
    assert target.placed() == {}


def test_ctrl_c_once_ends_at_a_safe_state_and_can_be_gone_on_with(site: Site) -> None:
    version = site.other_version()
    site.declare(safety=version, rollout=PATIENT)
    with site.requests() as requests:
        with site.background("apply", "--auto-approve") as process:
            site.await_milestone(1)
            os.kill(process.pid, signal.SIGINT)
            assert process.wait(60) == 130
        assert {share["percent"] for share in site.status()["serving"]} == {50.0}
        assert site.rollcast("promote", "--full", "--reason", "the end of the test").returncode == 0
        assert site.rollcast("apply", "--resume").returncode == 0
    tried("Ctrl-C", 1, requests)
    assert meaning(site) == (["0", "1", "2", "3"], "promoted")
    assert_whole(site)
    assert (requests.mixed, requests.failed) == (0, 0)
    survived("Ctrl-C", 1)


def test_a_ledger_that_is_gone_for_a_while_stops_nothing_and_loses_nothing(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The last test of this site: what serves belongs to its ledger, and is taken down before another one begins.
    gone = site.rollcast("destroy", "--auto-approve")
    assert gone.returncode == 0, gone.stdout + gone.stderr
    with postgres(tmp_path) as server:
        monkeypatch.setenv("ROLLCAST_LEDGER_URL", server.database())
        site.declare()
        first = site.rollcast("apply", "--auto-approve")
        assert first.returncode == 0, first.stdout + first.stderr
        version = site.other_version()
        site.declare(safety=version, rollout=PATIENT.replace("min: 10m", "min: 6s"))
        with site.requests() as requests, site.background("apply", "--auto-approve") as process:
            site.await_milestone(1)
            server.stop()
            time.sleep(3)
            server.start()
            code = process.wait(200)
            assert code == 0, process.stderr.read() if process.stderr else ""
        tried("a ledger out of reach", 1, requests)
        records = open_ledger(site.folder, "rag-search/local").records()
        verify(records)
        own = [record for record in records if record.rollout == records[-1].rollout]
        assert [record.body["milestone"] for record in own if record.kind == "reached"] == [0, 1, 2, 3]
    assert site.components()["safety"] == f"no-code-execution@{version}"
    assert_whole(site)
    assert (requests.mixed, requests.failed) == (0, 0)
    survived("a ledger out of reach", 1)
