"""Chats of several turns and long streams across a whole rollout by the real engine, and what became of them."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from typing import NamedTuple

import httpx

from tests.dataplane.crowds import Crowd
from tests.fleet.site import Fleet, Replica

TURNS = 6


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


@dataclass
class Conversations:
    """What came of a rollout: its output and exit code, when it began and ended, each stream, each chat's releases."""

    code: int
    output: str
    began: float
    ended_at: float
    streamed: list[Streamed]
    wrong: list[str]
    generations: dict[str, set[str]] = field(default_factory=dict)
    kits: dict[str, set[str]] = field(default_factory=dict)

    @property
    def changed(self) -> list[str]:
        """Chats that were served by more than one generation."""
        return [chat for chat, found in self.generations.items() if len(found) > 1]

    @property
    def across(self) -> list[str]:
        """Chats that had turns on both kits."""
        return [chat for chat, found in self.kits.items() if len(found) > 1]

    @property
    def whole(self) -> list[Streamed]:
        """Streams that were served by the old generation to their end, and for which the rollout waited."""
        old = "generation 1"
        return [s for s in self.streamed if s.generation == s.answer == old and self.began < s.ended_at < self.ended_at]


def converse(fleet: Fleet, stream_s: dict[str, float]) -> Conversations:
    """Applies version 2 while people chat and each replica streams to one more; `stream_s` is how long, by kit."""
    streamed: list[Streamed] = []

    def stream(replica: Replica, takes_s: float) -> None:
        body = {"user": "slow", "takes_s": takes_s}
        reply = httpx.post(f"{replica.url}/stream", json=body, timeout=takes_s + 100, trust_env=False)
        found = json.loads(reply.text)
        streamed.append(Streamed(found["index"], found["answer"], found["kit"], time.monotonic()))

    fleet.declare(2)
    streams = [
        threading.Thread(target=stream, args=(replica, stream_s["node" if replica.node else "python"]))
        for replica in fleet.replicas
    ]
    with Chats(fleet.url) as chats:
        for thread in streams:
            thread.start()
        time.sleep(0.3)
        began = time.monotonic()
        done = fleet.rollcast("apply", "--auto-approve", "--no-forecast", timeout_s=max(stream_s.values()) + 200)
        ended_at = time.monotonic()
        for thread in streams:
            thread.join()
    found = Conversations(done.returncode, done.stdout + done.stderr, began, ended_at, streamed, chats.wrong)
    for chat, generation, kit in chats.turns:
        found.generations.setdefault(chat, set()).add(generation)
        found.kits.setdefault(chat, set()).add(kit)
    return found
