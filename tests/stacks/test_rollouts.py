"""Rollouts through the real engine and the real service: steered, driven by repeated calls, superseded, audited."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollcast.cli.inputs.saved import sealed
from tests.commands import run_here
from tests.faults.surviving import assert_whole, meaning
from tests.relay.relays import until
from tests.stacks.figures import ROLLBACKS_S
from tests.stacks.site import EXAMPLE, PATIENT, ROLLOUT, Site, free_port

pytestmark = [pytest.mark.engine, pytest.mark.slow]


@pytest.fixture(autouse=True)
def _left_as_found(site: Site) -> Iterator[None]:
    """Every test begins with version 1 of everything, and leaves no rollout under way."""
    yield
    site.restore()


def test_calling_once_again_and_again_drives_a_whole_rollout_without_a_process_that_lives_on(site: Site) -> None:
    site.declare(safety=2, prompt=2)
    codes, events = [], []
    with site.requests() as requests:
        for call in range(40):
            kill = {30: "kill-all"} if call == 1 else {11: "kill"} if call == 2 else {}
            done = site.rollcast("apply", "--once", "--auto-approve", "--format", "json", faults=kill)
            events += [json.loads(track) for track in done.stdout.splitlines()]
            codes.append(done.returncode)
            if done.returncode not in (5, -9):
                break
            time.sleep(0.3)
    assert codes[-1] == 0, (codes, done.stderr)
    assert set(codes[:-1]) <= {5, -9}, codes
    assert meaning(site) == (["0", "1", "2", "3", "4", "5"], "promoted")
    looks = [event for event in events if event["event"] == "look" and event["gates"]]
    assert looks
    for look in looks:  # every user is new, so exactly the requests of the stage are judged, and no others
        judged = look["gates"][0]["n_candidate"] + look["gates"][0]["n_baseline"]
        assert judged == sum(look["tally"]["stage"].values()), look
    assert_whole(site)
    assert (requests.mixed, requests.failed) == (0, 0)


def orders_of(site: Site) -> list[dict[str, str]]:
    """What people ordered in the last rollout."""
    history = json.loads(run_here(site.folder, "history", "--format", "json").stdout)
    found: list[dict[str, str]] = history["rollouts"][0]["orders"]
    return found


def test_a_paused_rollout_stays_and_goes_on_by_order(site: Site) -> None:
    site.declare(safety=2, rollout=PATIENT)
    with site.background("apply", "--auto-approve") as process:
        site.await_milestone(1)
        assert site.rollcast("pause", "--reason", "lunch").returncode == 0
        site.await_held("paused by")
        assert process.poll() is None, "who paused wants nothing to go on, and harm to be seen all the same"
        status = site.status()
        assert status["rollout"]["held"].endswith(": lunch")
        assert {share["percent"] for share in status["serving"]} == {50.0}
        with site.background("apply", "--resume") as second:
            until(lambda: len(orders_of(site)) == 2, 60)
            assert site.rollcast("promote", "--full", "--reason", "fed").returncode == 0
            assert process.wait(90) == 0
            assert second.wait(30) == 0
    assert meaning(site)[1] == "promoted"
    orders = orders_of(site)
    assert [order["order"] for order in orders] == ["pause", "resume", "promote"]
    assert orders[0]["reason"] == "lunch"


def test_the_brake_holds_what_begins_and_what_is_under_way_and_lets_it_go_on(site: Site) -> None:
    site.declare(safety=2, rollout=PATIENT)
    assert site.rollcast("brake", "--reason", "incident 7").returncode == 0
    refused = site.rollcast("apply", "--auto-approve")
    assert (refused.returncode, refused.stdout.count("incident 7, says")) == (5, 1), refused.stdout + refused.stderr
    assert site.status()["rollout"]["outcome"] == "promoted", "nothing has begun"
    assert site.rollcast("brake", "--release", "--reason", "over").returncode == 0
    with site.background("apply", "--auto-approve") as process:
        site.await_milestone(1)
        assert site.rollcast("brake", "--reason", "incident 8").returncode == 0
        site.await_held("the brake is on since")
        assert site.rollcast("promote", "--full", "--reason", "this is the remedy").returncode == 0
        assert process.wait(90) == 0, "whoever steers may go on over it"
    assert site.rollcast("brake", "--release", "--reason", "over").returncode == 0
    assert meaning(site)[1] == "promoted"


def test_an_abort_is_done_by_the_process_at_work(site: Site) -> None:
    before = site.components()
    site.declare(safety=2, rollout=PATIENT)
    with site.background("apply", "--auto-approve") as process:
        site.await_milestone(1)
        ended = site.rollcast("abort", "--reason", "changed my mind")
        assert ended.returncode == 4, ended.stdout + ended.stderr
        assert process.wait(60) == 4
    assert site.components() == before
    assert meaning(site)[1] == "rolled_back"
    assert_whole(site)


def test_a_second_rollout_is_refused_unless_it_supersedes_the_first(site: Site) -> None:
    site.declare(safety=2, rollout=PATIENT)
    with site.requests(), site.background("apply", "--auto-approve") as process:
        site.await_milestone(1)
        serving = site.status()["serving"]
        site.declare(prompt=2)
        refused = site.rollcast("apply", "--auto-approve")
        assert refused.returncode in (1, 7), refused.stdout + refused.stderr
        assert "under way" in refused.stderr
        assert site.status()["serving"] == serving
        superseding = site.rollcast("apply", "--supersede", "--auto-approve")
        assert superseding.returncode == 0, superseding.stdout + superseding.stderr
        assert process.wait(60) == 4
    assert site.components()["generator.prompt"] == "answer@2"
    assert site.components()["safety"] == "no-code-execution@1"
    assert_whole(site)


def test_a_saved_plan_is_used_once_and_only_in_the_world_that_it_was_made_for(site: Site) -> None:
    site.declare(safety=2)
    assert site.rollcast("plan", "--out", "saved.json").returncode == 0
    assert (site.folder / "saved.json").stat().st_mode & 0o777 == 0o600
    with site.requests():
        assert site.rollcast("apply", "saved.json", "--auto-approve").returncode == 0
    again = site.rollcast("apply", "saved.json", "--auto-approve")
    assert again.returncode == 6
    assert "live state" in again.stderr
    assert site.rollcast("rollback", "--auto-approve").returncode == 0  # the live state is again what it was made from
    document = json.loads((site.folder / "saved.json").read_text("utf-8"))
    (site.folder / "saved.json").write_text(json.dumps(sealed({**document, "binding": {}})), "utf-8")
    emptied = site.rollcast("apply", "saved.json", "--auto-approve")
    assert emptied.returncode == 6, emptied.stdout + emptied.stderr
    site.declare(safety=1)
    assert site.rollcast("plan", "--out", "saved.json").returncode == 0
    site.declare(safety=3)
    changed = site.rollcast("apply", "saved.json", "--auto-approve")
    assert changed.returncode == 6
    assert "rollcast.yaml" in changed.stderr


def test_a_change_by_hand_is_found_before_a_plan_and_before_a_milestone(site: Site) -> None:
    before = site.components()
    flags = site.folder / ".rollcast/live/flags.json"
    site.declare(safety=2, rollout=PATIENT)
    with site.background("apply", "--auto-approve") as process:
        site.await_milestone(1)
        written = flags.read_text("utf-8")
        flags.write_text(written.replace("50000", "99000", 1), "utf-8")
        assert site.rollcast("promote").returncode == 0
        assert process.wait(60) == 6
        assert "edited by hand" in process.stderr.read() if process.stderr else ""
    assert site.rollcast("apply", "--resume").returncode == 6
    assert "edited by hand" in json.dumps(site.status()["notes"])
    back = site.rollcast("abort")
    assert back.returncode == 4, back.stdout + back.stderr
    assert site.components() == before
    assert_whole(site)


def test_an_instance_removed_by_hand_is_drift_and_is_made_again_on_the_way_back(site: Site) -> None:
    site.declare(safety=2, rollout=PATIENT)
    with site.background("apply", "--auto-approve") as process:
        site.await_milestone(1)
        gone = next((site.folder / ".rollcast/live/instances/rag-search/safety").glob("no-code-execution@2-*"))
        gone.rename(site.folder / "taken away")
        assert site.rollcast("promote").returncode == 0
        assert process.wait(60) == 6
    assert site.rollcast("abort").returncode == 4
    assert_whole(site)


def test_evidence_that_never_comes_is_no_pass(site: Site) -> None:
    short = ROLLOUT.replace("max: 60s, then: rollback", "max: 2s, then: hold")
    site.declare(safety=2, rollout=short)
    held = site.rollcast("apply", "--auto-approve")
    assert held.returncode == 5, held.stdout + held.stderr
    assert "no telemetry" in held.stdout
    assert {share["percent"] for share in site.status()["serving"]} == {50.0}


def test_a_rollout_begins_only_where_its_data_plane_answers(site: Site) -> None:
    before = len(json.loads(site.rollcast("history", "--format", "json").stdout)["rollouts"])
    serving = site.status()["serving"]
    site.declare(safety=2)
    path = site.folder / "rollcast.yaml"
    path.write_text(path.read_text().replace(f"127.0.0.1:{site.port}", f"127.0.0.1:{free_port()}"))
    refused = site.rollcast("apply", "--auto-approve")
    assert refused.returncode == 1, refused.stdout + refused.stderr
    assert "doesn't answer /rollcast/inflight" in refused.stderr
    assert "has not begun, and nothing was changed" in refused.stderr
    assert len(json.loads(site.rollcast("history", "--format", "json").stdout)["rollouts"]) == before
    assert site.status()["serving"] == serving


def _telemetry(site: Site, settings: str) -> None:
    path = site.folder / "rollcast.yaml"
    path.write_text(re.sub(r"telemetry: \{.*?\}", f"telemetry: {{{settings}}}", path.read_text()))


@pytest.mark.parametrize(
    "settings",
    ["kind: sql, path: requests, url: 'sqlite:////no/such/place.db'", "kind: prometheus, url: 'http://127.0.0.1:1'"],
)
def test_no_rollout_begins_without_the_telemetry_that_it_will_need(site: Site, settings: str) -> None:
    site.declare(safety=2)
    _telemetry(site, settings)
    before = site.status()
    refused = site.rollcast("apply", "--auto-approve")
    assert refused.returncode == 1, refused.stdout + refused.stderr
    assert "The rollout has not begun, and nothing was changed." in refused.stderr
    assert site.status() == before


@pytest.mark.parametrize("settings", ["kind: prometheus, url: 'http://127.0.0.1:1'"])
def test_telemetry_that_broke_since_is_no_pass_and_no_hindrance_on_the_way_back(site: Site, settings: str) -> None:
    site.declare(safety=2, rollout=ROLLOUT.replace("max: 60s, then: rollback", "max: 3s, then: hold"))
    with site.requests() as requests:
        begun = site.rollcast("apply", "--once", "--auto-approve")
        assert begun.returncode == 5, begun.stdout + begun.stderr
        _telemetry(site, settings)
        held = site.rollcast("apply", "--once", "--auto-approve")
        assert held.returncode == 5, held.stdout + held.stderr
        assert {share["percent"] for share in site.status()["serving"]} == {50.0}
        back = site.rollcast("abort")
    assert back.returncode == 4, back.stdout + back.stderr
    assert site.components()["safety"] == "no-code-execution@1"
    assert (requests.mixed, requests.failed) == (0, 0)


def test_the_ledger_says_what_served_and_gives_it_back(site: Site) -> None:
    before = site.components()
    at = time.time()
    site.declare(safety=2, prompt=2)
    with site.requests():
        assert site.rollcast("apply", "--auto-approve").returncode == 0
    found = json.loads(site.rollcast("audit", "--at", str(at), "--format", "json").stdout)
    (release,) = found["releases"].values()
    assert {slot: part["artifact"] for slot, part in release["components"].items()} == before
    assert all(part["digest"].startswith("sha256:") for part in release["components"].values())

    answer = json.loads((site.folder / ".rollcast/live/telemetry/requests.jsonl").read_text().splitlines()[-1])
    served = json.loads(site.rollcast("audit", "--request", answer["request"], "--format", "json").stdout)
    assert served["release"] == answer["release"]
    assert served["whole"] is True

    window = json.loads(site.rollcast("audit", "--between", str(at), str(time.time()), "--format", "json").stdout)
    assert len(window["periods"]) >= 5
    assert window["periods"][0]["from_s"] == pytest.approx(at)

    written = site.rollcast("audit", "--at", str(at), "--reproduce", "then.yaml")
    assert written.returncode == 0, written.stderr
    planned = json.loads(site.rollcast("plan", "--file", "then.yaml", "--format", "json").stdout)
    assert planned["to_release"] == {"default": next(iter(found["releases"]))}


def test_a_forecast_is_compared_with_what_the_rollout_really_did(site: Site) -> None:
    trace = (EXAMPLE / "traffic/AzureLLMInferenceTrace_conv.csv").read_text("utf-8").splitlines()
    (site.folder / "short.csv").write_text("\n".join(trace[:400]) + "\n", "utf-8")
    site.declare(safety=2, rollout=ROLLOUT.replace("margin: 0.6", "margin: 0.61"))  # a plan of its own
    assert site.rollcast("plan", "--out", "compared.json").returncode == 0
    made = site.rollcast(
        "simulate", "compared.json", "--traffic", "short.csv", "--scale", "20", "--out", "forecast.json"
    )
    assert made.returncode == 0, made.stderr
    unapplied = site.rollcast("compare", "forecast.json")
    assert unapplied.returncode == 1
    assert "No rollout here carried out the plan" in unapplied.stderr
    with site.requests():
        assert site.rollcast("apply", "compared.json", "--auto-approve").returncode == 0
    found = json.loads(site.rollcast("compare", "forecast.json", "--format", "json").stdout)
    assert found["outcome"]["actual"] == "promoted"
    assert found["duration_s"]["actual"] > 0
    assert [milestone["milestone"] for milestone in found["milestones"]] == [0, 1, 2, 3]
    assert all(milestone["entered_s"]["actual"] is not None for milestone in found["milestones"])
    assert found["exposure"]["requests"]["actual"] > 0
    assert found["metrics"][0]["rollout"]["actual"] == 0.0, "no request failed"
    assert "fell inside their forecast intervals" in site.rollcast("compare", "forecast.json").stdout


def test_one_command_leads_back_and_no_rollback_follows_a_rollback(site: Site) -> None:
    before = site.components()
    site.declare(safety=2)
    with site.requests() as requests:
        assert site.rollcast("apply", "--auto-approve").returncode == 0
        bad = site.status()["serving"][0]["release"]
        ordered = time.time()
        assert site.rollcast("rollback", "--auto-approve").returncode == 0
        assert site.components() == before
    again = site.rollcast("rollback", "--auto-approve")
    assert bad not in again.stdout, "a release that was left by a rollback is not gone back to"
    ROLLBACKS_S.append(requests.last_s[bad] - ordered)
    watched = site.rollcast("status", "--watch")
    assert watched.returncode == 0, "it ends when nothing is under way"
    assert (requests.mixed, requests.failed) == (0, 0)
    assert_whole(site)


def test_nothing_secret_is_written_anywhere_and_state_is_for_its_owner_alone(site: Site) -> None:
    secrets = {"ROLLCAST_ENDPOINT_TOKEN": "tok-5f2a9c", "TELEMETRY_PASSWORD": "pw-83bd01"}
    site.declare(safety=2)
    path = site.folder / "rollcast.yaml"
    sql = "telemetry: {kind: sql, url: 'sqlite:///t.db?x=${TELEMETRY_PASSWORD}', path: telemetry}"
    path.write_text(path.read_text().replace("telemetry: {kind: jsonl, path: .rollcast/live/telemetry}", sql))
    short = path.read_text().replace("max: 60s", "max: 1s")
    path.write_text(short)
    with contextlib.closing(sqlite3.connect(site.folder / "t.db")) as made, made:
        made.execute(
            "CREATE TABLE IF NOT EXISTS telemetry (id INTEGER PRIMARY KEY, time REAL, request TEXT, release TEXT)"
        )
    done = site.rollcast("apply", "--auto-approve", **secrets)
    assert done.returncode == 4, done.stdout + done.stderr
    assert not [word for word in secrets.values() if word in done.stdout + done.stderr]
    for file in _files(site.folder / ".rollcast"):
        content = file.read_bytes()
        assert not [word for word in secrets.values() if word.encode() in content], file
    for name in ("ledger.db", "pulumi/passphrase"):
        assert (site.folder / ".rollcast" / name).stat().st_mode & 0o077 == 0, name
    assert (site.folder / ".rollcast/pulumi").stat().st_mode & 0o077 == 0
    for file in _files(site.folder / ".rollcast/pulumi/state"):
        assert file.stat().st_mode & 0o077 == 0, file


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())
