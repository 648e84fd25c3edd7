"""Express services on the kit, live: streams, clients that go, faults of the flag's source, sessions, the schemas."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from rollcast.stacks.flags.definitions import CONTENT
from rollcast_dataplane import SignedPins
from tests.dataplane.releasing import FLAG, NEW, OLD, both, flag, put
from tests.dataplane.running import Running, asked_while_the_flag_flips, until
from tests.dataplane_ts.building import running_node
from tests.spec.test_schemas import validator


@pytest.fixture(scope="module")
def service(kit: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_node(kit, tmp_path_factory.mktemp("express"), flag=flag(0)) as made:
        yield made


def settled(service: Running, made: dict) -> None:
    """Writes a flag, and waits until it is evaluated: at most two seconds (spec D4)."""
    put(service.definition, made)
    until(lambda: service.state()["definitions"] == {FLAG: made["metadata"][CONTENT]}, 2)


def test_state_and_outcomes_fit_the_schemas(service: Running) -> None:
    settled(service, both(50))
    for body in ({"user": "ann"}, {"session": 7}, {"device": "d", "attributes": {"region": "eu"}}, {}):
        assert service.post("/chat", body).status_code == 200
    assert service.post("/boom", {"user": "ann"}).status_code == 500
    state, records = service.state(), service.records()
    assert not list(validator("replica-state").iter_errors(state))
    assert state["kit"].startswith("rollcast-dataplane-typescript/")
    assert state["entered"] == state["finished"]
    for record in records:
        assert not list(validator("telemetry-record").iter_errors(record)), record
        assert record["components"].keys() == {"prompt", "index", "generator"}
    assert [record["error"] for record in records[-5:]] == [False] * 4 + [True]
    assert len({record["request"] for record in records}) == len(records)
    assert len(records) == sum(state["finished"].values())


def test_a_stream_is_on_one_release_and_in_flight_until_its_last_byte(service: Running) -> None:
    settled(service, both(0))
    with service.client.stream("POST", "/stream", json={"user": "ann", "takes_s": 1.5}) as reply:
        assert reply.headers["x-rollcast-release"] == OLD.id
        lines = reply.iter_lines()
        assert next(lines) == OLD.id
        settled(service, both(100))
        assert service.post("/chat", {"user": "ann"}).json()["release"] == NEW.id
        assert service.state()["releases"] == {OLD.id: 1}
        assert set(lines) == {OLD.id}
    last = service.records()[-1]
    assert last["release"] == OLD.id
    assert last["ttft_s"] < 0.5 < 1.4 < last["latency_s"]


@pytest.mark.parametrize("end", ["client", "service"])
def test_a_stream_that_is_cut_leaves_nothing_in_flight_and_says_whose_doing_it_was(service: Running, end: str) -> None:
    settled(service, both(0))
    lines = len(service.records())
    body = {"user": "gone", "takes_s": 30 if end == "client" else 0.2, "breaks": end == "service"}
    with httpx.Client(trust_env=False) as client, client.stream("POST", f"{service.url}/stream", json=body) as reply:
        parts = reply.iter_lines()
        next(parts)
        assert service.state()["releases"] == {OLD.id: 1}
        if end == "service":
            with pytest.raises(httpx.RemoteProtocolError):
                list(parts)
    (record,) = service.records()[lines:]
    assert (record.get("cancelled", False), record["error"]) == ((True, False) if end == "client" else (False, True))


def test_no_request_is_mixed_or_lost_while_the_flag_changes_all_the_time(service: Running) -> None:
    answers = {
        (status, said, release, parts["prompt"]) for status, said, release, parts in asked_while_the_flag_flips(service)
    }
    prompts = {OLD.id: "prompt@1", NEW.id: "prompt@2"}
    assert answers == {(200, release, release, prompt) for release, prompt in prompts.items()}
    until(lambda: service.state()["releases"] == {})
    state = service.state()
    assert state["entered"] == state["finished"]


def test_an_entry_takes_no_release_from_outside_and_passes_none_on(service: Running) -> None:
    settled(service, both(0))
    forged = {"x-rollcast-release": NEW.id, "baggage": f"team=red,rollcast.release={NEW.id}"}
    reply = service.post("/chat", {"user": "ann"}, **forged).json()
    assert reply["release"] == OLD.id
    assert "x-rollcast-release" not in reply["saw"]
    assert reply["saw"]["baggage"] == "team=red"
    assert NEW.id not in str(reply["raw"])


def test_a_client_that_tries_again_with_its_own_name_makes_another_request(service: Running) -> None:
    settled(service, both(0))
    for _ in range(2):
        service.post("/chat", {"user": "ann"}, **{"x-request-id": "again"})
    one, two = service.records()[-2:]
    assert one["request"] != two["request"]
    assert (one["client_request"], two["client_request"]) == ("again", "again")
    assert not list(validator("telemetry-record").iter_errors(one))


def test_a_session_keeps_its_release_until_that_is_gone(service: Running) -> None:
    settled(service, both(0))
    assert service.post("/chat", {"user": "ann", "session": "s1"}).json()["release"] == OLD.id
    settled(service, both(100))
    assert service.post("/chat", {"user": "ann", "session": "s1"}).json()["release"] == OLD.id
    assert service.post("/chat", {"user": "ann", "session": "s2"}).json()["release"] == NEW.id
    settled(service, flag(100))
    assert service.post("/chat", {"user": "ann", "session": "s1"}).json()["release"] == NEW.id
    assert service.records()[-1]["repinned"]
    settled(service, both(0))
    assert service.post("/chat", {"session": "s1"}).json()["release"] == NEW.id
    assert "repinned" not in service.records()[-1]


def test_two_processes_share_the_pins_of_their_machine_and_one_beginning_wins(kit: Path, tmp_path: Path) -> None:
    pins = str(tmp_path / "pins")
    with (
        running_node(kit, tmp_path / "a", flag=both(50), pins_at=pins) as a,
        running_node(kit, tmp_path / "b", flag=both(50), pins_at=pins) as b,
        ThreadPoolExecutor(8) as pool,
    ):
        assert a.state()["replica"] != b.state()["replica"]
        for number in range(20):
            # Another user each time: what they would be resolved to without the pin differs.
            asked = [((a, b)[turn % 2], {"user": f"{number}/{turn}", "session": f"s{number}"}) for turn in range(8)]
            answers = list(pool.map(lambda each: each[0].post("/chat", each[1]).json()["release"], asked))
            assert len(set(answers)) == 1


def test_signed_pins_are_those_of_the_python_kit(kit: Path, tmp_path: Path) -> None:
    secret = {"ROLLCAST_PIN_SECRET": "0123456789abcdef"}
    with running_node(kit, tmp_path, flag=both(0), environment=secret, pins="signed") as service:
        first = service.post("/chat", {"session": "s"})
        token = first.headers["x-rollcast-pin"]
        pin = SignedPins(secret["ROLLCAST_PIN_SECRET"]).find("session:s", token)
        assert pin is not None
        assert (pin.release, pin.token) == (OLD.id, token)
        settled(service, both(100))
        kept = SignedPins(secret["ROLLCAST_PIN_SECRET"]).keep("session:t", pin, 60, None).token
        service.client.cookies.clear()
        assert service.post("/chat", {"session": "s"}, cookie=f"a=b; rollcast_pin={token}").json()["release"] == OLD.id
        service.client.cookies.clear()
        assert service.post("/chat", {"session": "t"}, **{"x-rollcast-pin": kept or ""}).json()["release"] == OLD.id
        service.client.cookies.clear()
        assert service.post("/chat", {"session": "u"}, **{"x-rollcast-pin": token}).json()["release"] == NEW.id


def test_a_service_starts_before_its_flag_and_outlives_it(kit: Path, tmp_path: Path) -> None:
    with running_node(kit, tmp_path) as service:
        reply = service.post("/chat", {"user": "ann"})
        assert reply.status_code == 503
        assert "no release" in reply.json()["error"]
        assert "is not there" in service.state()["degraded"]
        put(service.definition, flag(0))
        until(lambda: service.post("/chat", {"user": "ann"}).status_code == 200, 2)
        for broken in ("", "{", '{"flags": {}}', "\x00", None):
            if broken is None:
                service.definition.unlink()
            else:
                service.definition.write_text(broken, "utf-8")
            until(lambda: service.state()["degraded"], 2)
            assert service.post("/chat", {"user": "ann"}).json()["release"] == OLD.id
    with running_node(kit, tmp_path) as again:  # restarted, with nothing to read
        assert again.post("/chat", {"user": "ann"}).json()["release"] == OLD.id
        assert "last known" in again.state()["degraded"]
        put(again.definition, flag(100))
        until(lambda: again.post("/chat", {"user": "ann"}).json()["release"] == NEW.id, 2)
        assert again.state()["degraded"] is False
        assert len(again.records()) == sum(
            1 for each in again.records() if validator("telemetry-record").is_valid(each)
        )


def test_the_control_endpoint_warms_evaluates_and_refuses(kit: Path, tmp_path: Path) -> None:
    token = {"ROLLCAST_ENDPOINT_TOKEN": "s3cret"}
    with running_node(kit, tmp_path, flag=flag(0), environment=token) as service:
        allowed = {"authorization": "Bearer s3cret"}
        assert service.client.get("/rollcast/inflight").status_code == 401
        assert service.post("/rollcast/warm", {"instance": "p/ready"}, authorization="Bearer other").status_code == 401
        assert service.post("/rollcast/warm", {"instance": "p/ready"}, **allowed).json() == {"ready": True}
        assert service.post("/rollcast/warm", {"instance": "p/cold"}, **allowed).status_code == 503
        assert service.client.get("/rollcast/inflight", headers=allowed).json()["warm"] == ["p/ready"]
        asked = {"release": NEW.variant("default"), "suite": "s"}
        found = service.post("/rollcast/evaluate", asked, **allowed)
        assert found.json() == {"cases": 2, "metrics": {"of_new": 1.0}}
        assert service.post("/rollcast/evaluate", {**asked, "suite": "broken"}, **allowed).status_code == 500
        for path, body in (
            ("warm", {}),
            ("evaluate", {"suite": "s"}),
            ("evaluate", {"release": {"release": 7}, "suite": "s"}),
        ):
            assert service.post(f"/rollcast/{path}", body, **allowed).status_code == 400
        assert service.client.post("/rollcast/warm", content=b"{", headers=allowed).status_code == 400
        assert service.client.get("/rollcast/warm", headers=allowed).status_code == 405
        assert service.client.get("/rollcast/other", headers=allowed).status_code == 404
        assert service.client.get("/rollcast/inflight", headers=allowed).json()["entered"] == {}


def test_outcomes_go_on_in_a_new_file_after_rotation(kit: Path, tmp_path: Path) -> None:
    with running_node(kit, tmp_path, flag=flag(0)) as service:
        service.post("/chat", {"user": "ann"})
        path = tmp_path / "telemetry" / "requests.jsonl"
        until(path.exists)  # an outcome is written after its answer
        os.replace(path, path.with_suffix(".1"))
        until(lambda: (service.post("/chat", {"user": "ben"}), path.exists())[1])
        assert json.loads(path.with_suffix(".1").read_text("utf-8").splitlines()[0])["key"] == "ann"
