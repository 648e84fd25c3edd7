"""One service of either kit as a real process, and callers of it who never stop: what each answer was, whole."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from tests.dataplane.releasing import NEW, OLD
from tests.dataplane.running import Running, running
from tests.dataplane_ts.building import built, running_node

BOTH_KITS = ("fastapi", "express")
PROMPTS = {OLD.id: "prompt@1", NEW.id: "prompt@2"}


@contextmanager
def serving(kind: str, folder: Path, **settings: Any) -> Iterator[Running]:
    """A service of this kind, with settings as `running` and `running_node` take them."""
    made = running_node(built(), folder, **settings) if kind == "express" else running(folder, kind, **settings)
    with made as service:
        yield service


class Answer(NamedTuple):
    """What a caller got."""

    status: int
    said: str  # by the header of the answer
    release: str
    prompt: str

    @property
    def whole(self) -> bool:
        """Answered, and by one release from the header to the component."""
        return self.status == 200 and self.said == self.release and PROMPTS.get(self.release) == self.prompt


class Callers:
    """Some callers of a service, from the beginning of a block to its end. Each asks as another user each time."""

    def __init__(self, service: Running, number: int = 4) -> None:
        self.answers: list[Answer] = []
        self.lost: list[str] = []
        self._url, self._over = service.url, threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(name,)) for name in range(number)]

    def __enter__(self) -> Callers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _call(self, name: int) -> None:
        fresh = httpx.Limits(max_keepalive_connections=0)
        with httpx.Client(base_url=self._url, trust_env=False, timeout=30, limits=fresh) as client:
            turn = 0
            while not self._over.wait(0.01):
                turn += 1
                body = {"user": f"u{name}-{turn}", "takes_s": 0.05 * (turn % 3)}
                try:
                    reply = client.post("/chat", json=body)
                    data = reply.json()
                    parts = data.get("components", {})
                    said = reply.headers.get("x-rollcast-release", "")
                    self.answers.append(
                        Answer(reply.status_code, said, data.get("release", ""), parts.get("prompt", ""))
                    )
                except (httpx.HTTPError, ValueError) as error:
                    self.lost.append(f"{type(error).__name__} {error}")

    def judged(self) -> set[str]:
        """The releases that served. Every request was answered, and by one release."""
        assert not self.lost, self.lost[:5]
        broken = [answer for answer in self.answers if not answer.whole]
        assert not broken, broken[:5]
        assert self.answers
        return {answer.release for answer in self.answers}
