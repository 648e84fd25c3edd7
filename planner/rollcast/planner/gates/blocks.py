"""Pairing the two arms' outcomes into blocks of fixed sizes.

Two-sample e-processes advance block by block: `candidate` outcomes of one arm with `baseline` outcomes of the
other (Turner, Ly and Grünwald 2021, https://arxiv.org/abs/2106.02693, section 2). Sizes follow the split that
was asked for, so that little has to wait. What waits is bounded: beyond it, outcomes are left out by count alone, never
by value, which keeps the tests valid.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rollcast.planner.gates.outcomes import Floats
from rollcast.planner.gates.packing import pack, unpack

_LARGEST = 100
_MOST_WAITING = 8192


def block_sizes(split: float) -> tuple[int, int]:
    """(candidate, baseline) outcomes in a block for a fraction `split` of candidates."""
    if split >= 0.5:
        return max(1, min(_LARGEST, round(split / (1 - split)))) if split < 1 else _LARGEST, 1
    return 1, max(1, min(_LARGEST, round((1 - split) / split)))


class Pairing:
    """Outcomes that wait for a whole block."""

    def __init__(self, split: float) -> None:
        self.candidate_size, self.baseline_size = block_sizes(split)
        self._candidate: Floats = np.empty(0)
        self._baseline: Floats = np.empty(0)

    def add(self, candidate: Floats, baseline: Floats) -> tuple[Floats, Floats]:
        """Every whole block, as two arrays of shape [blocks, size]."""
        c = np.concatenate([self._candidate, candidate]) if len(self._candidate) else candidate
        b = np.concatenate([self._baseline, baseline]) if len(self._baseline) else baseline
        blocks = min(len(c) // self.candidate_size, len(b) // self.baseline_size)
        used_c, used_b = blocks * self.candidate_size, blocks * self.baseline_size
        self._candidate = c[used_c : used_c + _MOST_WAITING].copy()
        self._baseline = b[used_b : used_b + _MOST_WAITING].copy()
        return c[:used_c].reshape(blocks, self.candidate_size), b[:used_b].reshape(blocks, self.baseline_size)

    def to_json(self) -> dict[str, Any]:
        return {
            "sizes": [self.candidate_size, self.baseline_size],
            "candidate": pack(self._candidate),
            "baseline": pack(self._baseline),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Pairing:
        pairing = cls(0.5)
        pairing.candidate_size, pairing.baseline_size = data["sizes"]
        pairing._candidate, pairing._baseline = unpack(data["candidate"]), unpack(data["baseline"])
        return pairing
