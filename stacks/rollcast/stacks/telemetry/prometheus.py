"""Telemetry in Prometheus: `kind: prometheus`, `url` with the server; `path` chooses series, e.g. `{job="rag"}`.

Read by PromQL from counters with a `release` label, and optionally `channel` and `audience`:

- `rollcast_requests_total`: requests that ended;
- `rollcast_<field>_total` for outcome fields that are true or false (error, violation, hallucination, rejected);
- `rollcast_<field>_bucket`, a classic histogram with `le`, for others (latency_s, ttft_s, cost_usd).

What counters grew by between two reads becomes that many outcomes. They ended some time after the scrape that the
last read saw: what may have ended before a stage began is none of its outcomes. Limits: a counter knows no users, so
each request is a user of its own (declare `unit: request` to say so) and the split can't be judged; it knows no single
request, so which components served is not checked and one request can't be audited; an outcome of a histogram is the
upper bound of its bucket. A counter that restarts goes on from its new value. Counters that nobody had seen when
reading began (there was no series at all) begin at their first value: what was counted before a server is watched is no
outcome of the release.

A cursor holds the counters and the server's time. Reading up to one asks the server for the series of that time, and
takes the counters from the cursor: a scrape that was under way then is not added afterwards.
"""

from __future__ import annotations

import math
import random
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
from pydantic import BaseModel, Field, ValidationError

from rollcast.plugins.settings import Settings
from rollcast.stacks.base.bounded_http import bounded, certificates_for
from rollcast.stacks.base.errors import StackError, first_mistake
from rollcast.stacks.base.secrets import filled, without_password
from rollcast.stacks.base.strict_json import strict_json
from rollcast.stacks.telemetry import Cursor, RequestRecord, TelemetryBatch

_TIMEOUT_S = 10.0
_REQUESTS = "rollcast_requests_total"
_MOST = 100_000
_MOST_BYTES = 64 * 1024 * 1024
_LARGEST = 1e15  # of a counter: what is larger, negative or NaN is none
Series = tuple[tuple[str, str], ...]


class _Sample(BaseModel):
    """One series of an instant vector, with (the server's time, value)."""

    metric: dict[str, str] = Field(default_factory=dict)
    value: tuple[float, float]


class _Result(BaseModel):
    result: list[_Sample] = Field(default_factory=list)


class _Answer(BaseModel):
    """An answer of Prometheus' HTTP API, `/api/v1/query`."""

    status: str
    error: str = ""
    data: _Result = _Result()


class PrometheusSettings(Settings):
    """A Prometheus server."""

    url: str = Field(min_length=1, description="the server, for example http://prometheus:9090; ${NAME} is filled in")
    path: str = Field("", description='which series, for example {job="rag"}; else all of rollcast')


class Prometheus:
    """A Prometheus server."""

    settings_model = PrometheusSettings

    knows_requests = False

    def __init__(self, settings: PrometheusSettings, root: Path) -> None:
        self._url = filled(settings.url).rstrip("/")
        self._matchers = settings.path.strip("{} ") if settings.path.startswith("{") else ""
        self._client = bounded(
            httpx.Client(timeout=_TIMEOUT_S, trust_env=False, verify=certificates_for(self._url)), _MOST_BYTES
        )
        self._shown = without_password(self._url)

    def end(self) -> Cursor:
        series, at_s = self._series()
        values = {_key(labels): value for labels, value in series}
        return {"values": values, "count": 0, "at_s": at_s, "scraped_s": self._scraped_s(at_s)}

    def find(self, request: str) -> RequestRecord | None:
        raise StackError("Prometheus knows counts, not single requests. Search the data plane's own log for this id.")

    def read(self, cursor: Cursor, until: Cursor | None = None) -> TelemetryBatch:
        known: dict[str, float] = dict(cursor.get("values", {}))
        grown: dict[Series, dict[str, int]] = defaultdict(dict)
        since_s = float(cursor.get("at_s", 0.0))
        if until is not None and float(until.get("at_s", 0.0)) < since_s:
            return TelemetryBatch(cursor=cursor)
        series, at_s = self._series(until)
        flags = {labels["__name__"] for labels, _ in series if labels["__name__"].endswith("_total")}
        for labels, value in series:
            key = _key(labels)
            before = known.get(key, 0.0 if known else value)
            delta = round(value - before if value >= before else value)
            known[key] = value
            if delta > 0:
                about = tuple(sorted((k, v) for k, v in labels.items() if k in ("release", "channel")))
                column = labels["__name__"] + (f"|{labels['le']}" if "le" in labels else "")
                grown[about][column] = grown[about].get(column, 0) + delta
        count = int(cursor.get("count", 0))
        ended_since_s = float(cursor.get("scraped_s") or since_s)
        batch = TelemetryBatch(cursor={"values": known, "count": count, "at_s": max(at_s, since_s)})
        batch.cursor["scraped_s"] = self._scraped_s(at_s) if until is None else until.get("scraped_s", 0.0)
        now = time.time()
        for about, columns in grown.items():
            # A client shows a counter only once it has counted: where another release has it, absent means none.
            for values in _outcomes({**dict.fromkeys(flags, 0), **columns}, count):
                count += 1
                batch.requests.append(_request(f"prometheus-{count}", now, ended_since_s, dict(about), values))
        batch.cursor["count"] = count
        return batch

    def _series(self, until: Cursor | None = None) -> tuple[list[tuple[dict[str, str], float]], float]:
        """Every series of rollcast with its newest value, or with that of a cursor; and the server's time of it."""
        if until is None:
            found = list(self._query({}))
            return [(labels, value) for labels, value, _ in found], max((at_s for *_, at_s in found), default=0.0)
        at_s, values = float(until.get("at_s", 0.0)), until.get("values", {})
        named = ((labels, _key(labels)) for labels, *_ in self._query({"time": str(at_s)} if at_s else {}))
        return [(labels, float(values[key])) for labels, key in named if key in values], at_s

    def _scraped_s(self, at_s: float) -> float:
        """When the oldest of the counts that the server shows at a time was scraped, by its clock; 0 for none."""
        query = "min(timestamp(" + self._selector(f'__name__="{_REQUESTS}"') + "))"
        found = self._ask({"query": query, **({"time": str(at_s)} if at_s else {})})
        return found[0].value[1] if found and math.isfinite(found[0].value[1]) else 0.0

    def _selector(self, name: str) -> str:
        return "{" + ",".join(filter(None, [name, 'release!=""', self._matchers])) + "}"

    def _query(self, when: Mapping[str, str]) -> Iterator[tuple[dict[str, str], float, float]]:
        """(labels, value, the server's time) of every series of rollcast."""
        for item in self._ask({"query": self._selector('__name__=~"rollcast_.+_(total|bucket)"'), **when}):
            at_s, value = item.value
            if math.isfinite(at_s) and 0 <= value < _LARGEST and "__name__" in item.metric:
                yield item.metric, value, at_s

    def _ask(self, params: Mapping[str, str]) -> list[_Sample]:
        try:
            reply = self._client.get(f"{self._url}/api/v1/query", params=dict(params))
            data = strict_json(reply.content)
        except httpx.InvalidURL:  # whose words may quote a password
            raise StackError(f"'{self._shown}' is no address of a Prometheus server. Correct 'url'.") from None
        except (httpx.HTTPError, ValueError) as error:
            raise StackError(
                f"Prometheus at {self._shown} doesn't answer ({error or type(error).__name__}). Make it reachable."
            ) from None
        try:
            answer = _Answer.model_validate(data)
        except ValidationError as error:
            place, said = first_mistake(error, "the answer")
            raise StackError(
                f"What answers at {self._shown} is no Prometheus server ('{place}': {said}). Correct 'url'."
            ) from None
        if answer.status != "success":
            raise StackError(f"Prometheus refused the query ({answer.error or reply.status_code}). Correct 'path'.")
        return answer.data.result


def _key(labels: Mapping[str, str]) -> str:
    return ",".join(f"{name}={value}" for name, value in sorted(labels.items()))


def _outcomes(columns: Mapping[str, int], seed: int) -> Iterator[dict[str, float]]:
    """As many outcomes as requests ended. Which value of one field goes with which of another is not known."""
    total = min(columns.get(_REQUESTS, 0), _MOST)
    fields: dict[str, list[float]] = {}
    for column, count in columns.items():
        name = column.removeprefix("rollcast_").partition("|")[0]
        if name.endswith("_total") and column != _REQUESTS:
            true = min(count, total)
            fields[name.removesuffix("_total")] = [1.0] * true + [0.0] * (total - true)
    for field in {c.partition("|")[0] for c in columns if "|" in c}:
        fields[field.removeprefix("rollcast_").removesuffix("_bucket")] = _bucketed(field, columns)
    for name, values in sorted(fields.items()):
        random.Random(f"{seed}/{name}").shuffle(values)  # the order within one read says nothing
    for index in range(total):
        yield {name: values[index] for name, values in fields.items() if index < len(values)}


def _bucketed(field: str, columns: Mapping[str, int]) -> list[float]:
    """What a histogram's cumulative buckets grew by, as values: each the upper bound of its bucket."""
    bounds = sorted((float(c.partition("|")[2]), n) for c, n in columns.items() if c.startswith(f"{field}|"))
    values: list[float] = []
    below = 0
    finite = [bound for bound, _ in bounds if bound != float("inf")]
    for bound, count in bounds:
        shown = bound if bound != float("inf") else 2 * (finite[-1] if finite else 1.0)
        values += [shown] * max(0, min(count - below, _MOST))
        below = max(below, count)
    return values


def _request(
    name: str, time_s: float, since_s: float, about: Mapping[str, str], values: Mapping[str, float]
) -> RequestRecord:
    return RequestRecord(
        id=name,
        time_s=time_s,
        key=name,
        channel=about.get("channel", "default"),
        release=about.get("release"),
        components=None,
        attributes={},
        values=values,
        since_s=since_s,
    )
