"""What a trace does not record, derived by a seeded rule.

Users: each row belongs to one of 20,000, equally likely. A user has one region (eu, us, asia: equally likely) and one
segment (internal 2 %, experienced 10 %, standard otherwise). Queries, which caches know requests by: one of 10,000 with
Zipf's popularity (the k-th is drawn in proportion to 1/k). Every choice is a draw from (seed, row or user, name).
"""

from __future__ import annotations

import numpy as np

from rollcast.simulator.base.draws import Ints, Purpose, name_number, uniforms

USERS = 20_000
QUERIES = 10_000
REGIONS = ("eu", "us", "asia")
SEGMENTS = (("internal", 0.02), ("experienced", 0.10), ("standard", 0.88))


def users_of(seed: int, count: int) -> tuple[tuple[str, ...], Ints]:
    """Targeting keys, and which of them each row has."""
    drawn = uniforms(seed, 0, count, name_number("user"), Purpose.USER)
    return tuple(f"user-{i}" for i in range(USERS)), (drawn * USERS).astype(np.int64)


def attributes_of_users(seed: int, users: int) -> tuple[tuple[dict[str, str], ...], Ints]:
    """Attribute sets, and which of them each user has."""
    region = (uniforms(seed, 0, users, name_number("region"), Purpose.ATTRIBUTE) * len(REGIONS)).astype(np.int64)
    bounds = np.cumsum([share for _, share in SEGMENTS])[:-1]
    segment = np.searchsorted(bounds, uniforms(seed, 0, users, name_number("segment"), Purpose.ATTRIBUTE))
    classes = tuple({"region": region, "segment": name} for region in REGIONS for name, _ in SEGMENTS)
    of_user: Ints = region * len(SEGMENTS) + segment
    return classes, of_user


def queries_of(seed: int, count: int) -> Ints:
    """Which query each row asks."""
    popularity = np.cumsum(1.0 / np.arange(1, QUERIES + 1))
    drawn = uniforms(seed, 0, count, name_number("query"), Purpose.QUERY)
    drawn_queries: Ints = np.searchsorted(popularity, drawn * popularity[-1]).astype(np.int64)
    return drawn_queries
