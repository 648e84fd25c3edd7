"""Traffic over time: what arrived in each slice of a replay, and which release each request was sent to."""

from __future__ import annotations

import numpy as np

from rollcast.simulator.forecast import Moment
from rollcast.simulator.ledger import Ledger

SLICES = 96


def timeline(ledger: Ledger, requests: int, duration_s: float, slices: int = SLICES) -> tuple[Moment, ...]:
    """Equal slices from the start of a rollout to a little after its end. Refused requests count under no release."""
    arrival_s, path = ledger.columns.arrival_s[:requests], ledger.columns.path[:requests]
    inside = arrival_s <= 1.2 * duration_s
    arrival_s, path = arrival_s[inside], path[inside]
    if not len(arrival_s):
        return ()
    end_s = float(arrival_s.max())
    width_s = end_s / slices if end_s > 0 else 1.0
    place = np.clip((arrival_s / width_s).astype(np.int64), 0, slices - 1)
    total = np.bincount(place, minlength=slices)
    of_release = {
        release: np.bincount(place[path == index], minlength=slices)
        for release, index in ledger.scene.network.path_of.items()
        if (path == index).any()
    }
    return tuple(
        Moment(
            start_s=i * width_s,
            seconds=width_s,
            requests=int(total[i]),
            releases={release: int(counts[i]) for release, counts in of_release.items() if counts[i]},
        )
        for i in range(slices)
    )
