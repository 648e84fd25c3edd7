"""Chats of several turns and long streams on replicas of both kits, across a whole rollout by the real engine."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.dataplane.crowds import Crowd
from tests.fleet.site import Fleet, Replica

pytestmark = [pytest.mark.engine, pytest.mark.slow]

SESSION_S = 8
TURNS = 6
STREAM_S = {"node": 16, "python": 22}  # of two minutes where people are; what counts is that it outlasts the switch


class Streamed(NamedTuple):
    """A stream to its end: what served its last byte, and when that came."""

    generation: str
    answer: str
    kit: str
    ended_at: float


class Chats(Crowd):
    """People who chat: some turns each, then another chat. Each brings back the cookies that it was given."""

    def __init__(self, url: str, number: int = 6) -> None:
        super().__init__(number)
        self.url = url
        self.turns: list[tuple[str, str, str]] = []  # chat, generation, kit
        self.wrong: list[str] = []

    def person(self, number: int) -> None:
        chat = 0
        while not self.over.is_set():
            chat += 1
            session = f"chat-{number}-{chat}"
            fresh = httpx.Limits(max_keepalive_connections=0)
            with httpx.Client(base_url=self.url, timeout=30, trust_env=False, limits=fresh) as client:
                for turn in range(TURNS):  # who chats ends the chat, also where the test is over
                    body = {"user": f"{session}-{turn}", "session": session, "takes_s": 0.05}
                    reply = client.post("/ask", json=body)
                    if reply.status_code != 200 or reply.json()["index"] != reply.json()["answer"]:
                        self.wrong.append(f"{session}: {reply.status_code} {reply.text[:300]}")
                        continue
                    self.turns.append((session, reply.json()["index"], reply.json()["kit"]))
                    time.sleep(0.2)


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with Fleet(tmp_path / "project", replicas=2, session_s=SESSION_S) as made:
        made.first_release()
        yield made


def test_chats_keep_their_release_streams_are_whole_and_the_drain_waits_for_the_last_replica(fleet: Fleet) -> None:
    streamed: list[Streamed] = []

    def stream(replica: Replica, takes_s: float) -> None:
        body = {"user": "slow", "takes_s": takes_s}
        reply = httpx.post(f"{replica.url}/stream", json=body, timeout=120, trust_env=False)
        found = json.loads(reply.text)
        streamed.append(Streamed(found["index"], found["answer"], found["kit"], time.monotonic()))

    fleet.declare(2)
    streams = [
        threading.Thread(target=stream, args=(replica, STREAM_S["node" if replica.node else "python"]))
        for replica in fleet.replicas
    ]
    with Chats(fleet.url) as chats:
        for thread in streams:
            thread.start()
        time.sleep(0.3)
        began = time.monotonic()
        done = fleet.rollcast("apply", "--auto-approve", "--no-forecast")
        ended_at = time.monotonic()
        assert done.returncode == 0, done.stdout + done.stderr + fleet.logs()
        for thread in streams:
            thread.join()
    assert {each.kit for each in streamed} == {"node", "python"}
    for each in streamed:
        assert each[:2] == ("generation 1", "generation 1"), "the stream was not whole"
        assert began < each.ended_at < ended_at, "the drain did not wait for the stream"
    assert not chats.wrong, chats.wrong[:5]
    by_chat: dict[str, set[str]] = {}
    for chat, generation, _ in chats.turns:
        by_chat.setdefault(chat, set()).add(generation)
    assert {generation for found in by_chat.values() for generation in found} == {"generation 1", "generation 2"}
    assert [chat for chat, found in by_chat.items() if len(found) > 1] == []
    across = {chat for chat, *_ in chats.turns if len({kit for one, _, kit in chats.turns if one == chat}) == 2}
    assert across, "no chat had turns on both kits, so nothing was carried between them"
    assert len(list((fleet.folder / ".rollcast/live/instances").rglob("manifest.json"))) == 2, "the old one is left"
