"""Prefix blocks in the key-value memory itself, as vLLM keeps them: shared while held, kept while there is room.

A block is known from the end of the prompt that computed it. While sequences hold it, it takes room once; when nobody
does, it stays until its room is needed, the least recently released first and, of one prompt, its tail first
(https://docs.vllm.ai/en/latest/design/prefix_caching.html). A prompt that computes blocks which another one has made
known meanwhile holds them besides, as its own.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class HeldBlocks:
    """Blocks that a sequence holds: those it found, then those that it made known."""

    found: list[int] = field(default_factory=list)
    made: list[int] = field(default_factory=list)


class PrefixMemory:
    """The known blocks of one replica; each is `block_tokens` tokens."""

    def __init__(self, block_tokens: int) -> None:
        self.block_tokens = block_tokens
        self.holders: Counter[int] = Counter()
        self.free: OrderedDict[int, None] = OrderedDict()  # known and held by nobody, the next to go first
        self.references = 0

    @property
    def saved(self) -> int:
        """Tokens that sequences hold together and that take room once."""
        return (self.references - len(self.holders)) * self.block_tokens

    def known(self, blocks: Sequence[int], most: int) -> tuple[int, int]:
        """(tokens of a prompt that need not be computed, at most `most`; room that holding them takes)."""
        known = room = 0
        for block in blocks:
            if known + self.block_tokens > most or not (block in self.holders or block in self.free):
                break
            known += self.block_tokens
            room += 0 if block in self.holders else self.block_tokens
        return known, room

    def hold(self, held: HeldBlocks, blocks: Sequence[int], known: int) -> None:
        """An admitted prompt holds the blocks of its `known` tokens."""
        for block in blocks[: known // self.block_tokens if known else 0]:
            self.free.pop(block, None)
            self._refer(held.found, block)

    def keep(self, held: HeldBlocks, blocks: Sequence[int]) -> None:
        """A prompt is computed: from its first block that nobody knows on, its blocks are known."""
        place = len(held.found)
        while place < len(blocks) and self._knows(blocks[place]):
            place += 1
        while place < len(blocks) and not self._knows(blocks[place]):
            self._refer(held.made, blocks[place])
            place += 1

    def release(self, held: HeldBlocks) -> None:
        """A sequence is gone. Its tail is forgotten before its beginning."""
        for block in reversed([*held.found, *held.made]):
            self.references -= 1
            self.holders[block] -= 1
            if not self.holders[block]:
                del self.holders[block]
                self.free[block] = None
        held.found.clear()
        held.made.clear()

    def evict(self, room: int) -> None:
        """Forgets free blocks until they take no more than `room` tokens."""
        while self.free and len(self.free) * self.block_tokens > room:
            self.free.popitem(last=False)

    def _knows(self, block: int) -> bool:
        return block in self.holders or block in self.free

    def _refer(self, listed: list[int], block: int) -> None:
        listed.append(block)
        self.holders[block] += 1
        self.references += 1
