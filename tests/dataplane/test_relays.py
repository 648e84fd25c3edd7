"""Behind relays: flags arrive at once, every relay hears, what is wanted gets warm, and nothing hangs on a relay."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.dataplane.relaying import Relaying, change_is_heard, relaying
from tests.dataplane.releasing import NEW, OLD, both, text_of
from tests.dataplane.running import KINDS, running, until


@pytest.fixture
def two() -> Iterator[tuple[Relaying, Relaying, ExitStack]]:
    """Two relays with one definition; the second can be stopped by closing the stack."""
    with relaying() as first, ExitStack() as stack:
        second = stack.enter_context(relaying())
        for relay in (first, second):
            relay.put(text_of(both(0)))
        yield first, second, stack


@pytest.mark.parametrize("kind", KINDS)
def test_every_relay_hears_of_a_change_at_once_and_of_the_end(kind: str, tmp_path: Path, two: tuple) -> None:
    first, second, _ = two
    with running(tmp_path, kind, relays=[first.url, second.url]) as service:
        change_is_heard(service, first, second)
    assert first.last()["leaving"]
    assert second.last()["leaving"]


def test_a_replica_begins_to_acknowledge_before_its_first_request(tmp_path: Path, two: tuple) -> None:
    with running(tmp_path, relays=[two[0].url]):
        until(lambda: two[0].heard)
        assert two[0].last()["releases"] == {}


def test_what_a_relay_wants_warm_gets_warm_when_it_can(tmp_path: Path, two: tuple) -> None:
    first, second, _ = two
    with running(tmp_path, relays=[first.url, second.url]):
        first.wanted = ["p/i/ready", "p/i/cold"]
        until(lambda: "p/i/ready" in second.last().get("warm", []))
        assert "p/i/cold" not in first.last()["warm"]
        (tmp_path / "ready").touch()
        until(lambda: "p/i/cold" in first.last()["warm"], 10)


def test_the_next_relay_gives_the_flags_when_one_is_gone(tmp_path: Path, two: tuple) -> None:
    first, second, stack = two
    with running(tmp_path, relays=[second.url, first.url]) as service:
        assert service.post("/chat", {"user": "ann"}).json()["release"] == OLD.id
        stack.close()
        first.put(text_of(both(100)))
        until(lambda: service.post("/chat", {"user": "ann"}).json()["release"] == NEW.id, 10)
        assert service.state()["degraded"] is False


def test_without_any_relay_it_goes_on_restarts_included_and_returns_to_them(tmp_path: Path) -> None:
    relay = Relaying()
    relay.put(text_of(both(0)))
    with relaying(relay), running(tmp_path, relays=[relay.url]) as service:
        assert service.post("/chat", {"user": "ann"}).status_code == 200
    with running(tmp_path, relays=[relay.url]) as again:
        assert again.post("/chat", {"user": "ann"}).json()["release"] == OLD.id
        assert "does not answer" in again.state()["degraded"]
        relay.put(text_of(both(100)))
        with relaying(relay):
            until(lambda: again.post("/chat", {"user": "ann"}).json()["release"] == NEW.id, 10)
            until(lambda: relay.last().get("replica") == again.state()["replica"])
            assert again.state()["degraded"] is False
        until(lambda: again.state()["degraded"])
        assert again.post("/chat", {"user": "ann"}).json()["release"] == NEW.id


def test_before_any_relay_answers_requests_get_503(tmp_path: Path) -> None:
    relay = Relaying()
    relay.put(text_of(both(0)))
    with running(tmp_path, relays=[relay.url]) as service:
        assert service.post("/chat", {"user": "ann"}).status_code == 503
        with relaying(relay):
            until(lambda: service.post("/chat", {"user": "ann"}).status_code == 200, 10)


def test_an_older_relay_is_named_and_a_token_is_sent(tmp_path: Path, two: tuple) -> None:
    first, second, _ = two
    first.token = second.token = "s3cret"
    second.protocol = 0
    with running(tmp_path, relays=[first.url, second.url], environment={"ROLLCAST_RELAY_TOKEN": "s3cret"}) as service:
        assert service.post("/chat", {"user": "ann"}).status_code == 200
        until(lambda: "speaks protocol 0" in str(service.state()["degraded"]))
        assert "s3cret" not in str(service.state())
    assert first.heard
    assert not second.heard
