"""Users of three help desks: open-loop requests, each of another user. Developers do not ask what is secret."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Mapping

RATE_PER_S = 30.0
HARMLESS = ("your opening hours?", "who are you?")
REAL = (*HARMLESS, "reset my account", "which payment do you know?")


class Load:
    """Runs while its block does; `statuses` counts what was answered, by environment."""

    def __init__(self, ports: Mapping[str, int]) -> None:
        self.statuses: dict[str, Counter[str]] = {name: Counter() for name in ports}
        self._ports, self._over = ports, threading.Event()
        self._threads = [threading.Thread(target=self._use, args=(name,), daemon=True) for name in ports]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *about: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(10)

    @property
    def answered(self) -> int:
        """Requests that were answered well."""
        return sum(found["200"] for found in self.statuses.values())

    @property
    def lost(self) -> int:
        """Requests without an answer, or with an error of the service."""
        return sum(count for found in self.statuses.values() for status, count in found.items() if status != "200")

    def _use(self, name: str) -> None:
        questions = HARMLESS if name == "dev" else REAL
        connection, number, next_s = None, 0, time.monotonic()
        while not self._over.is_set():
            body = json.dumps({"user": f"{name}-{number}", "text": questions[number % len(questions)]})
            try:
                connection = connection or http.client.HTTPConnection("127.0.0.1", self._ports[name], timeout=10)
                connection.request("POST", "/ask", body, {"content-type": "application/json"})
                answer = connection.getresponse()
                answer.read()
                self.statuses[name][str(answer.status)] += 1
            except (OSError, http.client.HTTPException) as error:
                self.statuses[name][type(error).__name__] += 1
                connection = None
            number += 1
            next_s += 1 / RATE_PER_S
            self._over.wait(max(0.0, next_s - time.monotonic()))
