"""A request's own course: timeouts and fallbacks, caches, counters, and the release in every call that goes out."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import httpx
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from rollcast_dataplane import DataPlane, NoRelease, Refused, clients
from rollcast_dataplane.caching import ReleaseCache
from rollcast_dataplane.counting import MOST, ReleaseCounts
from rollcast_dataplane.course import Late, call, call_async, prefetch
from rollcast_dataplane.pins import FilePins, MemoryPins, Pin
from tests.dataplane.releasing import NEW, OLD, PIPELINE, both, put, release

QUICK = release(3, prompt={"timeout_s": 0.1, "fallback": "index"}, index={"timeout_s": 0.1})


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[DataPlane]:
    put(tmp_path / "flags.json", both(0, new=QUICK))
    made = DataPlane(PIPELINE, definition=tmp_path / "flags.json", state=tmp_path / "state", telemetry=tmp_path)
    yield made
    made.stop()


def on(plane: DataPlane, release_id: str) -> Any:
    """A request that carries this release."""
    plane._trust = True
    return plane.request("ann", headers={"x-rollcast-release": release_id})


def last(plane: DataPlane, tmp_path: Path) -> dict[str, Any]:
    import json

    return dict(json.loads((tmp_path / "requests.jsonl").read_text("utf-8").splitlines()[-1]))


# ---- timeouts -----------------------------------------------------------------------------------


def test_a_component_that_is_late_is_answered_for_by_its_fallback(plane: DataPlane, tmp_path: Path) -> None:
    def work(slot: str) -> str:
        time.sleep(1 if slot == "prompt" else 0)
        return slot

    with on(plane, QUICK.id):
        began = time.monotonic()
        assert call("prompt", work) == "index"
        assert time.monotonic() - began < 0.6
        assert call("generator", work) == "generator"
    assert last(plane, tmp_path)["fell_back"] == {"prompt": "index"}
    assert last(plane, tmp_path)["fallbacks"] == 1


def test_where_nothing_answers_for_it_it_is_late(plane: DataPlane) -> None:
    with on(plane, QUICK.id), pytest.raises(Late, match="'index' took longer"):
        call("index", lambda slot: time.sleep(0.5))
    with on(plane, OLD.id):
        assert call("index", lambda slot: time.sleep(0.15) or slot) == "index"


def test_what_fails_by_itself_is_no_lateness(plane: DataPlane) -> None:
    def fails(slot: str) -> None:
        raise TimeoutError("its own")

    async def fails_too(slot: str) -> None:
        raise TimeoutError("its own")

    with on(plane, QUICK.id):
        with pytest.raises(TimeoutError, match="its own"):
            call("prompt", fails)
        with pytest.raises(TimeoutError, match="its own"):
            asyncio.run(call_async("prompt", fails_too))


def test_coroutines_fall_back_too_and_the_late_one_is_cancelled(plane: DataPlane) -> None:
    ended: list[str] = []

    async def work(slot: str) -> str:
        try:
            await asyncio.sleep(1 if slot == "prompt" else 0)
        except asyncio.CancelledError:
            ended.append(slot)
            raise
        return slot

    with on(plane, QUICK.id):
        assert asyncio.run(call_async("prompt", work)) == "index"
    assert ended == ["prompt"]


def test_a_spent_budget_goes_straight_to_the_fallback(plane: DataPlane) -> None:
    plane.latency_budget_s = 0.01
    tried: list[str] = []
    with on(plane, QUICK.id):
        time.sleep(0.02)
        assert call("prompt", lambda slot: tried.append(slot) or slot) == "index"
    assert tried == ["index"]


def test_work_ahead_carries_the_release(plane: DataPlane) -> None:
    with on(plane, QUICK.id):
        assert prefetch(clients.headers).result()["x-rollcast-release"] == QUICK.id
    assert clients.headers() == {}


VECTORS = json.loads((Path(__file__).parents[2] / "spec" / "vectors" / "course.json").read_text("utf-8"))["cases"]


@pytest.mark.parametrize("kind", ["thread", "coroutine"])
@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["name"])
def test_the_golden_vectors_of_a_course(case: dict[str, Any], kind: str, tmp_path: Path) -> None:
    """The TypeScript kit gives the same (dataplane/typescript/test/course.test.ts)."""
    made = both(100)
    made["variants"][NEW.id] = {"release": NEW.id, "components": case["components"]}
    put(tmp_path / "flags.json", made)
    plane = DataPlane(
        PIPELINE, definition=tmp_path / "flags.json", state=tmp_path / "state", telemetry=tmp_path,
        latency_budget_s=case.get("budget_s"),
    )  # fmt: skip
    tried: list[str] = []

    def work(slot: str) -> str:
        tried.append(slot)
        time.sleep(case["takes"].get(slot, 0))
        return slot

    async def task(slot: str) -> str:
        tried.append(slot)
        await asyncio.sleep(case["takes"].get(slot, 0))
        return slot

    gave = None
    with plane.request("ann"):
        time.sleep(case.get("spent_s", 0))
        with suppress(Late):
            gave = call("a", work) if kind == "thread" else asyncio.run(call_async("a", task))
    plane.stop()
    assert (gave, tried) == (case["gives"], case["tried"])
    said = last(plane, tmp_path)
    assert said.get("fell_back", {}) == case["fell_back"]
    assert said.get("fallbacks", 0) == len(case["fell_back"])


# ---- caches -------------------------------------------------------------------------------------


def test_a_cached_value_is_never_served_under_another_release(plane: DataPlane, tmp_path: Path) -> None:
    put(tmp_path / "flags.json", both(0))
    cache, made = ReleaseCache(10), []

    def ask(release_id: str, *slots: str) -> str:
        with on(plane, release_id) as request:
            return cache.get_or_make("q", lambda: made.append(1) or request.release.id, *slots)

    time.sleep(0.5)
    assert [ask(OLD.id), ask(NEW.id), ask(OLD.id), ask(NEW.id)] == [OLD.id, NEW.id] * 2
    assert len(made) == 2
    assert ask(OLD.id, "generator") == ask(NEW.id, "generator") == OLD.id  # its generator did not change
    assert ask(OLD.id, "index") != ask(NEW.id, "index")
    with pytest.raises(NoRelease):
        cache.find("q")


def test_a_cache_is_bounded_and_forgets_in_time(plane: DataPlane) -> None:
    cache = ReleaseCache(2, ttl_s=0.05)
    with on(plane, OLD.id):
        for key in "abc":
            cache.put(key, key)
        assert [cache.find(key) for key in "abc"] == [None, "b", "c"]
        time.sleep(0.06)
        assert cache.find("c") is None


# ---- counters and pins --------------------------------------------------------------------------


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=60))
def test_entered_is_finished_and_in_flight(moves: list[tuple[str, bool]]) -> None:
    counts, running = ReleaseCounts(), dict.fromkeys("abc", 0)
    for name, enters in moves:
        if enters:
            counts.enter(name)
            running[name] += 1
        elif running[name]:
            counts.leave(name)
            running[name] -= 1
        inflight, entered, finished = counts.read()
        assert inflight == {name: count for name, count in running.items() if count}
        assert all(entered[each] == finished.get(each, 0) + running[each] for each in entered)


def test_ten_thousand_releases_take_no_more_room_than_a_thousand() -> None:
    counts = ReleaseCounts()
    counts.enter("held")
    for number in range(10_000):
        counts.enter(f"rel-{number}")
        counts.leave(f"rel-{number}")
    inflight, entered, finished = counts.read()
    assert inflight == {"held": 1}
    assert len(entered) <= MOST
    assert len(finished) <= MOST


def test_ten_thousand_unknown_releases_leave_nothing_behind(plane: DataPlane) -> None:
    for number in range(10_000):
        with pytest.raises(Refused), on(plane, f"rel-{number}"):
            pass
    assert plane.state()["entered"] == {}
    assert len(plane._trusted) <= 4096


@pytest.mark.parametrize("kind", ["file", "memory"])
def test_pins_are_bounded(kind: str, tmp_path: Path) -> None:
    pins = FilePins(tmp_path / "pins.db", most=100) if kind == "file" else MemoryPins(most=100)
    for number in range(2000):
        pins.keep(f"s{number}", Pin("r", "c"), 60, None)
    held = [pins.find(f"s{number}", None) for number in range(2000)]
    assert sum(each is not None for each in held) <= 100
    assert held[-1] == Pin("r", "c")


def test_a_forked_child_serves_while_the_parents_threads_were_busy(plane: DataPlane) -> None:
    over = threading.Event()

    def busy() -> None:
        while not over.is_set():
            with plane.request("ann"):
                pass

    threads = [threading.Thread(target=busy) for _ in range(4)]
    for thread in threads:
        thread.start()
    replica = plane.replica
    try:
        for _ in range(30):
            child = os.fork()
            if child == 0:
                try:
                    with plane.request("bob"):
                        ok = plane.replica != replica and plane.state()["entered"] == {OLD.id: 1}
                    os._exit(0 if ok else 1)
                finally:
                    os._exit(2)
            until = time.monotonic() + 10
            while (done := os.waitpid(child, os.WNOHANG)) == (0, 0):
                assert time.monotonic() < until, "the child hangs"
                time.sleep(0.005)
            assert os.waitstatus_to_exitcode(done[1]) == 0
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_settings_that_contradict_each_other_are_refused() -> None:
    for settings in ({}, {"definition": "a", "relays": ["http://b"]}):
        with pytest.raises(ValueError, match="either a definition file or relays"):
            DataPlane(PIPELINE, **settings)


# ---- what goes out ------------------------------------------------------------------------------


@pytest.fixture
def echo() -> Iterator[str]:
    """An address that answers with the headers that it got."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            import json

            data = json.dumps({name.lower(): value for name, value in self.headers.items()}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


async def _httpx_async(url: str, headers: dict[str, str]) -> dict[str, str]:
    async with httpx.AsyncClient(event_hooks={"request": [clients.httpx_async]}, trust_env=False) as client:
        return dict((await client.get(url, headers=headers)).json())


async def _aiohttp(url: str, headers: dict[str, str]) -> dict[str, str]:
    session = aiohttp.ClientSession(trace_configs=[clients.aiohttp_trace()])
    async with session as client, client.get(url, headers=headers) as reply:
        return dict(await reply.json(content_type=None))


def _httpx_sync(url: str, headers: dict[str, str]) -> dict[str, str]:
    with httpx.Client(event_hooks={"request": [clients.httpx_sync]}, trust_env=False) as client:
        return dict(client.get(url, headers=headers).json())


def _requests(url: str, headers: dict[str, str]) -> dict[str, str]:
    session = clients.requests_session(requests.Session())
    session.trust_env = False
    return dict(session.get(url, headers=headers).json())


def _opentelemetry(url: str, headers: dict[str, str]) -> dict[str, str]:
    carrier = dict(headers)
    clients.opentelemetry_propagator().inject(carrier)
    return dict(httpx.get(url, headers=carrier, trust_env=False).json())


ASKING = {
    "httpx": _httpx_sync,
    "httpx, async": lambda *a: asyncio.run(_httpx_async(*a)),
    "aiohttp": lambda *a: asyncio.run(_aiohttp(*a)),
    "requests": _requests,
    "OpenTelemetry": _opentelemetry,
}


@pytest.mark.parametrize("asking", ASKING)
def test_every_client_carries_the_release_and_keeps_other_baggage(asking: str, plane: DataPlane, echo: str) -> None:
    ask = ASKING[asking]
    for headers in ({}, {"baggage": "team=red"}, {"baggage": "rollcast.release=forged,team=red"}):
        with on(plane, QUICK.id):
            saw = ask(echo, headers)
        assert saw["x-rollcast-release"] == QUICK.id
        assert saw["baggage"] == f"rollcast.release={QUICK.id}" + (",team=red" if headers else "")
    assert "x-rollcast-release" not in ask(echo, {})


def test_grpc_calls_carry_it_too(plane: DataPlane) -> None:
    seen: list[dict[str, str]] = []

    class Handler(grpc.GenericRpcHandler):
        def service(self, details: Any) -> Any:
            seen.append(dict(details.invocation_metadata))
            if details.method == "/s/one":
                return grpc.unary_unary_rpc_method_handler(lambda request, context: request)
            return grpc.unary_stream_rpc_method_handler(lambda request, context: iter([request, request]))

    server = grpc.server(futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((Handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as plain, on(plane, QUICK.id):
            channel = grpc.intercept_channel(plain, clients.grpc_interceptor())
            assert channel.unary_unary("/s/one")(b"x", metadata=(("baggage", "team=red"), ("k", "v"))) == b"x"
            assert list(channel.unary_stream("/s/two")(b"y")) == [b"y", b"y"]
    finally:
        server.stop(None)
    assert [each["x-rollcast-release"] for each in seen] == [QUICK.id] * 2
    assert seen[0]["baggage"] == f"rollcast.release={QUICK.id},team=red"
    assert seen[0]["k"] == "v"


def test_spans_carry_the_release_beside_the_conventions_for_generative_ai(plane: DataPlane) -> None:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider.get_tracer("test").start_as_current_span("chat"), on(plane, QUICK.id) as request:
        request.outcome(input_tokens=3, model="chat", violation=False)
    (span,) = exporter.get_finished_spans()
    assert span.attributes is not None
    found = dict(span.attributes)
    assert found["rollcast.release"] == QUICK.id
    assert found["rollcast.component.prompt"] == "prompt@3"
    assert found["gen_ai.usage.input_tokens"] == 3
    assert found["gen_ai.request.model"] == "chat"
    assert found["rollcast.outcome.violation"] is False
    assert "opentelemetry" in sys.modules
