"""Stations against queueing theory: what is simulated must contain what is proved.

Each row compares a long simulation with a formula. Intervals are 99 % by batch means (Law, Simulation Modeling and
Analysis, section 9.5), so about one row in a hundred may miss by chance alone; seeds are fixed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import stdtrit

from rollcast.simulator.base.draws import Floats, Ints
from rollcast.simulator.calibration.alone import Served, serve_alone
from rollcast.simulator.stations.distributions import Distribution
from rollcast.simulator.stations.profiles import Cache, LlmProfile, PoolProfile, StepTime
from rollcast.simulator.traffic.recording import Traffic

_BATCHES = 40
_RATE = 1.0  # requests a second, everywhere


@dataclass(frozen=True)
class Check:
    """One formula and its simulation."""

    name: str
    formula: float
    simulated: float
    half_width: float
    allowed: float = 0.0  # of an approximation's own error, where the formula is one

    @property
    def ok(self) -> bool:
        return abs(self.formula - self.simulated) <= self.half_width + self.allowed * abs(self.formula)


def poisson(requests: int, seed: int, output_tokens: Ints | None = None, query: Ints | None = None) -> Traffic:
    """Requests that arrive at random, one a second on average."""
    random = np.random.default_rng(seed)
    zeros = np.zeros(requests, np.int64)
    arrival = np.cumsum(random.exponential(1 / _RATE, requests))
    return Traffic(
        arrival_s=arrival, input_tokens=zeros, output_tokens=zeros if output_tokens is None else output_tokens,
        key=zeros, keys=("user",), attributes=zeros, classes=({},), query=zeros if query is None else query,
        span_s=float(arrival[-1]) + 1,
    )  # fmt: skip


def batch_means(values: Floats) -> tuple[float, float]:
    """Mean and half width of its 99 % interval, the first tenth left out as warm-up."""
    kept = values[len(values) // 10 :]
    means = np.array([batch.mean() for batch in np.array_split(kept, _BATCHES)])
    return float(means.mean()), float(stdtrit(_BATCHES - 1, 0.995) * means.std(ddof=1) / math.sqrt(_BATCHES))


def _pool(service: Distribution, servers: int = 1, queue: int | None = None) -> PoolProfile:
    return PoolProfile(concurrency=servers, service_s=service, queue=queue)


def _waits(served: Served) -> Floats:
    return served.visits.start_s[:, 0] - served.visits.arrive_s[:, 0]


def erlang_c(load: float, servers: int) -> float:
    """Probability of waiting in M/M/c (Erlang 1917)."""
    terms = [load**k / math.factorial(k) for k in range(servers)]
    last = load**servers / math.factorial(servers) * servers / (servers - load)
    return last / (sum(terms) + last)


def erlang_b(load: float, servers: int) -> float:
    """Probability of being turned away in M/M/c/c."""
    terms = [load**k / math.factorial(k) for k in range(servers + 1)]
    return terms[-1] / sum(terms)


def waiting_times(requests: int) -> Iterator[Check]:
    """Mean waits: M/M/1, M/M/c, M/G/1 and M/D/1."""
    mean = 0.8
    exponential = Distribution(distribution="exponential", mean=mean)
    wait = mean * mean / (1 - mean)
    yield Check("M/M/1, load 0.8: mean wait, s", wait, *batch_means(_waits(_run(_pool(exponential), requests, 1))))
    for servers in (2, 8):
        each = 0.75 * servers
        found = _run(_pool(Distribution(distribution="exponential", mean=each), servers), requests, servers)
        wait = erlang_c(each, servers) * each / (servers - each)
        yield Check(f"M/M/{servers}, load 0.75: mean wait, s (Erlang C)", wait, *batch_means(_waits(found)))
    for cv in (0.5, 1.5):
        service = Distribution(distribution="lognormal", mean=0.7, cv=cv)
        wait = 0.7**2 * (1 + cv**2) / (2 * (1 - 0.7))
        name = f"M/G/1, lognormal with cv {cv}, load 0.7: mean wait, s (Pollaczek-Khinchine)"
        yield Check(name, wait, *batch_means(_waits(_run(_pool(service), requests, 7))))
    constant = Distribution(distribution="constant", mean=0.8)
    wait = 0.8**2 / (2 * (1 - 0.8))
    yield Check("M/D/1, load 0.8: mean wait, s", wait, *batch_means(_waits(_run(_pool(constant), requests, 3))))


def _run(profile: PoolProfile, requests: int, seed: int) -> Served:
    return serve_alone(profile, poisson(requests, seed), seed=seed)


def blocking(requests: int) -> Iterator[Check]:
    """Requests turned away, which depend on the mean service time alone."""
    for name, service in (
        ("exponential", Distribution(distribution="exponential", mean=4.0)),
        ("lognormal", Distribution(distribution="lognormal", mean=4.0, cv=1.5)),
    ):
        served = _run(_pool(service, 5, 0), requests, 11)
        lost = np.isnan(served.latency_s).astype(np.float64)
        yield Check(f"M/G/5/5, {name}: turned away (Erlang B)", erlang_b(4.0, 5), *batch_means(lost))


def sharing(requests: int) -> Iterator[Check]:
    """An llm station whose step takes time in proportion to its batch shares its processor: E T = E S / (1 - load).

    True whatever the lengths of answers are (insensitivity; Kleinrock, Queueing Systems II, section 4.4), up to the
    length of a token: the formula is of the limit of many short ones.
    """
    load, tokens = 0.6, 120
    each = load / tokens
    step = StepTime(base_s=0.0, prefill_token_s=each, decode_sequence_s=each)
    profile = LlmProfile(step=step, max_sequences=512, max_batched_tokens=4096, kv_tokens=10_000_000)
    random = np.random.default_rng(5)
    lengths: dict[str, Callable[[], Ints]] = {
        "constant": lambda: np.full(requests, tokens),
        "geometric": lambda: random.geometric(1 / tokens, requests),
        "two lengths": lambda: np.where(random.random(requests) < 0.9, tokens // 2, tokens * 11 // 2),
    }
    for name, drawn in lengths.items():
        served = serve_alone(profile, poisson(requests, 13, drawn().astype(np.int64)))
        yield Check(
            f"processor sharing, answers of {name} length: mean time, s", load / (1 - load),
            *batch_means(served.latency_s), allowed=0.02,
        )  # fmt: skip


def che(popularity: Floats, entries: int) -> float:
    """Hit rate of a least-recently-used cache under independent references (Che, Tung and Wang 2002)."""

    def filled(t: float) -> float:
        return float((1 - np.exp(-popularity * t)).sum()) - entries

    t = brentq(filled, 0.0, 1e9)
    return float((popularity * (1 - np.exp(-popularity * t))).sum())


def caching(requests: int) -> Iterator[Check]:
    """Hits of a cache whose queries have Zipf's popularity."""
    popularity = 1.0 / np.arange(1, 2001)
    popularity /= popularity.sum()
    query = np.random.default_rng(17).choice(len(popularity), size=requests, p=popularity).astype(np.int64)
    for entries in (50, 400):
        profile = PoolProfile(concurrency=1000, cache=Cache(entries=entries))
        served = serve_alone(profile, poisson(requests, 19, query=query))
        hits = (served.visits.uses[:, 0] == 0).astype(np.float64)
        name = f"LRU cache of {entries} for 2,000 queries: hits (Che's approximation)"
        yield Check(name, che(popularity, entries), *batch_means(hits), allowed=0.01)


def little(requests: int) -> Iterator[Check]:
    """Little's law: the mean number at a station, integrated over time, is the rate times the mean stay."""
    step = StepTime(base_s=0.01, decode_sequence_s=0.001)
    stations = (
        ("pool", _pool(Distribution(distribution="exponential", mean=1.5), 2)),
        ("llm", LlmProfile(step=step, max_sequences=64, max_batched_tokens=512)),
    )
    for name, profile in stations:
        traffic = poisson(requests, 23, np.full(requests, 50, np.int64))
        served = serve_alone(profile, traffic, seed=2)
        events = np.concatenate([traffic.arrival_s, served.done_s])
        change = np.concatenate([np.ones(requests), -np.ones(requests)])
        order = np.argsort(events, kind="stable")
        gaps = np.diff(events[order])
        number = float((np.cumsum(change[order])[:-1] * gaps).sum() / gaps.sum())
        by_law = requests / float(gaps.sum()) * float(served.latency_s.mean())
        yield Check(f"Little's law at a {name}: mean number", by_law, number, 1e-6 * number)


def checks(scale: float = 1.0) -> list[Check]:
    """All of them; at scale 1 of half a million requests each."""
    requests = max(int(500_000 * scale), 20_000)
    parts = (waiting_times, blocking, caching, little)
    found = [check for part in parts for check in part(requests)]
    return [*found, *sharing(max(requests // 5, 20_000))]


def section(scale: float) -> str:
    """The simulator's stations against theory, as a section of the validation page."""
    rows = [
        f"| {c.name} | {c.formula:.4f} | {c.simulated:.4f} ± {c.half_width:.4f} | {'yes' if c.ok else 'NO'} |"
        for c in checks(scale)
    ]
    return "\n".join(
        [
            "## Stations against queueing theory",
            "",
            "Long simulations (compiled engine; the reference engine gives the same times bit for bit) beside the",
            "formula, with 99 % intervals by batch means. The two approximations (Che's, and processor sharing in the",
            "limit of short tokens) are allowed 1 % and 2 % of their own.",
            "",
            "| what | formula | simulated | covered |",
            "|---|---:|---:|---|",
            *rows,
        ]
    )
