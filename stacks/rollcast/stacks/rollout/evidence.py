"""Requests of live telemetry as the outcomes that a stage's gates judge, and as counts that a person can check.

A request belongs to a stage when it ended after the stage was in force. Each request counts once, however often its
record comes. Where telemetry says which components served, every request is held against its release: one that is not
exactly its release is mixed. Where hosted models' answers say what served them, that is held against what is declared.
What is left out is counted by its reason, and so are requests without a targeting key.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field

from rollcast.planner.base.keys import NO_KEY, unit_of
from rollcast.planner.gates.outcomes import Outcomes
from rollcast.planner.releases.releases import Release
from rollcast.planner.rollout.state_machine import Arms
from rollcast.planner.routing.split import Router
from rollcast.stacks.base.clock import Clock
from rollcast.stacks.base.formats import StoredModel, read_stored
from rollcast.stacks.registries.vendor import is_served_by
from rollcast.stacks.telemetry import RequestRecord, TelemetryBatch

_FUTURE_S = 60.0
_LATE_S = 10.0  # that telemetry may take to arrive, after the longest request
_YEAR_5138_S = 1e11  # whoever counts milliseconds passed it in 1973
_MOST_KNOWN = 500_000
_MOST_MODELS = 20  # that are told apart
_MORE_MODELS = "other models than are declared serve, too many to name"
LEFT_OUT = {  # what a tally counts -> why such a record can't be used
    "unreadable": "unreadable",
    "absurd": "from the future",
    "milliseconds": "with milliseconds where seconds are needed",
}


class RequestCounts(StoredModel):
    """What telemetry says was served: requests by release, `stage` since the stage began, `total` since the rollout.

    Left out are records that are `unreadable`, from the future (`absurd`), dated in `milliseconds`, and `repeated`
    ones, which were counted the first time. `keyless` requests carry no targeting key. `forgotten`: ids that are no
    longer known, so that a repeat of them would count again. `crowded`: the part of the stage's table of users that
    is taken, once it is half (a new user is then left out with that chance, by the hash of the key alone).
    `other_models`: what was served by another hosted model than is declared, in words -> requests. `lost` requests
    entered and had no outcome within their time; who entered before `settled_s` is no longer waited for.
    """

    stage: dict[str, int] = Field(default_factory=dict)
    total: dict[str, int] = Field(default_factory=dict)
    mixed: int = 0
    unserved: int = 0
    untagged: int = 0
    repeated: int = 0
    unreadable: int = 0
    absurd: int = 0
    milliseconds: int = 0
    keyless: int = 0
    forgotten: int = 0
    crowded: float = 0.0
    other_models: dict[str, int] = Field(default_factory=dict)
    lost: int = 0
    settled_s: float = 0.0

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> RequestCounts:
        """From what `to_json` gave, with what another version counted besides. Raises LedgerError."""
        return read_stored(cls, data, "What telemetry counted")

    @property
    def left_out(self) -> dict[str, int]:
        """Why -> records that can't be used. A repeat is none: what it says is known."""
        return {why: getattr(self, name) for name, why in LEFT_OUT.items()}

    @property
    def requests(self) -> int:
        """Requests that some release served since the rollout began."""
        return sum(self.total.values())


@dataclass(frozen=True)
class Watch:
    """What a stage looks for: its arms, who is routed where, since when (wall clock), how long a request may take."""

    arms: Arms | None
    routers: Mapping[str, Router]
    since_s: float
    timeout_s: float = 30.0


class _Row(NamedTuple):
    """One outcome: the record, whose it is, when on the rollout's clock, and whether of the new release."""

    request: RequestRecord
    key: str
    time_s: float
    candidate: bool
    lost: bool = False


class Collector:
    """Turns batches into outcomes. Remembers requests by id, so that repeats and delayed labels find them."""

    def __init__(self, releases: Mapping[str, Release], clock: Clock, tally: RequestCounts | None = None) -> None:
        self._expected = {name: {s: v.reference for s, v in r.slots.items()} for name, r in releases.items()}
        self._pipelines = {name: release.pipeline for name, release in releases.items()}
        self._hosted = {name: hosted_in(release) for name, release in releases.items()}
        self._clock = clock
        self._known: dict[str, RequestRecord] = {}
        self._entered: dict[str, RequestRecord] = {}  # and without an outcome so far
        self.tally = tally or RequestCounts()
        self.other_models: dict[str, int] = {}  # as in the tally, of the last batch and of the stage under way

    def remember(self, requests: Iterable[RequestRecord]) -> None:
        """Requests that an earlier process has counted already."""
        for request in requests:
            if request.exposure and request.time_s > self.tally.settled_s:
                self._enter(request)
            elif not request.label:
                self._known[request.id] = replace(request, texts={})
                self._entered.pop(request.id, None)

    def new_stage(self) -> None:
        """A stage begins: its counts start at nothing."""
        self.tally.stage = {}

    def take(self, batch: TelemetryBatch, watch: Watch) -> Outcomes | None:
        """The outcomes of the stage's two arms in a batch; None when there are none."""
        self.other_models = {}
        self.tally.unreadable += batch.unreadable
        rows = [row for request in batch.requests if (row := self._row(request, watch)) is not None]
        if not batch.more:
            rows.extend(self._lost(watch))
        if len(self._known) > _MOST_KNOWN:
            keep = list(self._known.items())[-_MOST_KNOWN // 2 :]
            self.tally.forgotten += len(self._known) - len(keep)
            self._known = dict(keep)
        return _outcomes(rows) if rows else None

    def _row(self, request: RequestRecord, watch: Watch) -> _Row | None:
        if request.time_s > self._clock.wall_s() + _FUTURE_S:
            if request.time_s > _YEAR_5138_S:
                self.tally.milliseconds += 1
            else:
                self.tally.absurd += 1
            return None
        judged = request
        if request.exposure:
            self._enter(request)
            return None
        if request.label:
            first = self._known.get(request.id)
            if first is None:
                return None
            judged = first
        elif request.id in self._known:
            self.tally.repeated += 1
            return None
        else:
            self._known[request.id] = replace(request, texts={})
            self._entered.pop(request.id, None)
            self._count(request, watch)
        if watch.arms is None or judged.release is None or _began_s(judged) < watch.since_s:
            return None
        side = self._side(judged, watch)
        return None if side is None else _Row(request, judged.key, self._clock.at(request.time_s), side)

    def _enter(self, request: RequestRecord) -> None:
        if request.id not in self._known and len(self._entered) < _MOST_KNOWN:
            self._entered.setdefault(request.id, request)

    def _lost(self, watch: Watch) -> Iterator[_Row]:
        """Requests that entered in this stage and can no longer have an outcome, as failures."""
        settled_s = self._clock.wall_s() - watch.timeout_s - _LATE_S
        for request in [entered for entered in self._entered.values() if entered.time_s <= settled_s]:
            del self._entered[request.id]
            self._known[request.id] = request  # an outcome that still comes is one too many
            if watch.arms is None or request.release is None or request.time_s < watch.since_s:
                continue
            side = self._side(request, watch)
            if side is not None:
                self.tally.lost += 1
                yield _Row(request, request.key, self._clock.at(request.time_s), side, lost=True)
        self.tally.settled_s = max(self.tally.settled_s, settled_s)

    def _side(self, request: RequestRecord, watch: Watch) -> bool | None:
        assert watch.arms is not None
        assert request.release is not None
        router = watch.routers.get(self._pipelines.get(request.release, ""))
        routed = router.route(request.key, request.attributes) if router else None
        if routed is None:
            return None
        return watch.arms.side(routed.line, routed.audience, request.release)

    def _count(self, request: RequestRecord, watch: Watch) -> None:
        tally = self.tally
        if request.key == NO_KEY:
            tally.keyless += 1
        if request.release is None:
            tally.unserved += 1
            return
        tally.total[request.release] = tally.total.get(request.release, 0) + 1
        if _began_s(request) >= watch.since_s:
            tally.stage[request.release] = tally.stage.get(request.release, 0) + 1
        for text in _other_models(request, self._hosted.get(request.release, {})):
            text = text if text in tally.other_models or len(tally.other_models) < _MOST_MODELS else _MORE_MODELS
            tally.other_models[text] = tally.other_models.get(text, 0) + 1
            if request.time_s >= watch.since_s:
                self.other_models[text] = self.other_models.get(text, 0) + 1
        if request.components is None:
            tally.untagged += 1
        elif request.components != self._expected.get(request.release, request.components):
            tally.mixed += 1


def hosted_in(release: Release) -> dict[str, str]:
    """Slot -> source of every hosted model in a release."""
    slots = release.slots.items()
    return {slot: one.artifact.source for slot, one in slots if one.artifact.by_name and one.artifact.source}


def _other_models(request: RequestRecord, hosted: Mapping[str, str]) -> Iterator[str]:
    """What of a request was served by another hosted model than its release declares, a sentence each."""
    for slot, answered in request.served_by.items():
        wanted = hosted if not slot else {slot: hosted[slot]} if slot in hosted else {}
        if wanted and not any(is_served_by(source, answered) for source in wanted.values()):
            where = ", ".join(sorted(wanted))
            declared = " or ".join(sorted(set(wanted.values())))
            yield f"{where} of {request.release} is served by {answered}, and {declared} is declared"


def _began_s(request: RequestRecord) -> float:
    """The earliest time at which it can have ended."""
    return request.time_s if request.since_s is None else request.since_s


def _outcomes(rows: list[_Row]) -> Outcomes:
    replicas = sorted({row.request.replica for row in rows if row.request.replica is not None})
    place = {name: at for at, name in enumerate(replicas)}
    names = sorted({name for row in rows for name in row.request.values})
    return Outcomes(
        time_s=np.array([row.time_s for row in rows], np.float64),
        unit=np.array([unit_of(row.key or row.request.id) for row in rows], np.uint64),
        candidate=np.array([row.candidate for row in rows], np.bool_),
        values={name: np.array([row.request.values.get(name, math.nan) for row in rows], np.float64) for name in names},
        is_label=np.array([row.request.label for row in rows], np.bool_),
        keyless=np.array([row.key == NO_KEY for row in rows], np.bool_),
        replica=np.array([place.get(row.request.replica or "", -1) for row in rows], np.int64) if replicas else None,
        replicas=tuple(replicas),
        lost=np.array([row.lost for row in rows], np.bool_) if any(row.lost for row in rows) else None,
        counted=any(row.request.since_s is not None for row in rows),
    )
