"""Chats of several turns and long streams on replicas of both kits, across a whole rollout by the real engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet.conversations import converse
from tests.fleet.site import Fleet

pytestmark = [pytest.mark.engine, pytest.mark.slow]

SESSION_S = 8
STREAM_S = {"node": 16.0, "python": 22.0}  # `make validate` has two minutes; what counts is that it outlasts the switch


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with Fleet(tmp_path / "project", replicas=2, session_s=SESSION_S) as made:
        made.first_release()
        yield made


def test_chats_keep_their_release_streams_are_whole_and_the_drain_waits_for_the_last_replica(fleet: Fleet) -> None:
    found = converse(fleet, STREAM_S)
    assert found.code == 0, found.output + fleet.logs()
    assert {each.kit for each in found.streamed} == {"node", "python"}
    assert found.whole == found.streamed, "a stream was not whole, or the drain did not wait for it"
    assert not found.wrong, found.wrong[:5]
    assert set().union(*found.generations.values()) == {"generation 1", "generation 2"}
    assert found.changed == []
    assert found.across, "no chat had turns on both kits, so nothing was carried between them"
    assert len(list((fleet.folder / ".rollcast/live/instances").rglob("manifest.json"))) == 2, "the old one is left"
