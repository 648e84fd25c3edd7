"""Whoever answers over HTTP can't hold up, fill up or end a process of ours."""

from __future__ import annotations

import gzip
import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollcast.stacks.base.bounded_http import bounded
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.base.secrets import without_password
from rollcast.stacks.fleet.control import Control
from rollcast.stacks.telemetry.prometheus import Prometheus, PrometheusSettings
from tests.borders.hostile import answering, reply

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
LIMIT_S = 0.6


def drip(whole: bytes) -> tuple[list[bytes], float]:
    """A byte every now and then: each comes in time, all of them never."""
    return [whole[at : at + 1] for at in range(len(whole))], LIMIT_S / 4


SLOW = {
    "its status drips": drip(HEAD + b"\r\n{}"),
    "its headers never end": drip(b"HTTP/1.1 200 OK\r\n" + b"x: 1\r\n" * 100),
    "its body drips": ([HEAD + b"Content-Length: 90\r\n\r\n", *[b" "] * 90], LIMIT_S / 4),
    "its chunks drip": ([CHUNKED, *[b"1\r\n \r\n"] * 90], LIMIT_S / 4),
    "it says nothing": ([b""] * 40, LIMIT_S / 4),
}


@pytest.mark.parametrize("way", SLOW)
def test_an_answer_takes_no_longer_than_its_time_limit(way: str) -> None:
    began = time.monotonic()
    with answering(*SLOW[way]) as address, pytest.raises(StackError, match="doesn't answer"):
        Control(address).ask("GET", "/rollcast/inflight", LIMIT_S)
    assert time.monotonic() - began < 3 * LIMIT_S


HUGE = {
    "a length that it says": lambda: iter([HEAD + b"Content-Length: 99999999999\r\n\r\n", b"{}"]),
    "chunks without end": lambda: itertools.chain([CHUNKED], itertools.repeat(b"40000\r\n" + b" " * 0x40000 + b"\r\n")),
    "gzip that unpacks to more": lambda: iter(reply(gzip.compress(b" " * 300_000_000), "Content-Encoding: gzip\r\n")),
    "headers without end": lambda: itertools.chain(
        [b"HTTP/1.1 200 OK\r\n"], itertools.repeat(b"x: " + b"y" * 1000 + b"\r\n")
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", HUGE)
def test_an_answer_of_any_size_is_refused_in_bounded_memory(way: str) -> None:
    """Seen by what has been sent: a sender that is not read any more stops at what sockets hold."""
    sent = 0

    def counted() -> object:
        nonlocal sent
        for piece in HUGE[way]():
            sent += len(piece)
            yield piece

    with answering(counted()) as address, pytest.raises(StackError):  # type: ignore[arg-type]
        Control(address).ask("GET", "/rollcast/inflight", 5.0)
    assert sent < 40_000_000


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("releases", "definitions", "replica", "finished", "bucketing", "warm", "kit", "degraded", "time", "x")
POISON = [
    b'{"releases": null}', b'{"releases": [1]}', b"[1]", b"null", b'"\\ud800"', b"<html>", b"", b"\xff\xfe",
    b'{"replica": "\\udfff"}', b'{"releases": {"r": 1' + b"0" * 400 + b"}}", b"[" * 100_000, b'{"time": NaN}',
    b'{"releases": {"r": 1e999}}', b'{"releases": {"r": -1}}',
]  # fmt: skip


def test_a_control_answer_of_any_content_is_a_state_or_one_clear_error() -> None:
    """And whatever of it is a state can be printed."""

    def ask(body: bytes) -> None:
        with answering(reply(body)) as address:
            try:
                state = Control(address).state(5.0)
            except StackError as error:
                str(error).encode()
            else:
                state.model_dump_json().encode()
                assert all(count >= 0 for count in state.releases.values())

    for body in POISON:
        ask(body)

    @settings(max_examples=60)
    @given(st.dictionaries(st.sampled_from(FIELDS), ANYTHING, max_size=4))
    def property_(said: dict[str, object]) -> None:
        ask(json.dumps(said).encode())

    property_()


PROMETHEUS: dict[str, Callable[[], bytes]] = {
    "a list": lambda: b"[1]",
    "no result": lambda: b'{"status": "success"}',
    "a result of another type": lambda: b'{"status": "success", "data": {"result": [{"metric": [], "value": 3}]}}',
    "a value that is no number": lambda: json.dumps(
        {"status": "success", "data": {"result": [
            {"metric": {"__name__": "rollcast_requests_total", "release": "r"}, "value": [1.0, "NaN"]},
            {"metric": {"__name__": "rollcast_requests_total", "release": "r"}, "value": [1.0, "+Inf"]},
            {"metric": {"release": "r"}, "value": [1.0, "4"]},
        ]}}
    ).encode(),
    "half": lambda: b'{"status": "succ',
}  # fmt: skip


@pytest.mark.parametrize("way", PROMETHEUS)
def test_what_prometheus_says_is_series_or_one_clear_error(way: str, tmp_path: Path) -> None:
    with answering(reply(PROMETHEUS[way]())) as address:
        source = Prometheus(PrometheusSettings(url=address), tmp_path)
        try:
            assert source.read({"values": {}, "count": 0, "at_s": 0.0}).requests == []
        except StackError as error:
            refused = str(error)
            assert "Correct" in refused or "Make it reachable" in refused


@pytest.mark.parametrize(
    "url", ["http://me:hunter2@127.0.0.1:1", "http://me:hun/ter2@127.0.0.1:1", "http://me:hunter2@h:port"]
)
def test_a_password_in_an_address_is_never_shown(url: str, tmp_path: Path) -> None:
    source = Prometheus(PrometheusSettings(url=url), tmp_path)
    with pytest.raises(StackError) as refused:
        source.end()
    assert "hun" not in str(refused.value)
    assert "ter2" not in str(refused.value)


@given(st.text("ab:/@?#. ", max_size=30).map(lambda text: f"http://u:s3cret{text}@host/x"))
def test_no_form_of_an_address_shows_what_stands_before_its_last_at(url: str) -> None:
    assert "s3cret" not in without_password(url)


def test_httpx_still_has_the_pools_that_are_limited() -> None:
    """Private names of httpx: this test is what notices that they moved."""
    with bounded(httpx.Client(proxy="http://127.0.0.1:9")) as client:
        pools = [each._pool for each in (client._transport, *client._mounts.values()) if each is not None]  # type: ignore[attr-defined]
        assert len(pools) == 2
        assert all(type(pool._network_backend).__module__ == bounded.__module__ for pool in pools)
