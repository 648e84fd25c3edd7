"""Out of sample on a real service: calibrated on the first half of a run under load, forecast on the second.

The retrieval example is released with the real engine and runs as a process of its own. Requests of the recorded trace
arrive at random (Poisson) at half of what the service can do, as measured before by small bursts. The forecast gets the
arrival times of the second half and nothing else of it. That is done in several rounds, each with halves of its own,
because one stall of the machine decides a p99: the median of the rounds' errors is judged, which is what the forecast
is wrong by again and again, and how far apart they are is shown.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rollcast.simulator.base.draws import Floats
from rollcast.simulator.calibration.alone import serve_alone
from rollcast.simulator.calibration.fit_pool import fit_pool
from rollcast.simulator.traffic.formats import Rows
from rollcast.simulator.traffic.recording import Traffic, traffic_of
from tests.stacks.site import EXAMPLE, Site
from validation.open_loop import Answered, ask_all

UTILIZATION = 0.5
QUANTILES = (0.5, 0.95, 0.99)
AIMS = {"p50": 0.10, "p95": 0.20, "p99": 0.20}
_LATE_S = 10.0
_WARM, _BURSTS, _BURST, _APART_S = 200, 60, 8, 0.05
_WARM_UP = 0.1  # of a round, dropped before it is halved
ROUNDS, ROUND_S = 5, 30.0


@dataclass(frozen=True)
class Measured:
    """Per request [n], in order of arrival: arrival and latency in seconds."""

    arrival_s: Floats
    latency_s: Floats

    @classmethod
    def of(cls, arrival_s: Floats, latency_s: Floats) -> Measured:
        """Sorted, without its warm-up."""
        order = np.argsort(arrival_s, kind="stable")[int(len(arrival_s) * _WARM_UP) :]
        return cls(arrival_s[order], latency_s[order])

    def halves(self) -> tuple[Measured, Measured]:
        middle = (self.arrival_s[0] + self.arrival_s[-1]) / 2
        first = self.arrival_s < middle
        return (
            Measured(self.arrival_s[first], self.latency_s[first]),
            Measured(self.arrival_s[~first], self.latency_s[~first]),
        )

    def traffic(self) -> Traffic:
        zeros = np.zeros(len(self.arrival_s), np.int64)
        return traffic_of(Rows(self.arrival_s, zeros, zeros), "measured")

    def quantiles(self) -> dict[str, float]:
        """Seconds, and requests a second from the first arrival to the last answer."""
        found = {f"p{q * 100:g}": float(np.quantile(self.latency_s, q)) for q in QUANTILES}
        lasted_s = float((self.arrival_s + self.latency_s).max() - self.arrival_s[0])
        return {**found, "throughput": len(self.arrival_s) / lasted_s}


@dataclass(frozen=True)
class Compared:
    """The second half as measured and as forecast, and the first, which is what a forecast must do better than."""

    requests: int
    servers: int
    before: Mapping[str, float]
    measured: Mapping[str, float]
    forecast: Mapping[str, float]

    def error(self, name: str) -> float:
        return self.forecast[name] / self.measured[name] - 1

    def apart(self, name: str) -> float:
        return self.before[name] / self.measured[name] - 1


def out_of_sample(measured: Measured) -> Compared:
    """Fitted to the first half; the second half's arrivals, served by that."""
    first, second = measured.halves()
    profile = fit_pool(first.traffic(), first.latency_s).profile
    served = Measured(second.arrival_s, serve_alone(profile, second.traffic(), seed=1).latency_s)
    return Compared(
        len(measured.arrival_s), profile.concurrency, first.quantiles(), second.quantiles(), served.quantiles()
    )


# ---- the running service -------------------------------------------------------------------------


@contextmanager
def released() -> Iterator[Site]:
    """A copy of the example whose first release serves."""
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder) / "project")
        site.declare()
        with site.service():
            done = site.rollcast("apply", "--auto-approve", "--no-forecast")
            if done.returncode:
                raise SystemExit(f"The example could not be released:\n{done.stderr}")
            yield site


def questions() -> list[dict[str, Any]]:
    """The bodies that the example's own load generator sends."""
    sys.path.insert(0, str(EXAMPLE))
    try:
        import load  # type: ignore[import-not-found,unused-ignore]
    finally:
        sys.path.remove(str(EXAMPLE))
    return [dict(due.body) for due in load.rows(1)]


def capacity_per_s(site: Site, bodies: list[dict[str, Any]]) -> float:
    """Requests a second of a busy service: the median gap between answers within a burst."""
    ask_all(site.port, "/query", np.arange(_WARM) * 0.01, bodies[:_WARM])
    due = np.repeat(np.arange(_BURSTS) * _APART_S, _BURST)
    answers = ask_all(site.port, "/query", due, bodies[_WARM : _WARM + len(due)])
    gaps = np.diff(np.sort(answers.answered_s.reshape(_BURSTS, _BURST), axis=1), axis=1)
    return 1 / float(np.median(gaps))


def records(site: Site, wanted: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The service's own telemetry, by request. An outcome is written after its answer, so the last may be late."""
    until = time.monotonic() + _LATE_S
    while True:
        text = (site.folder / ".rollcast/live/telemetry/requests.jsonl").read_text("utf-8")
        known = {record["request"]: record for record in map(json.loads, text[: text.rfind("\n") + 1].splitlines())}
        if all(name in known for name in wanted) or time.monotonic() > until:
            return known
        time.sleep(0.05)


def measure(seconds: float, rounds: int) -> tuple[float, list[Compared], list[Compared]]:
    """Requests a second that were sent; by round, what the service recorded and what its callers saw, forecast."""
    bodies = questions()
    own, callers = [], []
    with released() as site:
        rate_per_s = UTILIZATION * capacity_per_s(site, bodies)
        count = int(rate_per_s * seconds)
        for seed in range(1, rounds + 1):
            due_s = np.cumsum(np.random.default_rng(seed).exponential(1 / rate_per_s, count))
            answers: Answered = ask_all(site.port, "/query", due_s, [bodies[i % len(bodies)] for i in range(count)])
            known = records(site, answers.request)
            latency_s = np.array([known[name]["latency_s"] for name in answers.request])
            ended_s = np.array([known[name]["time"] for name in answers.request])
            own.append(out_of_sample(Measured.of(ended_s - latency_s, latency_s)))
            callers.append(out_of_sample(Measured.of(answers.sent_s, answers.answered_s - answers.sent_s)))
    return rate_per_s, own, callers


def section(scale: float) -> str:
    """The running service, as a section of the validation page: some minutes under load at scale 1."""
    rounds = max(int(ROUNDS * scale), 1)
    rate_per_s, own, callers = measure(ROUND_S if scale >= 1 else 10.0, rounds)
    lines = [
        "## A running service, out of sample",
        "",
        "The retrieval example, released by the real engine, answers requests that arrive at random at half of what it",
        f"can do: {rate_per_s:.0f} a second. After the first tenth, a `pool` is fitted to the first half and forecasts",
        "the second. Records of the service hold the time in its own code; callers also wait for one another, for HTTP",
        f"and for the machine. Each figure is the median of {rounds} rounds, each with halves of its own; in brackets",
        "the least and the most. The median of the errors is judged: what the forecast is wrong by again and again.",
        "The aims are 10 % at p50 and 20 % at p95 and p99. Last, for comparison, how far the halves themselves are",
        "apart: what the machine did meanwhile no calibration can know.",
        "",
        "| of | requests | | p50 | p95 | p99 | throughput |",
        "|---|---:|---|---:|---:|---:|---:|",
    ]
    for name, found in (("the service's records", own), ("its callers", callers)):
        lines += _rows(name, found)
    return "\n".join(lines)


def _rows(name: str, found: Sequence[Compared]) -> Iterator[str]:
    def times(rounds: Sequence[Mapping[str, float]]) -> str:
        middle = {q: float(np.median([one[q] for one in rounds])) for q in names}
        return " | ".join(f"{middle[q] * 1000:.2f} ms" for q in AIMS) + f" | {middle['throughput']:.1f}/s"

    def shown(values: Sequence[float]) -> str:
        return f"{np.median(values):+.1%} ({min(values):+.1%} to {max(values):+.1%})"

    names = (*AIMS, "throughput")
    met = "met" if all(abs(np.median([one.error(q) for one in found])) < aim for q, aim in AIMS.items()) else "NOT met"
    yield f"| {name} | {sum(one.requests for one in found):,} | measured | {times([one.measured for one in found])} |"
    yield f"| | | forecast | {times([one.forecast for one in found])} |"
    yield f"| | | error, aims {met} | {' | '.join(shown([one.error(q) for one in found]) for q in names)} |"
    yield f"| | | first half against second | {' | '.join(shown([one.apart(q) for one in found]) for q in names)} |"


if __name__ == "__main__":
    sys.stdout.write(section(1.0) + "\n")
