"""Stations keep to what queueing theory proves of them, and other simulators agree."""

from __future__ import annotations

import pytest

from validation.queue_peers import PEERS, formula
from validation.queues import batch_means, blocking, caching, checks, little


def test_every_formula_is_covered() -> None:
    missed = [check for check in checks(0.3) if not check.ok]
    assert not missed


def test_an_interval_that_misses_is_seen_to_miss() -> None:
    for part in (blocking, caching, little):
        check = next(part(20_000))
        assert check.ok
        assert not type(check)(check.name, check.formula * 1.2, check.simulated, check.half_width).ok


@pytest.mark.parametrize("name", PEERS)
def test_peers_wait_as_long_on_the_same_queue(name: str) -> None:
    mean, half_width = batch_means(PEERS[name](20_000))
    assert abs(mean - formula()) <= half_width
