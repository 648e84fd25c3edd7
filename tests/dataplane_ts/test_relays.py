"""Express services behind relays: flags arrive at once, every relay hears, and nothing hangs on a relay."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dataplane.relaying import Relaying, change_is_heard, relaying
from tests.dataplane.releasing import NEW, OLD, both, text_of
from tests.dataplane.running import until
from tests.dataplane_ts.building import running_node
from tests.dataplane_ts.relay_process import killable
from tests.stacks.site import free_port


@pytest.fixture
def two() -> Iterator[tuple[Relaying, Relaying]]:
    """Two relays with one definition."""
    with relaying() as first, relaying() as second:
        for relay in (first, second):
            relay.put(text_of(both(0)))
        yield first, second


def test_every_relay_hears_of_a_change_at_once_and_of_the_end(kit: Path, tmp_path: Path, two: tuple) -> None:
    first, second = two
    with running_node(kit, tmp_path, relays=[first.url, second.url]) as service:
        until(lambda: first.heard and second.heard)  # before its first request
        assert first.last()["releases"] == {}
        change_is_heard(service, first, second)
    assert first.last()["leaving"]
    assert second.last()["leaving"]


def test_what_a_relay_wants_warm_gets_warm_when_it_can(kit: Path, tmp_path: Path, two: tuple) -> None:
    first, second = two
    with running_node(kit, tmp_path, relays=[first.url, second.url]):
        first.wanted = ["p/i/ready", "p/i/cold"]
        until(lambda: "p/i/ready" in second.last().get("warm", []))
        assert "p/i/cold" not in first.last()["warm"]
        (tmp_path / "ready").touch()
        until(lambda: "p/i/cold" in first.last()["warm"], 30)


def test_the_next_relay_gives_the_flags_when_one_is_gone(kit: Path, tmp_path: Path, two: tuple) -> None:
    first, port = two[0], free_port()
    with (
        killable(port, text_of(both(0))) as second,
        running_node(kit, tmp_path, relays=[f"http://127.0.0.1:{port}", first.url]) as service,
    ):
        until(lambda: service.post("/chat", {"user": "ann"}).json()["release"] == OLD.id)
        first.put(text_of(both(100)))
        second.kill()
        until(lambda: service.post("/chat", {"user": "ann"}).json()["release"] == NEW.id, 30)
        assert service.state()["degraded"] is False


def test_without_any_relay_it_goes_on_restarts_included_and_returns_to_them(kit: Path, tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running_node(kit, tmp_path, relays=[url]) as service:
        assert service.post("/chat", {"user": "ann"}).status_code == 503
        with killable(port, text_of(both(0))):
            until(lambda: service.post("/chat", {"user": "ann"}).status_code == 200, 30)
    with running_node(kit, tmp_path, relays=[url]) as again:
        assert again.post("/chat", {"user": "ann"}).json()["release"] == OLD.id
        assert "does not answer" in again.state()["degraded"]
        with killable(port, text_of(both(100))):
            until(lambda: again.post("/chat", {"user": "ann"}).json()["release"] == NEW.id, 30)
            assert again.state()["degraded"] is False
        until(lambda: again.state()["degraded"])
        assert again.post("/chat", {"user": "ann"}).json()["release"] == NEW.id


def test_an_older_relay_is_named_and_a_token_is_sent(kit: Path, tmp_path: Path, two: tuple) -> None:
    first, second = two
    first.token = second.token = "s3cret"
    second.protocol = 0
    token = {"ROLLCAST_RELAY_TOKEN": "s3cret"}
    with running_node(kit, tmp_path, relays=[first.url, second.url], environment=token) as service:
        assert service.post("/chat", {"user": "ann"}).status_code == 200
        until(lambda: "speaks protocol 0" in str(service.state()["degraded"]))
        assert "s3cret" not in str(service.state())
    assert first.heard
    assert not second.heard
