"""Checks of the evidence itself: is the split as declared, does telemetry flow, do labels come, does one user dominate.

The sample-ratio test (`sample_ratio`) is any-time valid on its own. The same test on the users whose outcome a gate
knows finds outcomes that go missing in one arm only: what is left of that arm is then no fair sample. Each of these
tests raises a false alarm with a chance of at most 0.001.

Evidence that is mostly somebody else's is none: where more than a fifth of a stage's requests carry no targeting key,
or more than one in a hundred of its records had to be left out, nothing advances, and harm is still judged. The same
holds where the data plane counts its requests and telemetry shows more than one in a hundred fewer, or more; and,
unless it is declared to proceed, where answers of a hosted model name another one than is declared.

Long because all that a stage's guards remember is kept, and restored, in one place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from rollcast.planner.gates.dispersion import Clusters
from rollcast.planner.gates.outcomes import Guard, Outcomes
from rollcast.planner.gates.packing import pack, unpack
from rollcast.planner.gates.rates import Ints
from rollcast.planner.gates.sample_ratio import SampleRatio, off
from rollcast.planner.gates.spec import GateSpec
from rollcast.planner.gates.units import FirstOfUser, Keys

_ARMS = ("the new release", "the baseline")
_BUCKETS = 1024
_DOMINANT = 0.2
_ENOUGH = 50  # requests of an arm before one user can be called dominant
_KEYLESS = 0.2  # the most requests without a key by which gates that judge users advance
_DROPPED = 0.01  # the most records left out, of all that were read
_UNCOUNTED = 0.01  # the most by which the data plane's counters and telemetry may disagree,
_AT_BORDERS = 2  # besides requests that end just where a count begins or ends
_FULL = 0.5  # of the table of users: from here on it is said
Counted = tuple[int, int, int, int]
_GAPS = 10  # telemetry of a rare arm is stale only after this many of its mean gaps


class Guards:
    """What the guards remember of a stage. Lists of two are candidate and baseline."""

    def __init__(
        self, split: float, started_s: float, min_sample: int, stale_s: float, watch_users: bool = False
    ) -> None:
        self.split, self.started_s, self.min_sample, self.stale_s = split, started_s, min_sample, stale_s
        self.users = FirstOfUser()
        self.ratio = SampleRatio(split)
        self.requests = [0, 0]
        self.last_s: list[float | None] = [None, None]
        self.by_user = np.zeros((2, _BUCKETS), np.int64) if watch_users else None  # requests, by hash of the user
        self.fields: dict[str, list[int]] = {}
        self.keyless = 0  # requests
        self.read = 0  # records of telemetry in this stage, of whatever track and audience
        self.dropped: dict[str, int] = {}  # why -> records that were left out
        self.finished: dict[str, Counted] = {}  # release -> see `counted`
        self.models: dict[str, int] = {}  # see `answered`
        self.models_hold = True

    def observe(self, outcomes: Outcomes, keys: Keys, clusters: Clusters) -> None:
        """Count requests, users and known fields. A label is no request of its own."""
        own = np.ones(len(outcomes), np.bool_) if outcomes.is_label is None else ~outcomes.is_label
        candidate, times = outcomes.candidate[own], outcomes.time_s[own]
        keyed = own if outcomes.keyless is None else own & ~outcomes.keyless
        self.keyless += int(np.count_nonzero(own)) - int(np.count_nonzero(keyed))
        first = np.flatnonzero(keyed)[self.users.mask(keys.rows(keyed))]
        self.ratio.observe(outcomes, clusters, first)
        if self.by_user is not None:
            places = (outcomes.unit[own] % np.uint64(_BUCKETS)).astype(np.int64) + np.where(candidate, 0, _BUCKETS)
            self.by_user += np.bincount(places, minlength=2 * _BUCKETS).reshape(2, _BUCKETS)
        for arm, rows in enumerate((candidate, ~candidate)):
            count = int(np.count_nonzero(rows))
            if count:
                self.requests[arm] += count
                latest, known = float(times[rows].max()), self.last_s[arm]
                self.last_s[arm] = latest if known is None else max(known, latest)
        for name, values in outcomes.values.items():
            known_c, known_b = self.fields.get(name, (0, 0))
            present = ~np.isnan(values)
            more = int(np.count_nonzero(present & outcomes.candidate))
            self.fields[name] = [known_c + more, known_b + int(np.count_nonzero(present)) - more]

    def received(self, records: int, dropped: Mapping[str, int]) -> None:
        """Count what was read of telemetry, and what of it was left out and why."""
        self.read += records
        for why, count in dropped.items():
            if count:
                self.dropped[why] = self.dropped.get(why, 0) + count

    def counted(self, finished: Mapping[str, Counted]) -> None:
        """What the data plane's own counters say of this stage, by release; nothing where they can't be compared (yet).

        Requests that had finished a moment ago, those that telemetry had shown a moment ago, and both as they are now.
        The moment is what telemetry may take to arrive.
        """
        self.finished = dict(finished)

    def answered(self, models: Mapping[str, int], holds: bool) -> None:
        """Count requests that another hosted model served than is declared, in words -> how many more of them."""
        self.models_hold = holds
        for text, count in models.items():
            self.models[text] = self.models.get(text, 0) + count

    @property
    def crowded(self) -> float:
        """The part of the table of users that is taken; 0 while it is less than half."""
        return self.users.filled if self.users.filled >= _FULL else 0.0

    def look(self, now_s: float, specs: Sequence[GateSpec], judged: Sequence[Sequence[int]]) -> tuple[Guard, ...]:
        """Every finding. `judged` has the outcomes of both arms that the gate of each spec counted; empty at 100 %."""
        found = [self._telemetry(now_s), self.ratio.guard(), self._enough()]
        for spec in specs:
            found.extend(self._missing(spec, now_s))
        for spec, (new, old) in zip(specs, judged, strict=False):
            if spec.unit == "user" and not self.ratio.counted and off(new, new + old, self.split):
                found.append(self._one_sided(spec, new, old))
        if self.by_user is not None:
            found.append(self._dominant(self.by_user))
        if self.keyless and any(spec.unit == "user" for spec in specs):
            found.append(self._keys())
        if self.dropped:
            found.append(self._left_out())
        if self.finished:
            found.append(self._counters())
        if self.models:
            found.append(self._models())
        return tuple(found)

    def _keys(self) -> Guard:
        total = sum(self.requests)
        text = f"{self.keyless} of {total} requests of this stage carry no targeting key, so no user is known for them"
        if self.keyless > _KEYLESS * total:
            remedy = "record the 'key' that the flag was evaluated with, or use 'unit: request'"
            return Guard("no_key", False, f"{text}; {remedy}")
        return Guard("no_key", True, text)

    def _left_out(self) -> Guard:
        count = sum(self.dropped.values())
        reasons = ", ".join(f"{count} {why}" for why, count in self.dropped.items())
        text = f"{count} of {self.read} records of telemetry in this stage are left out ({reasons})"
        return Guard("left_out", count <= _DROPPED * self.read, text)

    def _models(self) -> Guard:
        """What was proved of one model says nothing of another that its vendor put in its place."""
        text = "; ".join(f"{text} ({count} requests of this stage)" for text, count in sorted(self.models.items()))
        remedy = "" if not self.models_hold else "; declare what serves and evaluate it, or 'rollcast promote'"
        return Guard("model", not self.models_hold, f"{text}{remedy}")

    def _counters(self) -> Guard:
        """Release by release: a loss of the new one alone would vanish in the sum."""
        for release, (finished, shown, finished_now, shown_now) in sorted(self.finished.items()):
            lost, extra = finished - shown_now, shown - finished_now
            if lost > _AT_BORDERS + _UNCOUNTED * finished:
                text = (
                    f"{lost} of {finished} requests ({lost / finished:.1%}) that the data plane finished on {release}"
                )
                remedy = "requests that are not seen can't be judged"
                return Guard("counters", False, f"{text} in this stage never reached telemetry; {remedy}")
            if extra > _AT_BORDERS + _UNCOUNTED * shown:
                text = f"telemetry shows {shown} requests of {release} in this stage, and the data plane finished"
                remedy = "list every replica under the target's 'endpoint'"
                return Guard("counters", False, f"{text} {finished_now} ({extra / shown:.1%} more); {remedy}")
        finished, shown = (sum(counted[place] for counted in self.finished.values()) for place in (2, 3))
        return Guard("counters", True, f"telemetry shows what the data plane counts: {shown} of {finished}")

    def _compared(self) -> tuple[int, ...]:
        return (0, 1) if self.split < 1.0 else (0,)

    def _telemetry(self, now_s: float) -> Guard:
        waited_s = now_s - self.started_s
        if self.last_s == [None, None]:
            return Guard("telemetry", False, f"no telemetry since the stage began {waited_s:.0f} s ago")
        for arm in self._compared():
            last = self.last_s[arm]
            if last is None:
                text = f"no telemetry of {_ARMS[arm]} since the stage began {waited_s:.0f} s ago"
                return Guard("telemetry", False, text)
            gap = (last - self.started_s) / self.requests[arm]
            if now_s - last > max(self.stale_s, _GAPS * gap):
                text = f"the last telemetry of {_ARMS[arm]} is {now_s - last:.0f} s old: it has stopped"
                return Guard("telemetry", False, text)
        return Guard("telemetry", True, "telemetry flows")

    def _enough(self) -> Guard:
        seen = self.requests[0]
        if seen < self.min_sample:
            return Guard("min_sample", False, f"{seen} of {self.min_sample} requests seen on the new release")
        return Guard("min_sample", True, f"{seen} requests seen on the new release")

    def _missing(self, spec: GateSpec, now_s: float) -> Iterator[Guard]:
        if now_s - self.started_s < spec.label_delay_s:
            return  # no label can be expected yet; the gate itself does not pass before
        known = self.fields.get(spec.reads, (0, 0))
        absent = [arm for arm in self._compared() if self.requests[arm] and not known[arm]]
        if absent:
            whose = "" if len(absent) == len(self._compared()) else f" of {_ARMS[absent[0]]}"
            text = f"telemetry flows, but no record{whose} has '{spec.reads}' for {spec.metric}"
            yield Guard("missing_metric", False, text)

    def _one_sided(self, spec: GateSpec, new: int, old: int) -> Guard:
        text = (
            f"{spec.metric} is known for {new} users of the new release and {old} of the baseline, which does not fit"
            f" the split of {self.split * 100:g} %: outcomes go missing in one arm"
        )
        return Guard("missing_outcomes", False, text)

    def _dominant(self, by_user: Ints) -> Guard:
        for arm in self._compared():
            total = int(by_user[arm].sum())
            share = float(by_user[arm].max()) / total if total else 0.0
            if total >= _ENOUGH and share > _DOMINANT:
                text = f"one user sends {share * 100:.0f} % of the requests of {_ARMS[arm]}, which are not independent"
                return Guard("dominant_user", False, f"{text}; use 'unit: user'")
        return Guard("dominant_user", True, "no user dominates")

    def to_json(self) -> dict[str, Any]:
        return {
            "split": self.split, "started_s": self.started_s, "min_sample": self.min_sample, "stale_s": self.stale_s,
            "users": self.users.to_json(), "arms": list(self.ratio.arms), "ratio": self.ratio.to_json(),
            "requests": list(self.requests), "last_s": list(self.last_s),
            "by_user": None if self.by_user is None else [pack(arm) for arm in self.by_user],
            "fields": {name: list(known) for name, known in self.fields.items()},
            "keyless": self.keyless, "read": self.read, "dropped": dict(self.dropped),
            "finished": {release: list(counted) for release, counted in self.finished.items()},
            "models": dict(self.models), "models_hold": self.models_hold,
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Guards:
        guards = cls(data["split"], data["started_s"], data["min_sample"], data["stale_s"])
        guards.users = FirstOfUser.from_json(data["users"])
        guards.ratio = SampleRatio.from_json(data.get("ratio"), data["split"], data["arms"])
        guards.requests, guards.last_s = list(data["requests"]), list(data["last_s"])
        if data["by_user"] is not None:
            guards.by_user = np.stack([unpack(arm) for arm in data["by_user"]])
        guards.fields = {name: list(known) for name, known in data["fields"].items()}
        guards.keyless, guards.read = data.get("keyless", 0), data.get("read", 0)
        guards.dropped = dict(data.get("dropped", {}))
        guards.finished = {release: tuple(counted) for release, counted in (data.get("finished") or {}).items()}
        guards.models, guards.models_hold = dict(data.get("models", {})), data.get("models_hold", True)
        return guards
