"""What may go wrong around a relay: flag files that are no such thing, tokens, TLS, too many replicas, a long sleep."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import grpc
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import ResolverType
from openfeature.evaluation_context import EvaluationContext

from rollcast.stacks.relay.access import Access
from rollcast.stacks.relay.replicas import RelayRefusal, Replicas
from tests.commands import ROLLCAST
from tests.relay.relays import RunningRelay, acknowledge, definition_text, relaying, until
from tests.stacks.site import free_port

GARBAGE = {
    "empty": b"",
    "half": definition_text().encode()[:150],
    "no JSON": b"\x00\xff\xfe garbage",
    "no definition": b"[1, 2]",
    "a flag that is none": b'{"flags": {"rollcast-p": 7}}',
    "refused by flagd": b'{"flags": {"rollcast-p": {"state": "ENABLED"}}}',
    "no strict JSON": b'{"flags": {"a": {"state": "ENABLED", "variants": {"x": NaN}, "defaultVariant": "x"}}}',
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRelay]:
    file = tmp_path_factory.mktemp("relay") / "flags.json"
    file.write_text(definition_text(), "utf-8")
    with relaying(file) as found:
        yield found


@pytest.mark.parametrize("name", list(GARBAGE))
def test_a_broken_flag_file_is_said_and_the_last_good_one_goes_on(running: RunningRelay, name: str) -> None:
    url = f"{running.url}/rollcast/v1/flags"
    good = definition_text(other=f"rel-{name.replace(' ', '-')}")
    running.definition.write_text(good, "utf-8")
    until(lambda: httpx.get(url).text == good)
    running.definition.write_bytes(GARBAGE[name])
    until(lambda: running.fleet()["flags"]["fault"])
    running.await_said("the last good definition goes on being served")
    assert httpx.get(url).text == good
    better = definition_text(percent=1.0)
    running.definition.write_text(better, "utf-8")
    until(lambda: httpx.get(url).text == better)
    running.await_said("right again")
    assert running.fleet()["flags"]["fault"] is None


def test_a_relay_that_begins_without_flags_serves_them_once_there_are_some(tmp_path: Path) -> None:
    with relaying(tmp_path / "later/flags.json") as running:
        assert "there is nothing to serve yet" in "".join(running.said)
        assert httpx.get(f"{running.url}/rollcast/v1/flags").status_code == 503
        assert httpx.post(f"{running.url}/ofrep/v1/evaluate/flags/x", json={}).status_code == 503
        assert httpx.get(f"{running.url}/rollcast/v1/health").status_code == 503
        running.definition.parent.mkdir()
        running.definition.write_text(definition_text(), "utf-8")
        until(lambda: httpx.get(f"{running.url}/rollcast/v1/flags").status_code == 200)


TOKENS = {"ROLLCAST_RELAY_TOKEN": "of-data-planes", "ROLLCAST_RELAY_DRIVER_TOKEN": "of-the-driver"}
PLANE, DRIVER = ({"Authorization": f"Bearer {token}"} for token in TOKENS.values())


def test_each_token_opens_its_own_side_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "flags.json").write_text(definition_text(), "utf-8")
    with relaying(tmp_path / "flags.json", **TOKENS) as running:
        v1 = f"{running.url}/rollcast/v1"
        asks = {
            "flags": lambda headers: httpx.get(f"{v1}/flags", headers=headers),
            "ofrep": lambda headers: httpx.post(f"{running.url}/ofrep/v1/evaluate/flags", headers=headers, json={}),
            "acknowledge": lambda headers: acknowledge(running.url, "a", headers),
            "fleet": lambda headers: httpx.get(f"{v1}/fleet", headers=headers),
            "warm": lambda headers: httpx.post(f"{v1}/warm", headers=headers, json={"instance": "i"}),
            "forget": lambda headers: httpx.delete(f"{v1}/replicas/none", headers=headers),
        }
        for name, ask in asks.items():
            of_driver = name in ("fleet", "warm", "forget")
            assert ask({}).status_code == 401, name
            assert ask(PLANE).status_code == (401 if of_driver else 200), name
            assert ask(DRIVER).status_code == (200 if of_driver else 401), name
            assert ask({"Authorization": "Bearer ü".encode()}).status_code == 401, name
        channel = grpc.insecure_channel(f"localhost:{running.grpc_port}")
        call = channel.unary_unary("/flagd.sync.v1.FlagSyncService/FetchAllFlags")
        with pytest.raises(grpc.RpcError) as refused:
            call(b"", timeout=5)
        assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
        assert b"rel-new" in call(b"", timeout=5, metadata=(("authorization", "Bearer of-data-planes"),))
    assert "of-the-driver" not in "".join(running.said)


def test_an_address_that_others_reach_is_refused_without_tokens(tmp_path: Path) -> None:
    words = [ROLLCAST, "relay", "--definition", str(tmp_path / "f"), "--host", "0.0.0.0", "--port", "0"]
    for environment, said in (({}, "is not set"), (dict.fromkeys(TOKENS, "same"), "are the same")):
        done = subprocess.run(
            words, env={**os.environ, **environment}, capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 1
        assert said in done.stderr


def test_without_tokens_no_other_sites_page_reaches_a_relay(running: RunningRelay) -> None:
    for host, status in (("evil.example", 401), ("localhost:1", 200), ("127.0.0.1", 200), ("[::1]:80", 200)):
        assert httpx.get(f"{running.url}/rollcast/v1/fleet", headers={"Host": host}).status_code == status, host


def test_tls_and_tokens_together_for_http_and_for_flagds_provider(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    (tmp_path / "flags.json").write_text(definition_text(percent=100.0), "utf-8")
    words = ("--tls-cert", str(certificate), "--tls-key", str(key))
    with relaying(tmp_path / "flags.json", *words, **TOKENS) as running:
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{running.url}/rollcast/v1/flags", headers=PLANE)
        found = httpx.get(
            f"{running.url}/rollcast/v1/flags", headers=PLANE, verify=ssl.create_default_context(cafile=certificate)
        )
        assert found.status_code == 200
        both = grpc.composite_channel_credentials(
            grpc.ssl_channel_credentials(certificate.read_bytes()), grpc.access_token_call_credentials("of-data-planes")
        )
        provider = FlagdProvider(
            resolver_type=ResolverType.IN_PROCESS, host="localhost", port=running.grpc_port, channel_credentials=both
        )
        provider.initialize(EvaluationContext())
        try:
            got = provider.resolve_object_details("rollcast-p", {}, EvaluationContext("u")).value
            assert got["release"] == "rel-new"
        finally:
            provider.shutdown()


def test_half_of_tls_is_refused(tmp_path: Path) -> None:
    words = [ROLLCAST, "relay", "--definition", "f", "--port", str(free_port()), "--tls-cert", "c.pem"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, "Give both" in done.stderr) == (1, True)


def test_a_relay_that_was_stopped_for_a_while_takes_nobody_for_missing(running: RunningRelay) -> None:
    acknowledge(running.url, "sleepy", lease_s=3)
    os.kill(running.pid, signal.SIGSTOP)
    time.sleep(5)
    os.kill(running.pid, signal.SIGCONT)
    time.sleep(0.3)
    (found,) = [one for one in running.fleet()["replicas"] if one["replica"] == "sleepy"]
    assert not found["missing"]


# ---- bounds, on a clock of the test's own -------------------------------------------------------


class _Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


ACTS = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from(["says", "leaves", "leaves busy"]), st.floats(0, 8)), max_size=40
)


@given(ACTS, st.integers(1, 4))
def test_a_relay_knows_just_those_that_a_simple_model_knows(acts: list[tuple[int, str, float]], most: int) -> None:
    """Joins, silences, goodbyes, no room: never more than `most`, nobody alive is thrown out, goodbye is at once."""
    clock, said = _Clock(), []
    table = Replicas(said.append, now=clock, most=most, forget_s=30.0)
    model: dict[str, float] = {}  # replica -> when it was heard
    for number, act, pause_s in acts:
        clock.now_s += pause_s
        table.tick()
        model = {name: at_s for name, at_s in model.items() if clock.now_s - at_s <= 30.0}
        name, busy = f"r{number}", act != "leaves"
        body = json.dumps({"releases": {"x": 1} if busy else {}, "leaving": act != "says", "lease_s": 10}).encode()
        full = name not in model and len(model) >= most
        oldest = min(model, key=model.__getitem__, default="")
        if busy and full and clock.now_s - model[oldest] <= 10:
            with pytest.raises(RelayRefusal) as refused:
                table.acknowledge(name, body)
            assert refused.value.status == 503
            continue
        table.acknowledge(name, body)
        if not busy:
            model.pop(name, None)
        else:
            if full:
                del model[oldest]
                assert any(oldest in text for text in said), "who is forgotten is named"
            model[name] = clock.now_s
        fleet = json.loads(table.fleet({}))
        assert {one["replica"]: one["missing"] for one in fleet["replicas"]} == {
            each: clock.now_s - at_s > 10 for each, at_s in model.items()
        }
        assert len(fleet["replicas"]) <= most


@given(st.binary(max_size=60) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["releases", "warm", "protocol", "lease_s", "leaving", "definitions", "degraded"]), inner),
    max_leaves=8,
).map(lambda data: json.dumps(data).encode()))  # fmt: skip
def test_any_body_is_taken_or_refused_and_the_answer_is_json(body: bytes) -> None:
    table = Replicas(lambda text: None)
    with suppress(RelayRefusal):
        table.acknowledge("r", body)
    found = json.loads(table.fleet({}))
    assert len(found["replicas"]) <= 1


@given(st.text(max_size=20), st.text(max_size=30))
def test_a_token_is_taken_whole_or_not_at_all(token: str, given_: str) -> None:
    access = Access(data_plane=token)
    allowed = access.allows_data_plane(given_, "elsewhere")
    assert allowed == (bool(token) and given_ == f"Bearer {token}")
    assert not token or (token not in ("Access(…)",) and repr(access) == "Access(…)")
