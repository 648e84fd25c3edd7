"""How long a drain must wait: as long as one request may last on what is drained, by all that is declared of it.

The plan takes the greater of what is declared now and what was declared of what serves: `planning.builder`.
"""

from __future__ import annotations

from collections.abc import Iterable

from rollcast.planner.releases.releases import Release, Track


class LongestRequest:
    """How long one request of a release may last: the greatest `timeout` of its components and its rollout, in seconds.

    Its rollout's is that of its pipeline's tracks; of all tracks where its pipeline has none any more.
    """

    def __init__(self, tracks: Iterable[Track]) -> None:
        self._by_pipeline: dict[str, float] = {}
        for track in tracks:
            self._by_pipeline[track.pipeline] = max(self._by_pipeline.get(track.pipeline, 0.0), track.rollout.timeout)
        self._of_all = max(self._by_pipeline.values(), default=0.0)

    def of(self, release: Release) -> float:
        """The longest that one of its requests may last."""
        said = [slot.timeout_s for slot in release.slots.values() if slot.timeout_s is not None]
        return max((self._by_pipeline.get(release.pipeline, self._of_all), *said))
