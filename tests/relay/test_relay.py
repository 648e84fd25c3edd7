"""A relay as real clients see it: flagd's own provider over gRPC, OFREP's own provider, the kit, and the driver."""

from __future__ import annotations

import json
import time
from pathlib import Path

import httpx
import pytest
from openfeature import api
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import ResolverType
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext

from rollcast.planner.base.buckets import bucket_of
from tests.dataplane.releasing import FLAG, NEW, OLD, both, put, text_of
from tests.dataplane.running import running, until
from tests.relay.relays import RunningRelay, relaying
from tests.spec.test_schemas import validator


@pytest.fixture
def definition(tmp_path: Path) -> Path:
    path = tmp_path / "live" / "flags.json"
    put(path, both(50))
    return path


def test_flagds_own_provider_and_ofreps_own_give_what_the_planner_gives(definition: Path) -> None:
    with relaying(definition) as relay:
        flagd = FlagdProvider(resolver_type=ResolverType.IN_PROCESS, host="127.0.0.1", port=relay.grpc_port, tls=False)
        api.set_provider(flagd, "flagd")
        api.set_provider(OFREPProvider(relay.url), "ofrep")
        clients = [api.get_client(domain) for domain in ("flagd", "ofrep")]
        until(lambda: clients[0].get_object_value(FLAG, {}, EvaluationContext("someone")).get("release"), 10)
        try:
            for number in range(100):
                key = f"user-{number}"
                context = EvaluationContext(key)
                found = {client.get_object_value(FLAG, {}, context).get("release") for client in clients}
                assert found == {_planned(key)}
            put(definition, both(100))
            changed = EvaluationContext("user-1")
            until(lambda: all(c.get_object_value(FLAG, {}, changed).get("release") == NEW.id for c in clients), 5)
        finally:
            api.shutdown()


def _planned(key: str) -> str:
    salt = next(iter(_salts(both(50)["targeting"])), "")
    return NEW.id if bucket_of(salt, key) < 50_000 else OLD.id


def _salts(rule: object) -> list[str]:
    """The salt of the split, wherever it stands in the targeting rule."""
    if isinstance(rule, dict):
        if "cat" in rule and rule["cat"] and isinstance(rule["cat"][0], str):
            return [rule["cat"][0]]
        return [salt for value in rule.values() for salt in _salts(value)]
    if isinstance(rule, list):
        return [salt for value in rule for salt in _salts(value)]
    return []


def test_ofrep_answers_in_bulk_with_a_tag_and_never_without_a_key(definition: Path) -> None:
    with relaying(definition) as relay:
        body = {"context": {"targetingKey": "ann"}}
        first = relay.ask("POST", "/ofrep/v1/evaluate/flags", body)
        assert [flag["key"] for flag in first.json()["flags"]] == [FLAG]
        again = relay.ask("POST", "/ofrep/v1/evaluate/flags", body, **{"If-None-Match": first.headers["etag"]})
        assert again.status_code == 304
        nobody = relay.ask("POST", f"/ofrep/v1/evaluate/flags/{FLAG}", {"context": {}})
        assert (nobody.status_code, nobody.json()["errorCode"]) == (400, "TARGETING_KEY_MISSING")
        assert relay.ask("POST", "/ofrep/v1/evaluate/flags/none", body).json()["errorCode"] == "FLAG_NOT_FOUND"


def test_who_waits_is_answered_when_the_definition_changes(definition: Path) -> None:
    with relaying(definition) as relay:
        first = relay.ask("GET", "/rollcast/v1/flags")
        assert first.text == definition.read_text("utf-8")
        tag = {"If-None-Match": first.headers["etag"]}
        assert relay.ask("GET", "/rollcast/v1/flags?wait_s=0.2", **tag).status_code == 304
        with httpx.Client(base_url=relay.url, trust_env=False, timeout=20) as client:
            began = time.monotonic()
            put(definition, both(100))
            assert client.get("/rollcast/v1/flags?wait_s=15", headers=tag).text == text_of(both(100))
            assert time.monotonic() - began < 2


@pytest.mark.parametrize("damage", ["", '{"flags": {"rollcast-', "garbage", '{"flags": []}', '{"flags": {"f": 1}}'])
def test_a_damaged_definition_is_said_and_the_last_good_one_goes_on(definition: Path, damage: str) -> None:
    good = definition.read_text("utf-8")
    with relaying(definition) as relay:
        definition.write_text(damage, "utf-8")
        until(lambda: relay.fleet()["flags"]["fault"])
        assert relay.ask("GET", "/rollcast/v1/flags").text == good
        assert relay.await_said("goes on being served")
        put(definition, both(100))
        until(lambda: relay.ask("GET", "/rollcast/v1/flags").text == text_of(both(100)))
        assert relay.fleet()["flags"]["fault"] is None


def test_a_relay_that_starts_before_there_are_flags_says_so(tmp_path: Path) -> None:
    with relaying(tmp_path / "flags.json") as relay:
        assert relay.ask("GET", "/rollcast/v1/flags").status_code == 503
        assert relay.ask("GET", "/rollcast/v1/health").status_code == 503
        put(tmp_path / "flags.json", both(0))
        until(lambda: relay.ask("GET", "/rollcast/v1/health").status_code == 200)


def test_the_fleet_is_as_the_specification_says(definition: Path) -> None:
    with relaying(definition) as relay:
        said = relay.acknowledge("a", releases={"r": 2, "gone": 0}, finished={"r": 5}, lease_s=1).json()
        assert said["warm"] == []
        relay.ask("POST", "/rollcast/v1/warm", {"instance": "p/i/1"})
        assert relay.acknowledge("b", warm=["p/i/1"], lease_s=300).json()["warm"] == ["p/i/1"]
        fleet = relay.fleet()
        validator("fleet").validate(fleet)
        assert [each["replica"] for each in fleet["replicas"]] == ["a", "b"]
        until(lambda: [each["missing"] for each in relay.fleet()["replicas"]] == [True, False])
        relay.acknowledge("b", releases={"r": 1}, leaving=True)
        assert len(relay.fleet()["replicas"]) == 2, "it says goodbye with a request in flight"
        relay.acknowledge("b", leaving=True)
        assert [each["replica"] for each in relay.fleet()["replicas"]] == ["a"]


def test_a_newer_kit_learns_which_protocol_there_is(definition: Path) -> None:
    with relaying(definition) as relay:
        answer = relay.ask("POST", "/rollcast/v1/replicas/a", {"protocol": 2, "new": {}})
        assert (answer.status_code, answer.json()["protocol"]) == (426, 1)


@pytest.mark.parametrize(
    "body", [b"[1]", b"{", b'{"releases": {"r": -1}}', b'{"releases": {"r": 1e400}}', b"[" * 70000]
)
def test_an_acknowledgement_that_is_none_is_refused_and_nothing_is_kept(definition: Path, body: bytes) -> None:
    with relaying(definition) as relay:
        answer = httpx.post(f"{relay.url}/rollcast/v1/replicas/a", content=body, trust_env=False)
        assert answer.status_code in (400, 413)
        assert answer.json()["error"]
        assert relay.fleet()["replicas"] == []


def test_tokens_are_of_data_planes_or_of_the_driver(definition: Path) -> None:
    tokens = {"ROLLCAST_RELAY_TOKEN": "of-data-planes", "ROLLCAST_RELAY_DRIVER_TOKEN": "of-the-driver"}
    with relaying(definition, **tokens) as relay:
        plane, driver = ({"Authorization": f"Bearer {token}"} for token in tokens.values())
        assert relay.ask("GET", "/rollcast/v1/flags", **plane).status_code == 200
        assert relay.ask("GET", "/rollcast/v1/fleet", **driver).status_code == 200
        for path, wrong in (("flags", driver), ("fleet", plane), ("flags", {}), ("fleet", {})):
            assert relay.ask("GET", f"/rollcast/v1/{path}", **wrong).status_code == 401
        assert "of-data-planes" not in relay.all_said() + json.dumps(
            relay.ask("GET", "/rollcast/v1/fleet", **driver).json()
        )


def test_an_address_that_others_reach_needs_tokens(definition: Path) -> None:
    open_to_all = RunningRelay(definition, ("--host", "0.0.0.0"))
    with pytest.raises(AssertionError, match="ROLLCAST_RELAY_TOKEN and ROLLCAST_RELAY_DRIVER_TOKEN is not set"):
        open_to_all.start()


def test_a_service_on_the_kit_outlives_its_relay(definition: Path, tmp_path: Path) -> None:
    """Relay killed and back: the service goes on with what it knows, says so, and then hears of a change."""
    put(definition, both(0))
    with relaying(definition) as relay, running(tmp_path / "s", relays=[relay.url]) as service:
        assert service.post("/chat", {"user": "ann"}).json()["release"] == OLD.id
        until(lambda: [each["finished"] for each in relay.fleet()["replicas"]] == [{OLD.id: 1}])
        relay.kill()
        assert service.post("/chat", {"user": "ann"}).json()["release"] == OLD.id
        until(lambda: service.state()["degraded"], 15)
        put(definition, both(100))
        relay.start()
        until(lambda: service.post("/chat", {"user": "ann"}).json()["release"] == NEW.id, 15)
        until(lambda: relay.fleet()["replicas"], 15)
        assert service.state()["degraded"] is False
