"""What a controller answers over HTTP: who may ask it to look at once, how long a body may be, and its metrics."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollcast.cli.following import http
from rollcast.cli.following.access import SyncAccess
from rollcast.cli.following.brakes import BrakeOrder
from rollcast.cli.following.exposition import Family, text_of
from rollcast.cli.following.http import ControllerApp

PUSH = b'{"ref": "refs/heads/main"}'


class Asked:
    """A controller that only counts."""

    def __init__(self, alive: bool = True, ready: bool = True) -> None:
        self.hurried, self._alive, self._ready = 0, alive, ready
        self.brakes: list[BrakeOrder] = []

    def alive(self) -> bool:
        return self._alive

    def ready(self) -> tuple[bool, str]:
        return self._ready, "" if self._ready else "process 7 of ana follows the source"

    def metrics(self) -> str:
        return "up 1\n"

    def hurry(self) -> None:
        self.hurried += 1

    async def brake(self, order: BrakeOrder) -> list[dict[str, Any]]:
        self.brakes.append(order)
        return [{"project": "", "environment": "dev", "changed": True, "error": ""}] if not order.environment else []


def ask(
    app: ControllerApp, method: str, path: str, headers: dict[str, str] | None = None, body: list[bytes] | None = None
) -> tuple[int, bytes]:
    """One request through the application; a body that does not end hangs."""
    parts = list(body if body is not None else [b""])
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        if not parts:
            await asyncio.sleep(3600)
        part = parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": part != b""}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": method, "path": path,
        "headers": [(name.encode(), value.encode()) for name, value in (headers or {}).items()],
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    return int(sent[0]["status"]), bytes(sent[1]["body"])


def signed(secret: str, body: bytes) -> dict[str, str]:
    return {"x-hub-signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


@pytest.mark.parametrize(("headers", "status"), [
    ({"authorization": "Bearer right"}, 202), ({"x-gitlab-token": "right"}, 202), (signed("secret", PUSH), 202),
    ({}, 401), ({"authorization": "Bearer wrong"}, 401), ({"authorization": "Bearer "}, 401),
    (signed("another", PUSH), 401), (signed("secret", b"another body"), 401), ({"x-hub-signature-256": "sha256="}, 401),
    ({"x-hub-signature-256": "sha1=00"}, 401),
])  # fmt: skip
def test_who_has_the_token_or_signs_may_ask_and_nobody_else(headers: dict[str, str], status: int) -> None:
    asked = Asked()
    app = ControllerApp(asked, SyncAccess("right", "secret"))
    assert ask(app, "POST", "/sync", headers, [PUSH, b""])[0] == status
    assert asked.hurried == (status == 202)


@settings(max_examples=25)
@given(st.text(max_size=40), st.binary(max_size=200))
def test_an_absent_secret_admits_nobody(given_word: str, body: bytes) -> None:
    headers = {"authorization": f"Bearer {given_word}", "x-gitlab-token": given_word, **signed("", body)}
    assert not SyncAccess().allows(headers, body)
    assert not SyncAccess(token="t" * 41).allows(headers, body)


def test_without_a_secret_it_says_which_to_set_and_shows_none() -> None:
    asked = Asked()
    status, said = ask(ControllerApp(asked, SyncAccess()), "POST", "/sync", {"authorization": "Bearer "}, [PUSH, b""])
    assert (status, asked.hurried) == (403, 0)
    assert b"ROLLCAST_CONTROLLER_TOKEN" in said
    assert "right" not in repr(SyncAccess("right", "right"))


def test_a_body_without_end_is_cut_off_by_its_length_and_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    app = ControllerApp(Asked(), SyncAccess("right"))
    right = {"authorization": "Bearer right"}
    assert ask(app, "POST", "/sync", right, [b"x" * 65536] * 40)[0] == 413
    monkeypatch.setattr(http, "BODY_S", 0.05)
    assert ask(app, "POST", "/sync", right, [b"x"])[0] == 408


RIGHT = {"authorization": "Bearer right"}
FIRING = {
    "version": "4", "groupKey": "{}:{alertname=\"ErrorsHigh\"}", "status": "firing", "alerts": [{"status": "firing"}],
    "commonLabels": {"alertname": "ErrorsHigh"}, "commonAnnotations": {"summary": "errors are high"},
}  # fmt: skip


@pytest.mark.parametrize(("headers", "status"), [
    (RIGHT, 200), ({}, 401), ({"authorization": "Bearer wrong"}, 401), ({"x-gitlab-token": "right"}, 401),
    (signed("secret", json.dumps(FIRING).encode()), 401),
])  # fmt: skip
def test_whoever_has_the_token_may_pull_the_brake_and_a_code_host_may_not(headers: dict[str, str], status: int) -> None:
    asked = Asked()
    app = ControllerApp(asked, SyncAccess("right", "secret"))
    assert ask(app, "POST", "/brake", headers, [json.dumps(FIRING).encode(), b""])[0] == status
    assert asked.brakes == ([BrakeOrder(True, "errors are high (firing)")] if status == 200 else [])
    assert ask(ControllerApp(asked, SyncAccess(secret="secret")), "POST", "/brake", RIGHT, [b"{}", b""])[0] == 403


@pytest.mark.parametrize(("said", "order"), [
    ({"pulled": True, "reason": "incident 4711"}, BrakeOrder(True, "incident 4711")),
    ({"pulled": False, "reason": "over", "environment": "dev"}, BrakeOrder(False, "over", "dev")),
    ({**FIRING, "status": "resolved"}, BrakeOrder(False, "errors are high (resolved)")),
    ({**FIRING, "commonAnnotations": {}}, BrakeOrder(True, "ErrorsHigh (firing)")),
    ({"status": "firing", "alerts": []}, BrakeOrder(True, "an alert (firing)")),
])  # fmt: skip
def test_an_incident_is_said_in_our_words_or_in_those_of_alertmanager(said: Any, order: BrakeOrder) -> None:
    assert BrakeOrder.of(json.dumps(said).encode()) == order


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2), max_leaves=4,
)  # fmt: skip
_keys = ("pulled", "reason", "environment", "alerts", "status", "groupKey", "commonAnnotations", "commonLabels")
_bodies = st.dictionaries(st.sampled_from(_keys), _values | st.sampled_from(["firing", "resolved"])) | _values


@given(_bodies.map(lambda said: json.dumps(said).encode()) | st.binary(max_size=40) | st.just(b"[" * 100_000))
def test_whatever_else_is_sent_is_refused_by_name(body: bytes) -> None:
    asked = Asked()
    status, said = ask(ControllerApp(asked, SyncAccess("right")), "POST", "/brake", RIGHT, [body, b""])
    assert status == (400 if not asked.brakes else 404 if asked.brakes[0].environment else 200)
    assert status == 200 or json.loads(said)["error"]
    assert all(order.reason.strip() for order in asked.brakes)


@pytest.mark.parametrize(("alive", "ready", "path", "status"), [
    (True, True, "/healthz", 200), (False, True, "/healthz", 503), (True, True, "/readyz", 200),
    (True, False, "/readyz", 503), (True, True, "/metrics", 200), (True, True, "/", 404), (True, True, "/sync", 405),
])  # fmt: skip
def test_health_and_readiness_are_what_the_controller_says(alive: bool, ready: bool, path: str, status: int) -> None:
    found, said = ask(ControllerApp(Asked(alive, ready), SyncAccess("right")), "GET", path)
    assert found == status
    if path == "/readyz" and not ready:
        assert b"process 7 of ana" in said


_LINE = re.compile(r'^[a-z_]+(\{([a-z_]+="(\\\\|\\"|\\n|[^"\\\n])*",?)*\})? (-?[0-9.e+-]+|NaN|[+-]Inf)$')


@given(st.lists(st.tuples(st.text(), st.floats()), min_size=1, max_size=3))
def test_every_sample_is_one_line_of_the_format_whatever_a_label_holds(samples: list[tuple[str, float]]) -> None:
    family = Family("rollcast_x", "gauge", "Any.", tuple(({"name": label}, value) for label, value in samples))
    lines = text_of([family]).split("\n")
    assert lines[:2] == ["# HELP rollcast_x Any.", "# TYPE rollcast_x gauge"]
    assert [line for line in lines[2:-1] if not _LINE.match(line)] == []
    assert len(lines) == len(samples) + 3
