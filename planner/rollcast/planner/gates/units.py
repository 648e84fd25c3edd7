"""The unit of analysis: which outcomes are a user's first in a stage, in constant memory.

A bit per hashed user. Two users who share a bit count as one, so the later one is left out: chosen by the hash of the
key alone, never by the outcome, so tests stay valid; with 2^20 bits and 100,000 users 5 % are left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rollcast.planner.gates.outcomes import Bools, Units
from rollcast.planner.gates.packing import pack, unpack

_BITS = 1 << 20
_MANY = 2000  # from here on a table is faster than sorting


class Keys:
    """Places of a batch's users in the table, worked out once for all gates: [n] places, [n] first of its place."""

    def __init__(self, places: npt.NDArray[np.int64]) -> None:
        self.places, self.first = places, _first_of_each(places)

    @classmethod
    def of(cls, units: Units) -> Keys:
        return cls((units & np.uint64(_BITS - 1)).astype(np.int64))

    def rows(self, chosen: Bools) -> Keys:
        """Some of them, in the same order."""
        return self if chosen.all() else Keys(self.places[chosen])


def _first_of_each(places: npt.NDArray[np.int64]) -> Bools:
    """True where a place occurs for the first time."""
    if len(places) < _MANY:
        found = np.zeros(len(places), np.bool_)
        found[np.unique(places, return_index=True)[1]] = True
        return found
    order = np.arange(len(places), dtype=np.int32)
    owner = np.empty(_BITS, np.int32)  # only what is written is read
    owner[places[::-1]] = order[::-1]  # of several values for one place the last stays: the first row's
    first: Bools = owner[places] == order
    return first


class FirstOfUser:
    """Remembers which users were seen."""

    def __init__(self) -> None:
        self._seen = np.zeros(_BITS, np.bool_)

    @property
    def filled(self) -> float:
        """The part of the table that is taken, 0 to 1: the chance that a new user is not counted as one."""
        return float(np.count_nonzero(self._seen)) / _BITS

    def mask(self, keys: Keys) -> Bools:
        """True for the first outcome of each user that was not seen before; remembers them."""
        first: Bools = keys.first & ~self._seen[keys.places]
        self._seen[keys.places] = True
        return first

    def to_json(self) -> dict[str, Any]:
        return pack(np.packbits(self._seen))

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> FirstOfUser:
        users = cls()
        users._seen = np.unpackbits(unpack(data)).astype(np.bool_)
        return users
