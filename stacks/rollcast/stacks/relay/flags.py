"""The flags that a relay serves now: their text, its tag, flagd's own evaluator of them, and who waits for the next."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable

from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.exception import OpenFeatureError

from rollcast.stacks.flags.flag_documents import definition_of
from rollcast.stacks.relay.evaluation import OfrepEvaluation
from rollcast.stacks.relay.source import FlagSource, SourceFault


class RelayedFlags:
    """The last good definition. `say` is called once for each fault, and when it is over."""

    def __init__(self, source: FlagSource, say: Callable[[str], None]) -> None:
        self._source, self._say = source, say
        self._changed = asyncio.Event()
        self.text: bytes | None = None
        self.tag = ""
        self.evaluation: OfrepEvaluation | None = None
        self.fault: str | None = None
        self.closing = False

    def look(self) -> bool:
        """Takes what the source holds now, where it is good. Whether something changed."""
        try:
            text = self._source.read()
            if text is not None and text.encode() != self.text:
                evaluation = _evaluation(text)
                self.text, self.evaluation = text.encode(), evaluation
                self.tag = '"' + hashlib.sha256(self.text).hexdigest() + '"'
                self._wake()
                self._right_again()
                return True
        except SourceFault as error:
            self._wrong(str(error))
            return False
        if text is not None:
            self._right_again()
        return False

    def _wrong(self, why: str) -> None:
        if why != self.fault:
            left = "the last good definition goes on being served" if self.text else "there is nothing to serve yet"
            self._say(f"{why}: {left}. Restore it, or run 'rollcast apply'.")
        self.fault = why

    def _right_again(self) -> None:
        if self.fault is not None:
            self._say("The flag definition is right again.")
        self.fault = None

    def close(self) -> None:
        """Answers everybody who waits."""
        self.closing = True
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def changed(self, tag: str, wait_s: float) -> bool:
        """Waits until the definition is another than `tag` says, at most `wait_s`. Whether it is."""
        if self._new(tag) or self.closing or wait_s <= 0:
            return self._new(tag)
        loop = asyncio.get_running_loop()
        until = loop.time() + wait_s
        while not self._new(tag) and not self.closing and (left := until - loop.time()) > 0:
            try:
                async with asyncio.timeout(left):
                    await self._changed.wait()
            except TimeoutError:
                break
        return self._new(tag)

    def _new(self, tag: str) -> bool:
        return self.text is not None and tag != self.tag


def _evaluation(text: str) -> OfrepEvaluation:
    """flagd's evaluator of a definition. Raises SourceFault where it refuses it."""
    core = FlagdCore()
    try:
        core.set_flags(text)
        return OfrepEvaluation(core, definition_of(text))
    except (OpenFeatureError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise SourceFault(f"flagd refuses the definition ({error or type(error).__name__})") from None
