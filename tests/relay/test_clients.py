"""A relay process, called by the real clients: flagd's in-process provider, OFREP's provider, and plain HTTP."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openfeature import api
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import ResolverType
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import FlagNotFoundError, OpenFeatureError

from rollcast.planner.base.buckets import bucket_of
from rollcast.stacks.relay.evaluation import OfrepEvaluation
from tests.relay.relays import RunningRelay, acknowledge, definition_text, relaying, split_flag, until

KEY = "rollcast-p"
LONGEST_S = 10.0


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningRelay]:
    file = tmp_path / "flags.json"
    file.write_text(definition_text(), "utf-8")
    with relaying(file) as found:
        yield found


def expected(key: str, percent: float = 50.0) -> str:
    return "rel-new" if bucket_of("s:", key) < percent * 1000 else "rel-old"


def in_process(running: RunningRelay, **settings: Any) -> FlagdProvider:
    return FlagdProvider(
        resolver_type=ResolverType.IN_PROCESS, host="localhost", port=running.grpc_port, retry_backoff_ms=200,
        retry_backoff_max_ms=400, **settings,
    )  # fmt: skip


def release_by(provider: Any, key: str) -> str:
    """The release that a provider finds for a person."""
    found = provider.resolve_object_details(KEY, {"release": "?"}, EvaluationContext(key)).value["release"]
    return str(found)


def test_flagds_own_provider_follows_a_relay_over_grpc(running: RunningRelay) -> None:
    provider = in_process(running)
    provider.initialize(EvaluationContext())
    try:
        people = [f"user-{number}" for number in range(200)]
        assert [release_by(provider, key) for key in people] == [expected(key) for key in people]
        running.definition.write_text(definition_text(percent=100.0), "utf-8")
        until(lambda: all(release_by(provider, key) == "rel-new" for key in people))
        running.kill()
        time.sleep(0.5)
        assert release_by(provider, "user-1") == "rel-new", "it goes on with what it knows"
        running.definition.write_text(definition_text(percent=0.0), "utf-8")
        running.start()
        until(lambda: all(release_by(provider, key) == "rel-old" for key in people), 20.0)
    finally:
        provider.shutdown()


def test_ofreps_own_provider_asks_a_relay_over_http(running: RunningRelay) -> None:
    provider = OFREPProvider(running.url)
    people = [f"user-{number}" for number in range(50)]
    assert [release_by(provider, key) for key in people] == [expected(key) for key in people]
    with pytest.raises(FlagNotFoundError):
        provider.resolve_object_details("another", {}, EvaluationContext("u"))
    with pytest.raises(OpenFeatureError, match="targeting key is needed"):
        provider.resolve_object_details(KEY, {}, EvaluationContext())


def test_the_client_of_openfeature_gets_each_type_of_flag(running: RunningRelay) -> None:
    flags = {
        name: {"state": "ENABLED", "variants": {"a": value}, "defaultVariant": "a"}
        for name, value in {"yes": True, "word": "w", "whole": 3, "broken": 2.5}.items()
    }
    flags["off"] = {"state": "DISABLED", "variants": {"a": True}, "defaultVariant": "a"}
    running.definition.write_text(json.dumps({"flags": flags}), "utf-8")
    until(lambda: "yes" in httpx.get(f"{running.url}/rollcast/v1/flags").text)
    api.set_provider(OFREPProvider(running.url))
    try:
        client = api.get_client()
        found = [
            client.get_boolean_value("yes", False), client.get_string_value("word", ""),
            client.get_integer_value("whole", 0), client.get_float_value("broken", 0.0),
            client.get_boolean_value("off", False),
        ]  # fmt: skip
        assert found == [True, "w", 3, 2.5, False]
    finally:
        api.clear_providers()


def test_bulk_evaluation_is_answered_with_304_where_nothing_changed(running: RunningRelay) -> None:
    url, body = f"{running.url}/ofrep/v1/evaluate/flags", {"context": {"targetingKey": "u"}}
    first = httpx.post(url, json=body)
    assert [flag["value"]["release"] for flag in first.json()["flags"]] == [expected("u")]
    again = httpx.post(url, json=body, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    moved = "rel-old" if expected("u") == "rel-new" else "rel-new"
    running.definition.write_text(definition_text(percent=100.0 if moved == "rel-new" else 0.0), "utf-8")

    def answer() -> Any:
        reply = httpx.post(url, json=body, headers={"If-None-Match": first.headers["etag"]})
        return reply.status_code == 200 and reply.json()["flags"][0]["value"]["release"]

    assert until(answer) == moved


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "PARSE_ERROR"),
        (b"[]", "INVALID_CONTEXT"),
        (b'{"context": {"targetingKey": 7}}', "INVALID_CONTEXT"),
        (b"{}", "TARGETING_KEY_MISSING"),
        (b"[" * 60_000, "PARSE_ERROR"),
    ],
)
def test_what_can_not_be_evaluated_is_refused_with_ofreps_code(running: RunningRelay, body: bytes, code: str) -> None:
    reply = httpx.post(f"{running.url}/ofrep/v1/evaluate/flags/{KEY}", content=body)
    assert (reply.status_code, reply.json()["errorCode"]) == (400, code)


def test_a_long_poll_is_answered_when_the_flags_change_and_not_before(running: RunningRelay) -> None:
    url = f"{running.url}/rollcast/v1/flags"
    first = httpx.get(url)
    assert first.text == running.definition.read_text("utf-8"), "byte for byte as it is written"
    tag = {"If-None-Match": first.headers["etag"]}
    began = time.monotonic()
    assert httpx.get(f"{url}?wait_s=1", headers=tag).status_code == 304
    assert time.monotonic() - began >= 0.9
    threading.Timer(0.5, lambda: running.definition.write_text(definition_text(percent=10.0), "utf-8")).start()
    began = time.monotonic()
    changed = httpx.get(f"{url}?wait_s=20", headers=tag, timeout=25)
    assert changed.status_code == 200
    assert 0.3 < time.monotonic() - began < 5
    assert httpx.get(f"{url}?wait_s=nan").status_code == 400


def test_what_replicas_acknowledge_is_the_fleet_until_they_say_goodbye(running: RunningRelay) -> None:
    assert acknowledge(running.url, "a", releases={"rel-1": 2, "rel-0": 0}, finished={"rel-0": 9}).json() == {
        "protocol": 1, "warm": [], "interval_s": 1.0,
    }  # fmt: skip
    acknowledge(running.url, "b", lease_s=1, definitions={KEY: None})
    found = running.fleet()
    assert {one["replica"]: (one["releases"], one["missing"]) for one in found["replicas"]} == {
        "a": ({"rel-1": 2}, False), "b": ({}, False),
    }  # fmt: skip
    assert found["replicas"][1]["definitions"] == {KEY: None}, "nothing is evaluated there, and that is reported"
    assert httpx.post(f"{running.url}/rollcast/v1/warm", json={"instance": "p/s/1"}).status_code == 200
    assert acknowledge(running.url, "a", leaving=True, releases={"rel-1": 1}).json()["warm"] == ["p/s/1"]
    assert len(running.fleet()["replicas"]) == 2, "who leaves with requests in flight is still there"
    acknowledge(running.url, "a", leaving=True)
    time.sleep(1.2)
    found = running.fleet()
    assert [(one["replica"], one["missing"]) for one in found["replicas"]] == [("b", True)]
    assert found["left"] == ["a"]
    assert httpx.delete(f"{running.url}/rollcast/v1/replicas/b").json() == {"forgotten": True}
    assert running.fleet()["replicas"] == []
    assert list(running.fleet()["forgotten"]) == ["b"]


def test_a_newer_kit_learns_which_protocol_is_spoken_here(running: RunningRelay) -> None:
    reply = acknowledge(running.url, "a", protocol=2, something_new={"x": 1})
    assert (reply.status_code, reply.json()["protocol"]) == (426, 1)
    assert acknowledge(running.url, "a", protocol=1, something_new={"x": 1}).status_code == 200


def test_bodies_have_a_limit(running: RunningRelay) -> None:
    assert acknowledge(running.url, "a", kit="x" * 70_000).status_code == 413
    assert acknowledge(running.url, "a", releases={f"r{n}": 1 for n in range(501)}).status_code == 413
    assert acknowledge(running.url, "x" * 129).status_code == 400
    many = {f"r{n}": 5 for n in range(3000)}
    assert acknowledge(running.url, "a", finished=many).status_code == 200
    assert list(running.fleet()["replicas"][0]["finished"]) == list(many)[-500:]


def test_it_ends_at_once_on_a_signal_though_replicas_wait(running: RunningRelay) -> None:
    tag = httpx.get(f"{running.url}/rollcast/v1/flags").headers["etag"]
    replies: list[int] = []

    def wait() -> None:
        url = f"{running.url}/rollcast/v1/flags?wait_s=30"
        replies.append(httpx.get(url, headers={"If-None-Match": tag}, timeout=40).status_code)

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.5)
    began = time.monotonic()
    assert running.stop() in (0, -15)
    waiting.join(5)
    assert time.monotonic() - began < LONGEST_S
    assert replies == [304]


PERCENTS = st.floats(0, 100).map(lambda percent: round(percent, 3))


@given(PERCENTS, st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=20))
def test_ofrep_gives_a_person_the_release_that_is_planned_for_them(percent: float, keys: list[str]) -> None:
    """The real evaluator and the planner's buckets: whoever asks over HTTP is in the declared arm."""
    definition = {"flags": {KEY: split_flag(percent)}}
    core = FlagdCore()
    core.set_flags(json.dumps(definition))
    evaluation = OfrepEvaluation(core, definition)
    for key in keys:
        status, answer = evaluation.one(KEY, {"context": {"targetingKey": key}})
        assert (status, answer["value"]["release"]) == (200, expected(key, percent)), key
