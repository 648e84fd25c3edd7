"""An `llm` profile from recorded requests: arrival, tokens, time to first token, latency.

The scheduler is known (it is vLLM's); what is fitted is how long one of its iterations takes, as `StepTime` has it, and
the overhead of a request. A regression over what ran beside each request (`steps`) separates the coefficients; they
are then moved a little until the simulated latencies of the very same requests are nearest to the measured ones, with
every request's queueing and batching in the loop: least squares of log ratios, held near the regression, so that
coefficients keep their meaning and carry over to other workloads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from rollcast.simulator.base.draws import Floats
from rollcast.simulator.base.errors import SimulatorError
from rollcast.simulator.calibration.alone import serve_alone
from rollcast.simulator.calibration.steps import step_regression
from rollcast.simulator.engines.interface import Bools
from rollcast.simulator.stations.profiles import LlmProfile, StepTime
from rollcast.simulator.traffic.recording import Traffic

QUANTILES = (0.5, 0.9, 0.95, 0.99)
_NAMES = ("base_s", "prefill_token_s", "decode_sequence_s", "kv_token_s", "prefill_attention_s", "overhead_s")
_LEAST = np.array([1e-4, 5e-7, 1e-6, 2e-9, 5e-11, 1e-3])  # the finest scale on which a coefficient is moved
_LEAST_REQUESTS = 50
_GROUPS, _WEIGHT = 12, 2.0
_TRUST = 0.05  # in the regression: how little a coefficient may leave it without being nearer


@dataclass(frozen=True)
class Fit:
    """A fitted profile, how well it reproduces what it was fitted to, and where it was measured."""

    profile: LlmProfile
    errors: Mapping[str, float]  # relative error of each quantile, as "latency p95"
    requests: int
    input_tokens: tuple[int, int]  # the range that was measured
    output_tokens: tuple[int, int]
    rate_per_s: float


def fit_llm(
    traffic: Traffic, first_token_s: Floats, latency_s: Floats, *, known: LlmProfile | None = None, replicas: int = 1
) -> Fit:
    """The profile under which `traffic` would have been served as it was measured.

    `known` gives what is configured and not fitted: max_sequences, max_batched_tokens, kv_tokens, prefix_tokens.
    first_token_s and latency_s [n] are seconds since arrival. Raises SimulatorError with too few requests.
    """
    usable = np.isfinite(latency_s) & np.isfinite(first_token_s) & (latency_s > 0) & (first_token_s > 0)
    if int(usable.sum()) < _LEAST_REQUESTS:
        raise SimulatorError(
            f"Only {int(usable.sum())} requests have a time to first token and a latency; {_LEAST_REQUESTS} are the "
            "least that can be fitted. Record more."
        )
    start = known or LlmProfile(step=StepTime(base_s=1e-3))
    view = _View(traffic, usable)
    measured = view.of(first_token_s, latency_s)
    guess = step_regression(traffic, first_token_s, latency_s, usable)
    unit = np.maximum(guess, _LEAST)

    def residuals(logs: Floats) -> Floats:
        served = serve_alone(_with(start, unit * np.exp(logs)), traffic, replicas=replicas)
        difference: Floats = np.nan_to_num(view.of(served.first_token_s, served.latency_s) - measured, nan=3.0)
        return np.concatenate([difference, _TRUST * logs])

    found = least_squares(residuals, np.zeros(len(unit)), diff_step=0.02, x_scale=0.1, max_nfev=25)
    profile = _with(start, unit * np.exp(found.x))
    served = serve_alone(profile, traffic, replicas=replicas)
    errors = quantile_errors("latency", served.latency_s, latency_s)
    errors |= quantile_errors("time to first token", served.first_token_s, first_token_s)
    return Fit(
        profile, errors, int(usable.sum()), _range(traffic.input_tokens), _range(traffic.output_tokens),
        len(traffic) / traffic.span_s,
    )  # fmt: skip


class _View:
    """What of the latencies is compared: logs of quantiles, for the whole and for groups alike in length or in time.

    Single requests would be too much: whether one just catches a step or just misses it is chance.
    """

    def __init__(self, traffic: Traffic, usable: Bools) -> None:
        rows = np.flatnonzero(usable)
        by_length = rows[np.argsort(traffic.input_tokens[rows], kind="stable")]
        by_answer = rows[np.argsort(traffic.output_tokens[rows], kind="stable")]
        self.rows = rows
        self.lengths, self.moments = np.array_split(by_length, _GROUPS), np.array_split(rows, _GROUPS)
        self.answers = np.array_split(by_answer, _GROUPS)
        self.more = np.maximum(traffic.output_tokens - 1, 1)

    def of(self, first_s: Floats, latency_s: Floats) -> Floats:
        between = (latency_s - first_s) / self.more
        parts = [np.log(np.nanquantile(values[self.rows], QUANTILES)) * _WEIGHT for values in (first_s, latency_s)]
        parts += [np.log(np.nanquantile(first_s[group], (0.1, 0.5, 0.9))) for group in self.lengths]
        parts += [np.log(np.nanquantile(latency_s[group], (0.5, 0.9))) for group in self.answers]
        parts += [np.log(np.nanquantile(between[group], (0.5,)) + 1e-9) for group in self.moments]
        return np.concatenate(parts)


def _with(profile: LlmProfile, values: Floats) -> LlmProfile:
    plain = [float(max(value, 0.0)) for value in values]
    step = StepTime(**dict(zip(_NAMES[:5], [max(plain[0], 1e-6), *plain[1:5]], strict=True)))
    return profile.model_copy(update={"step": step, "overhead_s": plain[5]})


def _range(values: np.ndarray[tuple[int], np.dtype[np.int64]]) -> tuple[int, int]:
    return int(values.min()), int(values.max())


def quantile_errors(name: str, simulated: Floats, measured: Floats) -> dict[str, float]:
    """Relative error of p50, p90, p95 and p99."""
    found = {}
    for q in QUANTILES:
        truth = float(np.nanquantile(measured, q))
        found[f"{name} p{q * 100:g}"] = float(np.nanquantile(simulated, q)) / truth - 1
    return found
