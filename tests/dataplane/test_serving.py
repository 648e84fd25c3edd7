"""The kit in real services: one release a request, whatever happens to the flag, and every request counted once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from rollcast.planner.routing.split import Router
from rollcast.stacks.flags.definitions import CONTENT
from rollcast.stacks.telemetry.records import request_of
from tests.dataplane.releasing import FLAG, LINE, NEW, OLD, PIPELINE, Share, both, flag, put
from tests.dataplane.running import KINDS, Running, asked_while_the_flag_flips, running, until
from tests.spec.test_schemas import validator


@pytest.fixture(scope="module", params=KINDS)
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp(request.param) / "service", request.param, flag=both(50)) as found:
        yield found


def settled(service: Running, made: dict[str, Any]) -> None:
    """The service evaluates this flag."""
    put(service.definition, made)
    assert until(lambda: service.state()["definitions"][FLAG] == made["metadata"][CONTENT]) < 2.0


def test_users_are_served_by_the_release_that_the_flag_gives_them(service: Running) -> None:
    settled(service, both(30))
    shares = tuple(Share(line="default", percent=p, release=r.id) for p, r in ((30, NEW), (70, OLD)))
    router = Router(PIPELINE, {"default": LINE}, {"default": shares}, {})
    for user in [*(f"user-{number}" for number in range(40)), 7, 7.0, True, "é", "名前"]:
        reply = service.post("/chat", {"user": user})
        routed = router.route("true" if user is True else "7" if user == 7 else str(user), {})
        assert routed is not None
        assert reply.status_code == 200
        assert reply.json()["release"] == reply.headers["x-rollcast-release"] == routed.release


def test_each_request_is_counted_once_and_leaves_one_outcome(service: Running) -> None:
    settled(service, flag(0))
    before, lines = service.state(), len(service.records())
    for number in range(10):
        assert service.post("/chat", {"user": f"u{number}", "attributes": {"region": "eu"}}).status_code == 200
    assert service.post("/boom", {"user": "unlucky"}).status_code == 500
    assert service.post("/chat", {"user": ["no key"]}).status_code == 400
    service.client.get("/healthz")
    after, records = service.state(), service.records()[lines:]
    for name in ("entered", "finished"):
        assert after[name][OLD.id] - before[name].get(OLD.id, 0) == 11
    assert after["releases"] == {}
    assert not list(validator("replica-state").iter_errors(after))
    assert len(records) == len({record["request"] for record in records}) == 11
    assert [record["error"] for record in records] == [False] * 10 + [True]
    for record in records:
        assert not list(validator("telemetry-record").iter_errors(record))
        read = request_of(record)
        assert read is not None
        assert read.release == OLD.id
        assert read.components == {"prompt": "prompt@1", "index": "index@1", "generator": "chat@1"}
    assert records[0]["attributes"] == {"region": "eu"}
    assert (records[0]["input_tokens"], records[0]["output_tokens"]) == (3, 5)


def test_a_client_that_tries_again_makes_two_requests(service: Running) -> None:
    settled(service, flag(0))
    lines = len(service.records())
    for _ in range(2):
        service.post("/chat", {"user": "ann"}, **{"x-request-id": "the same"})
    records = service.records()[lines:]
    assert len({record["request"] for record in records}) == 2
    assert [record["client_request"] for record in records] == ["the same"] * 2


def test_a_stream_is_in_flight_and_on_one_release_until_its_last_byte(service: Running) -> None:
    settled(service, both(0))
    with service.client.stream("POST", "/stream", json={"user": "ann", "takes_s": 1.5}) as reply:
        assert reply.headers["x-rollcast-release"] == OLD.id
        lines = reply.iter_lines()
        seen = [next(lines)]
        put(service.definition, both(100))
        until(lambda: service.post("/chat", {"user": "ann"}).json()["release"] == NEW.id)
        assert service.state()["releases"] == {OLD.id: 1}
        seen += list(lines)
    assert set(seen) == {OLD.id}
    assert len(seen) == 31
    until(lambda: service.state()["releases"] == {})
    last = service.records()[-1]
    assert last["release"] == OLD.id
    assert last["ttft_s"] < 0.5 < 1.4 < last["latency_s"]


def test_a_client_that_goes_away_leaves_nothing_in_flight(service: Running) -> None:
    settled(service, flag(0))
    lines = len(service.records())
    with (
        httpx.Client(trust_env=False) as client,
        client.stream("POST", f"{service.url}/stream", json={"user": "gone", "takes_s": 30}) as reply,
    ):
        lines_of_it = reply.iter_lines()
        next(lines_of_it)
        assert service.state()["releases"] == {OLD.id: 1}
    until(lambda: service.state()["releases"] == {})
    (record,) = service.records()[lines:]
    assert record["cancelled"]
    assert not record["error"]


def test_no_request_is_mixed_or_lost_while_the_flag_changes_all_the_time(service: Running) -> None:
    answers = asked_while_the_flag_flips(service)
    assert {status for status, *_ in answers} == {200}
    assert {said for _, said, *_ in answers} == {OLD.id, NEW.id}
    for _, said, release, components in answers:
        assert said == release
        assert components["prompt"] == ("prompt@2" if release == NEW.id else "prompt@1")
    until(lambda: service.state()["releases"] == {})
    state = service.state()
    assert state["entered"] == state["finished"]


def test_anonymous_requests_are_spread_and_sessions_stick(service: Running) -> None:
    settled(service, both(50))
    anonymous = Counter(service.post("/chat", {}).json()["release"] for _ in range(60))
    assert min(anonymous[OLD.id], anonymous[NEW.id]) > 10
    devices = {service.post("/chat", {"device": "phone-1"}).json()["release"] for _ in range(10)}
    assert len(devices) == 1
    kinds = {record["key_kind"] for record in service.records()[-70:]}
    assert kinds == {"request", "device"}


def test_a_session_keeps_its_release_while_the_percentage_grows(service: Running) -> None:
    settled(service, both(0))
    assert service.post("/chat", {"user": "ann", "session": "s1"}).json()["release"] == OLD.id
    settled(service, both(100))
    assert service.post("/chat", {"user": "ann", "session": "s1"}).json()["release"] == OLD.id
    assert service.post("/chat", {"user": "ann", "session": "s2"}).json()["release"] == NEW.id
    settled(service, flag(100))  # the old release is gone: nothing can keep it
    assert service.post("/chat", {"user": "ann", "session": "s1"}).json()["release"] == NEW.id
    assert service.records()[-1]["repinned"]
    settled(service, both(0))
    assert service.post("/chat", {"session": "s1"}).json()["release"] == NEW.id
    assert "repinned" not in service.records()[-1]


def test_an_entry_takes_no_release_from_outside_and_passes_none_on(service: Running) -> None:
    settled(service, both(0))
    forged = {"x-rollcast-release": NEW.id, "baggage": f"a=1,rollcast.release={NEW.id}"}
    reply = service.post("/call", {"user": "eve", "url": f"{service.url}/chat", "json": {}}, **forged)
    assert reply.headers["x-rollcast-release"] == OLD.id
    saw = reply.json()["saw"]
    assert "x-rollcast-release" not in saw
    assert saw["baggage"] == "a=1"


def test_the_control_endpoint_warms_evaluates_and_refuses(service: Running) -> None:
    assert service.post("/rollcast/warm", {"instance": "p/i/cold"}).status_code == 503
    assert "p/i/cold" not in service.state()["warm"]
    assert service.post("/rollcast/warm", {"instance": "p/i/ready"}).json() == {"ready": True}
    assert "p/i/ready" in service.state()["warm"]
    body = {"release": NEW.variant("default"), "suite": "suite"}
    assert service.post("/rollcast/evaluate", body).json() == {"cases": 2, "metrics": {"of_new": 1.0}}
    assert service.post("/rollcast/evaluate", {**body, "suite": "broken"}).status_code == 500
    for path, sent in (
        ("evaluate", {}),
        ("evaluate", {"release": {"release": 1}, "suite": "s"}),
        ("warm", {"instance": 1}),
    ):
        reply = service.post(f"/rollcast/{path}", sent)
        assert reply.status_code == 400
        assert "Correct" in reply.json()["error"]
    assert service.client.post("/rollcast/warm", content=b"[" * 100_000).status_code == 400
    assert service.client.get("/rollcast/nothing").status_code == 404
    assert service.client.get("/rollcast/warm").status_code == 405


@pytest.mark.parametrize("kind", KINDS)
def test_a_trusted_hop_serves_what_it_is_given_or_refuses(kind: str, tmp_path: Path) -> None:
    with running(tmp_path, kind, flag=both(0), trust=["127.0.0.0/8"]) as hop:
        for headers in ({"x-rollcast-release": NEW.id}, {"baggage": f"rollcast.release={NEW.id},k=v"}):
            assert hop.post("/chat", {"user": "ann"}, **headers).json()["release"] == NEW.id
        assert hop.post("/chat", {"user": "ann"}).json()["release"] == OLD.id
        disagreeing = {"x-rollcast-release": NEW.id, "baggage": f"rollcast.release={OLD.id}"}
        for headers in ({"x-rollcast-release": "rel-unknown"}, disagreeing):
            reply = hop.post("/chat", {"user": "ann"}, **headers)
            assert reply.status_code == 503
            assert reply.json()["release"]
            assert reply.json()["error"]
        assert "rel-unknown" not in hop.state()["entered"]
        through = hop.post("/call", {"user": "ann", "url": f"{hop.url}/chat"}, **{"x-rollcast-release": NEW.id})
        assert through.json()["said"]["release"] == NEW.id


@pytest.mark.parametrize("kind", KINDS)
def test_a_service_starts_before_its_flag_and_outlives_it(kind: str, tmp_path: Path) -> None:
    with running(tmp_path, kind) as service:
        reply = service.post("/chat", {"user": "ann"})
        assert reply.status_code == 503
        assert "error" in reply.json()
        assert "flags.json is not there" in service.state()["degraded"]
        put(service.definition, both(0))
        assert until(lambda: service.post("/chat", {"user": "ann"}).status_code == 200) < 2.0
        assert service.state()["degraded"] is False
        known = service.state()["definitions"]
        whole = service.definition.read_text("utf-8")
        for text in ("", whole[: len(whole) // 2], "garbage", '{"flags": {"other": {}}}', None):
            if text is None:
                service.definition.unlink()
            else:
                service.definition.write_text(text, "utf-8")
            until(lambda: service.state()["degraded"])
            assert service.post("/chat", {"user": "ann"}).json()["release"] == OLD.id
            assert service.state()["definitions"] == known
    service.definition.write_text("garbage", "utf-8")
    with running(tmp_path, kind) as again:
        assert again.post("/chat", {"user": "ann"}).json()["release"] == OLD.id
        assert "can't be used" in again.state()["degraded"]
        put(again.definition, both(100))
        until(lambda: again.post("/chat", {"user": "ann"}).json()["release"] == NEW.id)
        assert again.state()["degraded"] is False


@pytest.mark.parametrize(("kind", "preload"), [("fastapi", False), ("flask", False), ("flask", True)])
def test_every_worker_is_a_replica_of_its_own(kind: str, preload: bool, tmp_path: Path) -> None:
    with running(tmp_path, kind, workers=2, flag=flag(0), preload=preload) as service:

        def ask(number: int) -> int:
            with httpx.Client(base_url=service.url, trust_env=False, timeout=30) as client:
                return int(client.post("/chat", json={"user": f"u{number}", "takes_s": 0.02}).json()["process"])

        with ThreadPoolExecutor(8) as pool:
            processes = Counter(pool.map(ask, range(100)))
        assert len(processes) == 2
        replicas: dict[str, dict[str, Any]] = {}
        until(lambda: replicas.update({(s := service.state())["replica"]: s}) or len(replicas) == 2)
        assert sum(state["finished"].get(OLD.id, 0) for state in replicas.values()) == 100
        assert len({record["replica"] for record in service.records()}) == 2


@pytest.mark.parametrize("pins", ["file", "signed"])
def test_a_session_keeps_its_release_on_every_replica(pins: str, tmp_path: Path) -> None:
    secret = {"ROLLCAST_PIN_SECRET": "of all replicas, the same"}
    shared = {"pins": pins, "pins_at": str(tmp_path / "shared.db")}
    with (
        running(tmp_path / "a", flag=both(0), environment=secret, **shared) as a,
        running(tmp_path / "b", "flask", flag=both(100), environment=secret, **shared) as b,
    ):
        first = a.post("/chat", {"session": "s1"})
        token = first.headers.get("x-rollcast-pin", "")
        assert bool(token) == (pins == "signed")
        assert b.post("/chat", {"session": "s1"}, **{"x-rollcast-pin": token}).json()["release"] == OLD.id
        assert b.post("/chat", {"session": "s2"}, **{"x-rollcast-pin": token}).json()["release"] == NEW.id
        b.client.cookies.clear()
        if pins == "signed":
            assert b.post("/chat", {"session": "s1"}, cookie=f"a=b; rollcast_pin={token}").json()["release"] == OLD.id
            b.client.cookies.clear()
            for forged in (token[:-3] + "AAA", "x", token.split(".")[0] + "."):
                assert b.post("/chat", {"session": "s1"}, **{"x-rollcast-pin": forged}).json()["release"] == NEW.id
                b.client.cookies.clear()


def test_two_requests_that_begin_a_session_at_once_meet_one_release(tmp_path: Path) -> None:
    shared = {"pins_at": str(tmp_path / "shared.db")}
    with running(tmp_path / "a", flag=both(0), **shared) as a, running(tmp_path / "b", flag=both(100), **shared) as b:

        def ask(number: int) -> tuple[str, str]:
            url = (a, b)[number % 2].url
            body = {"session": f"s{number // 4}"}
            return body["session"], httpx.post(f"{url}/chat", json=body, trust_env=False).json()["release"]

        with ThreadPoolExecutor(8) as pool:
            met = set(pool.map(ask, range(160)))
        assert len(met) == 40


def test_pins_end_as_declared(tmp_path: Path) -> None:
    with running(tmp_path, flag=both(0), session_s=0.6) as service:
        service.post("/chat", {"session": "s"})
        settled(service, both(100))
        assert service.post("/chat", {"session": "s"}).json()["release"] == OLD.id
        time.sleep(0.7)
        assert service.post("/chat", {"session": "s"}).json()["release"] == NEW.id


@pytest.mark.parametrize("kind", KINDS)
def test_the_control_endpoint_is_behind_its_token(kind: str, tmp_path: Path) -> None:
    with running(tmp_path, kind, flag=flag(0), environment={"ROLLCAST_ENDPOINT_TOKEN": "s3cret"}) as service:
        assert service.client.get("/rollcast/inflight").status_code == 401
        assert service.client.get("/rollcast/inflight", headers={"authorization": "Bearer no"}).status_code == 401
        assert service.client.get("/rollcast/inflight", headers={"authorization": "Bearer s3cret"}).status_code == 200
        assert "s3cret" not in (tmp_path / "service.log").read_text()


def test_outcomes_go_on_in_a_new_file_after_rotation(tmp_path: Path) -> None:
    with running(tmp_path, flag=flag(0)) as service:
        service.post("/chat", {"user": "a"})
        path = tmp_path / "telemetry" / "requests.jsonl"
        path.rename(path.with_name("old.jsonl"))
        until(lambda: service.post("/chat", {"user": "b"}) and path.exists())
        service.post("/chat", {"user": "c"})
        assert service.records()[-1]["key"] == "c"
