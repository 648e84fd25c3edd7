"""Buckets: where a user's key stands on a scale of 100,000, and what a percentage is on it.

Buckets are the flag evaluator's own, so that what is planned and simulated is what is served: murmur3-32 of `salt +
targeting key`, unsigned, scaled as `(hash * total) >> 32` (flagd's `fractional`,
https://flagd.dev/reference/custom-operations/fractional-operation/). Weights are thousandths of a percent, and the new
release is listed first, so that widening never moves anyone back. `BUCKETING` names the algorithm; a split made for
another one is a re-bucketing.
"""

from __future__ import annotations

from collections.abc import Sequence

import mmh3
import numpy as np
import numpy.typing as npt

from rollcast.planner.base.keys import hashable

BUCKETING = "flagd-murmur3-32/1"
TOTAL_WEIGHT = 100_000


def weight_of(percent: float) -> int:
    """A percentage as an integer weight out of TOTAL_WEIGHT."""
    return round(percent * TOTAL_WEIGHT / 100)


def bucket_of(salt: str, key: str) -> int:
    """The sticky bucket, 0 to TOTAL_WEIGHT - 1, of a targeting key."""
    return (mmh3.hash(hashable(salt + key), signed=False) * TOTAL_WEIGHT) >> 32


def buckets_of(salt: str, keys: Sequence[str]) -> npt.NDArray[np.int64]:
    """The buckets of many keys at once: the vectorized twin of `bucket_of`."""
    hashes = np.fromiter((mmh3.hash(hashable(salt + key), signed=False) for key in keys), np.uint64, len(keys))
    return ((hashes * np.uint64(TOTAL_WEIGHT)) >> np.uint64(32)).astype(np.int64)
