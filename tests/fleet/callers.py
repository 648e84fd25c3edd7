"""Callers of a fleet who never stop: short requests, chats and streams, each answer judged as it comes."""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx

CALLERS = 12


@dataclass
class Answers:
    """What callers met. `lost` is each request that got no answer, though no replica was killed under it."""

    served: Counter[str] = field(default_factory=Counter)
    mixed: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    killed: int = 0
    replicas: set[str] = field(default_factory=set)
    kits: Counter[str] = field(default_factory=Counter)


class Callers:
    """A thread of callers of one address, from `start` to `stop`."""

    def __init__(self, url: str, seed: int) -> None:
        self.url, self.seed, self.answers = url, seed, Answers()
        self.kills: list[float] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()))

    def __enter__(self) -> Callers:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    async def _all(self) -> None:
        limits = httpx.Limits(max_keepalive_connections=0)
        async with httpx.AsyncClient(base_url=self.url, timeout=60, trust_env=False, limits=limits) as client:
            await asyncio.gather(*(self._one(client, number) for number in range(CALLERS)))

    async def _one(self, client: httpx.AsyncClient, number: int) -> None:
        draws = random.Random(f"{self.seed}/{number}")
        turn = 0
        while not self._stopped.is_set():
            turn += 1
            body: dict[str, Any] = {"user": f"user-{number}-{turn // 5}", "takes_s": draws.choice((0, 0, 0.05, 0.4))}
            path = "/ask"
            if number % 4 == 0:
                path, body["takes_s"] = "/stream", draws.choice((0.2, 1.5, 6))
            if number % 4 == 1:
                body["session"] = f"session-{number}-{turn // 5}"
            await self._ask(client, path, body)
            await asyncio.sleep(draws.uniform(0, 0.05))

    async def _ask(self, client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> None:
        began = time.monotonic()
        try:
            reply = await client.post(path, json=body)
            text = f"{reply.status_code} {reply.text.strip()[:300]}"
            found = json.loads(reply.text) if reply.status_code == 200 else None
        except (httpx.HTTPError, ValueError) as error:
            text, found = f"{type(error).__name__} {error}", None
        if found is not None:
            self.answers.served[found["index"]] += 1
            self.answers.replicas.add(found["replica"])
            self.answers.kits[found["kit"]] += 1
            if found["index"] != found["answer"]:
                self.answers.mixed.append(text)
        elif any(began - 1 <= at <= time.monotonic() for at in self.kills) and "no such file" not in text.lower():
            self.answers.killed += 1  # a process that is killed takes what it was serving with it
        else:
            self.answers.lost.append(f"{path} {body} at {began:.1f}: {text}")
