"""Measurements that a profile is fitted to, and how far a profile's own latencies are from them.

Two distances, both of logarithms of ratios: `loss`, of single requests (a robust one: whether a request just catches a
step or just misses it is chance) and of quantiles over all, is what a fit makes least; `view`, of quantiles in groups
alike in length or in time, moves smoothly with the coefficients, so that its slopes say which of them are determined.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from rollcast.simulator.base.draws import Floats
from rollcast.simulator.calibration.alone import Served, serve_alone
from rollcast.simulator.engines.interface import Bools
from rollcast.simulator.stations.profiles import LlmProfile
from rollcast.simulator.traffic.recording import Traffic

QUANTILES = (0.5, 0.9, 0.95, 0.99)
_GROUPS = 12
_FINE = 0.005  # a request that is nearer than this is as good as equal
_GROUPED = 20.0  # weight of groups beside single requests
_LOST = 3.0  # the logarithm that a request counts which the profile doesn't serve
_WEIGHTS = {"latency": (2.0, 4.0), "first": (1.0, 4.0), "between": (2.0, 0.0)}  # of single requests, of quantiles


@dataclass(frozen=True)
class Measured:
    """Requests and their latencies. first_token_s and latency_s [n] are seconds since arrival, NaN where not known.

    All of `traffic` is served; only requests in `fitted` [n] are compared.
    """

    traffic: Traffic
    first_token_s: Floats
    latency_s: Floats
    fitted: Bools

    @classmethod
    def of(cls, traffic: Traffic, first_token_s: Floats, latency_s: Floats) -> Measured:
        """All requests that have both times."""
        known = np.isfinite(latency_s) & np.isfinite(first_token_s) & (latency_s > 0) & (first_token_s > 0)
        return cls(traffic, first_token_s, latency_s, known)

    def halves(self) -> tuple[Measured, Measured]:
        """The same recording with the first, and with the second half of its requests to be compared.

        Both are served from the beginning, so the second half finds the server as the first has left it.
        """
        first = np.arange(len(self.traffic)) < len(self.traffic) // 2
        return replace(self, fitted=self.fitted & first), replace(self, fitted=self.fitted & ~first)

    def beginning(self, most: int) -> Measured:
        """Its first requests, at most so many of those that are compared."""
        counted = np.cumsum(self.fitted)
        if counted[-1] <= most:
            return self
        upto = int(np.searchsorted(counted, most)) + 1
        traffic = self.traffic.between(0.0, float(self.traffic.arrival_s[min(upto, len(self.traffic) - 1)]))
        own = slice(len(traffic))
        return Measured(traffic, self.first_token_s[own], self.latency_s[own], self.fitted[own])

    def serve(self, profile: LlmProfile, replicas: int) -> Served:
        """What the profile makes of the whole recording."""
        return serve_alone(profile, self.traffic, replicas=replicas)

    def _times(self, first_s: Floats, latency_s: Floats) -> dict[str, Floats]:
        own, more = self.fitted, np.maximum(self.traffic.output_tokens - 1, 1)[self.fitted]
        first, latency = first_s[own], latency_s[own]
        return {"latency": latency, "first": first, "between": np.maximum(latency - first, 1e-9) / more}

    def loss(self, served: Served) -> float:
        """How far the served latencies are from the measured ones; 0 is equal."""
        found = self._times(served.first_token_s, served.latency_s)
        measured = self._times(self.first_token_s, self.latency_s)
        several = self.traffic.output_tokens[self.fitted] > 1
        total = 0.0
        for name, (each, whole) in _WEIGHTS.items():
            one, two = (values[several] if name == "between" else values for values in (found[name], measured[name]))
            if not len(one):
                continue
            off = np.nan_to_num(np.log(one / two), nan=_LOST)
            total += each * float(np.mean(np.sqrt(_FINE**2 + off**2) - _FINE))
            if whole:
                total += whole * float(np.square(_summary(one, two)).sum())
        return total + _GROUPED * float(np.square(self.view(served) - self.view_measured()).mean())

    def view(self, served: Served) -> Floats:
        """Logarithms of medians in groups, as served."""
        return self._view(self._times(served.first_token_s, served.latency_s))

    def view_measured(self) -> Floats:
        """The same as measured."""
        return self._view(self._times(self.first_token_s, self.latency_s))

    def _view(self, times: Mapping[str, Floats]) -> Floats:
        traffic, own = self.traffic, self.fitted
        by_prompt = np.array_split(np.argsort(traffic.input_tokens[own], kind="stable"), _GROUPS)
        by_answer = np.array_split(np.argsort(traffic.output_tokens[own], kind="stable"), _GROUPS)
        in_time = np.array_split(np.arange(int(own.sum())), _GROUPS)
        listed = [("first", by_prompt), ("latency", by_answer), ("between", in_time), ("first", in_time)]
        groups = [times[name][rows] for name, parts in listed for rows in parts if len(rows)]
        return np.array([np.log(np.nanmedian(values)) if np.isfinite(values).any() else _LOST for values in groups])

    def errors(self, served: Served) -> dict[str, float]:
        """Relative errors of mean and quantiles over the compared requests."""
        found = self._times(served.first_token_s, served.latency_s)
        measured = self._times(self.first_token_s, self.latency_s)
        names = {"latency": "latency", "first": "time to first token", "between": "time per output token"}
        return {
            label: error
            for name, said in names.items()
            for label, error in quantile_errors(said, found[name], measured[name], mean=True).items()
        }


def _summary(found: Floats, measured: Floats) -> Floats:
    """Log ratios of the mean and of quantiles. What the profile doesn't serve counts as very slow."""
    slow = np.nan_to_num(found, nan=float(np.exp(_LOST)) * float(measured.max()))
    ratios = [np.mean(slow) / np.mean(measured)]
    ratios += [np.quantile(slow, q) / np.quantile(measured, q) for q in QUANTILES]
    return np.log(np.array(ratios))


def quantile_errors(name: str, simulated: Floats, measured: Floats, *, mean: bool = False) -> Mapping[str, float]:
    """Relative error of p50, p90, p95 and p99; with `mean`, of the mean before them."""
    found = {}
    if mean:
        found[f"{name} mean"] = float(np.nanmean(simulated)) / float(np.nanmean(measured)) - 1
    for q in QUANTILES:
        truth = float(np.nanquantile(measured, q))
        found[f"{name} p{q * 100:g}"] = float(np.nanquantile(simulated, q)) / truth - 1
    return found
