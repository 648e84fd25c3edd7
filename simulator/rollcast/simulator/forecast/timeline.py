"""What happens over time: which release each request was sent to, and what the gates knew at their looks."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from rollcast.simulator.forecast.models import Interval, Known, Moment
from rollcast.simulator.replay.replay import Look
from rollcast.simulator.replay.request_log import RequestLog

SLICES = 96
MOST_LOOKS = 96
Timeline = tuple[Moment, ...]


def timeline(request_log: RequestLog, requests: int, duration_s: float, slices: int = SLICES) -> tuple[Moment, ...]:
    """Equal slices from the start of a rollout to a little after its end. Refused requests count under no release."""
    arrival_s, path = request_log.columns.arrival_s[:requests], request_log.columns.path[:requests]
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
        for release, index in request_log.inputs.network.path_of.items()
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


def banded(timelines: Sequence[Timeline], enough: int) -> Timeline:
    """The first timeline, and where 95 % of them are at each of its moments; none of fewer than `enough`.

    A run that has ended goes on as it ended, and in a moment without requests as in the moment before it.
    """
    full = [moments for moments in timelines if moments]
    if len(full) < enough or not timelines[0]:
        return timelines[0]
    releases = sorted({release for moments in full for moment in moments for release in moment.releases})
    shares = np.array([_shares(moments, timelines[0], releases) for moments in full])  # [run, moment, release]
    low, high = np.quantile(shares, [0.025, 0.975], axis=0)

    def intervals(place: int) -> dict[str, Interval]:
        pairs = zip(releases, low[place], high[place], strict=True)
        return {release: (float(a), float(b)) for release, a, b in pairs if b > 0}

    return tuple(m.model_copy(update={"share_intervals": intervals(i)}) for i, m in enumerate(timelines[0]))


def _shares(moments: Timeline, when: Timeline, releases: Sequence[str]) -> list[list[float]]:
    """The part of the requests that each release serves, at the middle of each moment of another timeline."""
    served: list[list[float]] = []
    for moment in moments:
        total = sum(moment.releases.values())
        before = served[-1] if served else [0.0] * len(releases)
        served.append([moment.releases.get(name, 0) / total for name in releases] if total else before)
    starts = [moment.start_s for moment in moments]
    return [served[max(bisect_right(starts, one.start_s + one.seconds / 2) - 1, 0)] for one in when]


def known(looks: Sequence[Look], most: int = MOST_LOOKS) -> tuple[Known, ...]:
    """What the gates knew at about `most` looks, evenly chosen; the last look of each milestone is always there."""
    every = max(1, -(-len(looks) // most))
    chosen = [
        look
        for place, look in enumerate(looks)
        if place % every == 0 or place + 1 == len(looks) or looks[place + 1].milestone != look.milestone
    ]
    return tuple(
        Known(
            at_s=look.at_s, milestone=look.milestone, metric=metric, difference=difference, margin=margin,
            e_value_harm=e_value, e_value_limit=1 / alpha,
        )
        for look in chosen
        for metric, difference, margin, e_value, alpha in look.gates
    )  # fmt: skip
