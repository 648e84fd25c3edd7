"""The unit of analysis: which outcomes are a user's first in a stage, in constant memory.

A bit per hashed user. Two users who share a bit count as one, so the later one is left out: chosen by the hash of the
key alone, never by the outcome, so tests stay valid; with 2^20 bits and 100,000 users 5 % are left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rollcast.planner.gates.outcomes import Bools, Units
from rollcast.planner.gates.packing import pack, unpack

_BITS = 1 << 20


class FirstOfUser:
    """Remembers which users were seen."""

    def __init__(self) -> None:
        self._seen = np.zeros(_BITS, np.bool_)

    def mask(self, units: Units) -> Bools:
        """True for the first outcome of each user that was not seen before; remembers them."""
        places = (units & np.uint64(_BITS - 1)).astype(np.int64)
        first: Bools = ~self._seen[places]
        if first.any():
            rows = np.flatnonzero(first)
            _, index = np.unique(places[rows], return_index=True)
            first[:] = False
            first[rows[index]] = True
            self._seen[places[rows]] = True
        return first

    def to_json(self) -> dict[str, Any]:
        return pack(np.packbits(self._seen))

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> FirstOfUser:
        users = cls()
        users._seen = np.unpackbits(unpack(data)).astype(np.bool_)
        return users
