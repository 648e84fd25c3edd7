"""Pairing the two arms' outcomes into blocks of fixed sizes.

Two-sample e-processes advance block by block: `candidate` outcomes of one arm with `baseline` outcomes of the
other (Turner, Ly and Grünwald 2021, https://arxiv.org/abs/2106.02693, section 2). Sizes follow the split that
was requested, so that little has to wait and what is compared is of the same time.

What waits is bounded: whenever another 4,096 outcomes were taken, each arm keeps its latest 2,048 and leaves older ones
out. Both numbers count outcomes and never look at values, so the tests stay valid, and they don't depend on how
outcomes were cut into batches.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from rollcast.planner.gates.outcomes import Bools, Floats
from rollcast.planner.gates.packing import pack, unpack

_LARGEST = 100  # outcomes of one arm in a block
_SMALLEST_PART = 0.05  # from here on, blocks have the very ratio of the split, within one in twenty
_TRIM_EVERY, _MOST_WAITING = 4096, 2048


def block_sizes(split: float) -> tuple[int, int]:
    """(candidate, baseline) outcomes in a block for a fraction `split` of candidates."""
    smaller = min(split, 1 - split)
    if smaller >= _SMALLEST_PART:
        part = Fraction(smaller).limit_denominator(20)
        few, many = part.numerator, part.denominator - part.numerator
    else:
        few, many = 1, min(_LARGEST, round((1 - smaller) / smaller)) if smaller > 0 else _LARGEST
    return (few, many) if split <= 0.5 else (many, few)


class Pairing:
    """Outcomes that wait for a whole block."""

    def __init__(self, split: float) -> None:
        self.sizes = block_sizes(split)
        self.taken = 0
        self._candidate: Floats = np.empty(0)
        self._baseline: Floats = np.empty(0)

    def add(self, candidate: Bools, values: Floats) -> tuple[Floats, Floats]:
        """Takes outcomes in order; every whole block they complete, as two arrays of shape [blocks, size]."""
        parts, start = [], 0
        while start < len(values):
            stop = min(len(values), start + _TRIM_EVERY - self.taken % _TRIM_EVERY)
            own, part = candidate[start:stop], values[start:stop]
            parts.append(self._blocks(part[own], part[~own]))
            self.taken += stop - start
            if self.taken % _TRIM_EVERY == 0:
                self._candidate = self._candidate[-_MOST_WAITING:]
                self._baseline = self._baseline[-_MOST_WAITING:]
            start = stop
        if len(parts) == 1:
            return parts[0]
        size_c, size_b = self.sizes
        none = (np.empty((0, size_c)), np.empty((0, size_b)))
        return np.concatenate([none[0], *(c for c, _ in parts)]), np.concatenate([none[1], *(b for _, b in parts)])

    def _blocks(self, candidate: Floats, baseline: Floats) -> tuple[Floats, Floats]:
        size_c, size_b = self.sizes
        c = np.concatenate([self._candidate, candidate])
        b = np.concatenate([self._baseline, baseline])
        blocks = min(len(c) // size_c, len(b) // size_b)
        self._candidate, self._baseline = c[blocks * size_c :], b[blocks * size_b :]
        return c[: blocks * size_c].reshape(blocks, size_c), b[: blocks * size_b].reshape(blocks, size_b)

    def to_json(self) -> dict[str, Any]:
        return {
            "sizes": list(self.sizes),
            "taken": self.taken,
            "candidate": pack(self._candidate),
            "baseline": pack(self._baseline),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Pairing:
        pairing = cls(0.5)
        pairing.sizes, pairing.taken = (data["sizes"][0], data["sizes"][1]), data["taken"]
        pairing._candidate, pairing._baseline = unpack(data["candidate"]), unpack(data["baseline"])
        return pairing
