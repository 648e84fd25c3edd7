"""Many people at once, each in a thread of its own, until the test has seen enough."""

from __future__ import annotations

import threading
from typing import Self


class Crowd:
    """A context manager: `person` is called with each number, and returns soon after `over` is set."""

    def __init__(self, number: int) -> None:
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.person, args=(each,)) for each in range(number)]

    def person(self, number: int) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()
