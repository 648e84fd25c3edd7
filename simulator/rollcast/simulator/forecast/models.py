"""The forecast: what is expected to happen if a plan is applied, with intervals, and what it rests on.

Long because it is the whole public form of a forecast, and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

FORMAT_VERSION = "1.0"
Interval = tuple[float, float]
Proof = Literal["compared", "uncompared", "unserved"]
UNPROVED: Mapping[Proof, str] = {  # what an end proves nothing by -> what every output says of it
    "unserved": "nothing was proved: no request of the traffic reached what the plan brings",
    "uncompared": "nothing was proved: nothing is live to compare with, so it goes through whatever it does",
}


class Part(BaseModel):
    """A frozen part of a forecast. Readers ignore fields that they don't know."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class OutcomeForecast(Part):
    """Probabilities of the three ends of a rollout."""

    promoted: float
    rolled_back: float
    held: float


class OutcomeIntervals(Part):
    """95 % intervals of those probabilities, for this many runs."""

    promoted: Interval
    rolled_back: Interval
    held: Interval


class Duration(Part):
    """Seconds from the start of the rollout to its end."""

    p50: float
    p95: float
    interval: Interval | None = Field(None, description="where 95 % of runs are, from twenty of them on")


class TimeToEnd(Part):
    """Seconds to each end, over the runs that ended so; None where no run did."""

    promoted: Duration | None = None
    rolled_back: Duration | None = None
    held: Duration | None = None


class MetricForecast(Part):
    """One metric of one audience: without the rollout (`baseline`) and with it, over the same requests.

    `interval` holds the difference with probability 95 %. `limit` is the baseline and the margin of its gate; None
    where no gate watches the metric. None stands for a value that does not exist.
    """

    name: str
    audience: str
    baseline: float | None
    rollout: float | None
    difference: float | None
    interval: Interval | None
    limit: float | None = None
    ok: bool = True


class Exposure(Part):
    """Who is served by a new release that is not yet proved: mean over runs, and 95 % of runs."""

    requests: float
    users: float
    requests_interval: Interval | None = None
    users_interval: Interval | None = None


class CapacityCost(Part):
    """What instances cost from the start of the rollout to its end, at the environment's prices, in US dollars.

    `baseline_usd` is what they cost in the same time without the rollout. What requests cost is the metric `cost_usd`.
    """

    usd: float
    usd_interval: Interval | None = None
    baseline_usd: float
    before_usd_per_hour: float
    most_usd_per_hour: float = Field(description="at the dearest moment of any run")
    after_usd_per_hour: float = Field(description="once the plan is carried out")


class Detection(Part):
    """How this rollout would catch a regression of this size: with what probability, after how long, at what cost."""

    metric: str
    regression: float
    probability: float
    seconds: float | None
    requests_exposed: float | None
    users_exposed: float | None = None
    probability_interval: Interval | None = None
    component: str = ""
    seconds_interval: Interval | None = Field(None, description="where 95 % of the replays that were caught are")
    requests_interval: Interval | None = None
    users_interval: Interval | None = None
    replays: int = Field(0, description="how often it was replayed; 0: a forecast that did not keep that")
    users_harmed: float | None = Field(None, description="whom it served: mean over all replays, also those not caught")

    @property
    def caught(self) -> int:
        """In how many of the replays."""
        return round(self.probability * self.replays)


class StageForecast(Part):
    """One milestone: how likely it is reached, how long it lasts, how its audience fares against no rollout."""

    milestone: int
    title: str
    reached: float
    seconds: float | None
    seconds_interval: Interval | None = None
    requests: float
    exposed: float
    metrics: tuple[MetricForecast, ...] = ()
    entered_s: float | None = Field(None, description="seconds from the start of the rollout to this milestone")
    entered_interval_s: Interval | None = None
    requests_interval: Interval | None = None
    exposed_interval: Interval | None = None


class Moment(Part):
    """A slice of time of the first run: requests that arrived, in all and by the release that they were sent to."""

    start_s: float
    seconds: float
    requests: int
    releases: dict[str, int] = Field(default_factory=dict)
    share_intervals: dict[str, Interval] = Field(
        default_factory=dict, description="part of the requests that a release serves then, in 95 % of runs"
    )


class Known(Part):
    """What a gate knew at a look of the first run: at `e_value_limit` harm is proved, and the rollout goes back."""

    at_s: float
    milestone: int
    metric: str
    difference: float | None = Field(description="new minus baseline, in the metric's unit")
    margin: float
    e_value_harm: float | None
    e_value_limit: float


class StationForecast(Part):
    """One instance: how busy it is, and since when it can't keep up where it can't."""

    station: str
    component: str
    artifact: str
    utilization: float
    requests: float
    longest_queue: float
    behind_since_s: float | None = None
    headroom: float | None = Field(None, description="times the traffic that would keep it busy all the time")
    utilization_interval: Interval | None = None
    queue_interval: Interval | None = Field(None, description="of its longest queue")


class Reason(Part):
    """Why a rollout did not end with a promotion, and how often."""

    metric: str
    probability: float
    example: str


class Moved(Part):
    """Recorded requests that another track takes after the plan, and by how many users."""

    source: str
    target: str
    line: str = Field("", description="the track that carries them across")
    moves: str
    from_release: str
    to_release: str
    requests: int
    users: int
    share: float = Field(description="part of the users of the pipeline, 0 to 1")


class Forecast(Part):
    """What `rollcast simulate` says. `to_json` is the public form."""

    format_version: str = FORMAT_VERSION
    plan_digest: str
    seed: int
    runs: int
    engine: str
    outcome: OutcomeForecast
    duration_s: Duration
    requests: int
    proof: Proof = Field("compared", description="what its end rests on: `unserved`: no request reached what the plan "
                         "brings; `uncompared`: nothing was live to compare with")  # fmt: skip
    metrics: tuple[MetricForecast, ...]
    exposure: Exposure
    capacity_cost: CapacityCost | None = Field(None, description="None where the environment declares no prices")
    detection: tuple[Detection, ...] = ()
    stages: tuple[StageForecast, ...] = ()
    assumptions: tuple[str, ...] = ()
    outcome_interval: OutcomeIntervals | None = None
    ends_after_s: TimeToEnd = Field(TimeToEnd(), description="time to promotion, to rollback, and to a hold")
    duration_interval_s: Interval | None = None
    requests_replayed: float = 0.0
    traffic: str = ""
    pipeline: str = ""
    environment: str = ""
    reasons: tuple[Reason, ...] = ()
    stations: tuple[StationForecast, ...] = ()
    warnings: tuple[str, ...] = Field((), description="what makes a number of this forecast doubtful")
    timeline: tuple[Moment, ...] = Field((), description="traffic over time in the first run")
    evidence: tuple[Known, ...] = Field((), description="what gates knew over time in the first run")
    moved: tuple[Moved, ...] = Field((), description="who goes another way by the routes that are declared")
    runs_asked: int = 0
    interrupted: bool = False

    def to_json(self) -> dict[str, Any]:
        """The public JSON form: numbers are finite, what does not exist is null."""
        plain: dict[str, Any] = _finite(self.model_dump(mode="json"))
        return plain

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Forecast:
        """A forecast in its public form. Unknown fields are ignored. Raises ValueError on another major version."""
        major = str(data.get("format_version", "")).split(".")[0]
        if major != FORMAT_VERSION.split(".")[0]:
            raise ValueError(f"forecast format {data.get('format_version')!r} is not {FORMAT_VERSION}; simulate again")
        return cls.model_validate(data)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
