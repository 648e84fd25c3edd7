"""Asks beside a driver's work: a thread for each try, none of which a rollout waits for.

So a webhook that hangs holds no look of the gates back, and no order of a person.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rollcast.planner.declaration.confirmations import Confirmation
from rollcast.stacks.confirming.asking import Heard, Question, ask

_GRACE_S = 5.0  # beyond its time, after which a try is given up: it may hang where no time limit reaches it
Ask = Callable[[Confirmation, Question, Path, Callable[[], bool]], Heard]


@dataclass
class _Try:
    began_s: float
    heard: list[Heard] = field(default_factory=list)


class Asker:
    """The tries of one driver, by question. `now`: seconds on a clock that is never put back."""

    def __init__(self, root: Path, ask: Ask = ask, now: Callable[[], float] = time.monotonic) -> None:
        self._root, self._ask, self._now = root, ask, now
        self._under_way: dict[str, _Try] = {}
        self._next_s: dict[str, float] = {}
        self._over = threading.Event()

    @property
    def asking(self) -> bool:
        """Whether a try is under way."""
        return bool(self._under_way)

    def look(self, declared: Confirmation, question: Question) -> Heard | None:
        """What came of the last try, once; begins another one where it is time. Never waits."""
        now_s = self._now()
        found = self._under_way.get(question.id)
        if found is None:
            if now_s >= self._next_s.get(question.id, now_s):
                self._begin(declared, question, now_s)
            return None
        if not found.heard and now_s - found.began_s <= declared.timeout + _GRACE_S:
            return None
        del self._under_way[question.id]
        self._next_s[question.id] = now_s + declared.ask_every
        return found.heard[0] if found.heard else Heard(None, f"it did not answer within {declared.timeout:g} s")

    def _begin(self, declared: Confirmation, question: Question, now_s: float) -> None:
        begun = self._under_way[question.id] = _Try(now_s)

        def run() -> None:
            try:
                heard = self._ask(declared, question, self._root, self._over.is_set)
            except Exception as error:  # a thread's error would be lost, and the question never put again
                heard = Heard(None, f"the question can't be put ({type(error).__name__}: {error})")
            begun.heard.append(heard)

        threading.Thread(target=run, name=f"confirm {declared.source}", daemon=True).start()

    def end(self) -> None:
        """Programs that are still at work are stopped; their answers are heard by nobody."""
        self._over.set()
        until_s = time.monotonic() + 1.0
        while any(not one.heard for one in self._under_way.values()) and time.monotonic() < until_s:
            time.sleep(0.02)


__all__ = ["Asker"]
