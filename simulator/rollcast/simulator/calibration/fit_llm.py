"""An `llm` profile from recorded requests: arrival, tokens, time to first token, latency.

The scheduler is known (it is vLLM's); what is fitted is how long one of its iterations takes, as `StepTime` has it, and
the overhead of a request. Every recorded request is served by the simulator with every other in its way, and the
coefficients are moved until the latencies are nearest to the measured ones (`measured.loss`). Whether a request catches
a step is a jump, so no slopes are used: COBYQA (Ragonneau and Zhang, https://www.cobyqa.com), a trust region over
quadratic models, on logarithms, from physical values: what an accelerator's figures say, what a regression over what
ran beside each request says (`steps`), or what the fastest requests show.

Two forms are tried, and the nearer one is taken: weights that are read while tokens are computed, and a plain sum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from rollcast.simulator.base.draws import Floats
from rollcast.simulator.base.errors import SimulatorError
from rollcast.simulator.calibration.hardware import CoefficientPrior
from rollcast.simulator.calibration.identify import said_of
from rollcast.simulator.calibration.measured import Measured
from rollcast.simulator.calibration.steps import step_regression
from rollcast.simulator.stations.profiles import LlmProfile, StepTime

_ROOFLINE = ("weights_s", "token_s", "base_s", "decode_sequence_s", "kv_token_s", "prefill_attention_s", "overhead_s")
_SUM = ("base_s", "prefill_token_s", "decode_sequence_s", "kv_token_s", "prefill_attention_s", "overhead_s")
_REGRESSED = ("base_s", "prefill_token_s", "decode_sequence_s", "kv_token_s", "prefill_attention_s", "overhead_s")
_LEAST: Mapping[str, float] = {
    "weights_s": 1e-4, "token_s": 5e-7, "base_s": 1e-4, "prefill_token_s": 5e-7, "decode_sequence_s": 1e-7,
    "kv_token_s": 1e-10, "prefill_attention_s": 1e-12, "overhead_s": 1e-4,
}  # fmt: skip
_LEAST_REQUESTS = 50
_ROUGHLY = 1500  # requests of a recording that a first search looks at
_HELD = 0.002  # of the loss, for one standard deviation away from a prior, at first
_UNEXPLAINED = 0.02  # of what is left of the loss, later: noise is what makes a prior worth something
_LOOSE = 0.7  # standard deviation of the logarithm of what only a regression or the fastest requests say
_REACH = 5.0  # logarithms around the start in which is searched
_ROUGH = {"maxfev": 120, "initial_tr_radius": 0.4, "final_tr_radius": 1e-2}
_FINE = {"maxfev": 250, "initial_tr_radius": 0.1, "final_tr_radius": 1e-3}
_FAR = 10.0
_TOKENS_BEFORE = 2.5e4  # 6 x 4,096


@dataclass(frozen=True)
class Fit:
    """A fitted profile, how well it reproduces what it was fitted to, and where it was measured."""

    profile: LlmProfile
    errors: Mapping[str, float]  # relative error of each quantile, as "latency p95"
    requests: int
    input_tokens: tuple[int, int]  # the range that was measured
    output_tokens: tuple[int, int]
    rate_per_s: tuple[float, float]
    undetermined: tuple[str, ...]  # sentences


def fit_llm(
    recordings: Sequence[Measured],
    *,
    known: LlmProfile | None = None,
    replicas: int = 1,
    priors: Mapping[str, CoefficientPrior] | None = None,
) -> Fit:
    """The profile under which the recordings would have been served as they were measured.

    `known` gives what is configured and not fitted, such as max_sequences. Raises SimulatorError with too few requests.
    """
    count = sum(int(each.fitted.sum()) for each in recordings)
    if count < _LEAST_REQUESTS:
        raise SimulatorError(
            f"Only {count} requests have a time to first token and a latency; {_LEAST_REQUESTS} are the least that "
            "can be fitted. Record more."
        )
    start, held = known or LlmProfile(step=StepTime(base_s=1e-3)), priors or {}
    rough = _Search([each.beginning(_ROUGHLY) for each in recordings], start, replicas, held)
    found = [(form, *rough.roughly(form)) for form in ((_ROOFLINE,) if held else (_ROOFLINE, _SUM))]
    form, _, about = min(found, key=lambda each: each[1])
    search = _Search(recordings, start, replicas, held)
    logs = search.nearest(form, about)
    profile = search.profile(form, logs)
    served = [each.serve(profile, replicas) for each in recordings]
    fullest = max(range(len(recordings)), key=lambda i: int(recordings[i].fitted.sum()))
    rates = [len(each.traffic) / each.traffic.span_s for each in recordings]
    return Fit(
        profile, recordings[fullest].errors(served[fullest]), count, _range(recordings, "input_tokens"),
        _range(recordings, "output_tokens"), (min(rates), max(rates)), search.undetermined(form, logs),
    )  # fmt: skip


class _Search:
    """The loss over all recordings, and what it is least at."""

    def __init__(
        self, recordings: Sequence[Measured], start: LlmProfile, replicas: int, priors: Mapping[str, CoefficientPrior]
    ) -> None:
        self.recordings, self.start, self.replicas, self.priors = recordings, start, replicas, priors
        physical = _physical(recordings, priors)
        self.centers = physical
        self.starts = [_near(_regressed(recordings), physical), physical]

    def profile(self, form: Sequence[str], logs: Floats) -> LlmProfile:
        values = dict(zip(form, np.exp(logs).tolist(), strict=True))
        overhead_s = values.pop("overhead_s")
        return self.start.model_copy(update={"step": StepTime(**values), "overhead_s": overhead_s})

    def roughly(self, form: tuple[str, ...]) -> tuple[float, Floats]:
        """(loss, logarithms of the coefficients), from the better of two beginnings."""
        center = self._center(form)
        listed = [np.log([self._begin(name, values, form) for name in form]) for values in self.starts]
        return min((self._least(form, at, center, _HELD, _ROUGH) for at in listed), key=lambda found: found[0])

    def nearest(self, form: tuple[str, ...], about: Floats) -> Floats:
        """Logarithms of the coefficients, from what is about right."""
        center = self._center(form)
        held = _UNEXPLAINED * self._loss(form, about, center, 0.0)
        return self._least(form, about, center, held, _FINE)[1]

    def _center(self, form: tuple[str, ...]) -> Floats:
        return np.log([self._begin(name, self.centers, form) for name in form])

    def _least(
        self, form: Sequence[str], start: Floats, center: Floats, held: float, options: Mapping[str, float]
    ) -> tuple[float, Floats]:
        bounds = [(value - _REACH, value + _REACH) for value in center]
        found = minimize(
            lambda at: self._loss(form, at, center, held), start, method="COBYQA", bounds=bounds, options=dict(options)
        )
        return float(found.fun), found.x

    def _begin(self, name: str, values: Mapping[str, float], form: Sequence[str]) -> float:
        if name in self.priors:
            return self.priors[name].value
        plain = {"weights_s": 0.8 * values["base_s"], "token_s": values["prefill_token_s"], **values}
        if "weights_s" in form:
            plain["base_s"] = 0.2 * values["base_s"]
        return max(plain[name], _LEAST[name])

    def _loss(self, form: Sequence[str], logs: Floats, center: Floats, held: float) -> float:
        spread = np.array([self.priors[name].spread if name in self.priors else _LOOSE for name in form])
        total = held * float(np.square((logs - center) / spread).sum())
        profile = self.profile(form, logs)
        return total + sum(each.loss(each.serve(profile, self.replicas)) for each in self.recordings)

    def undetermined(self, form: Sequence[str], logs: Floats) -> tuple[str, ...]:
        """What is to be said about coefficients that the recordings do not determine."""

        def view(at: Floats) -> Floats:
            profile = self.profile(form, at)
            return np.concatenate([each.view(each.serve(profile, self.replicas)) for each in self.recordings])

        measured = np.concatenate([each.view_measured() for each in self.recordings])
        return said_of(form, logs, measured, view, self.priors, _alike(self.recordings))


def _regressed(recordings: Sequence[Measured]) -> dict[str, float]:
    """What ran beside the requests of the fullest recording says."""
    best = max(recordings, key=lambda each: int(each.fitted.sum()))
    values = step_regression(best.traffic, best.first_token_s, best.latency_s, best.fitted)
    return dict(zip(_REGRESSED, values.tolist(), strict=True))


def _physical(recordings: Sequence[Measured], priors: Mapping[str, CoefficientPrior]) -> dict[str, float]:
    """What the accelerator's figures say, or else requests that had least in their way, and what is usual beside that.

    A step's weights take as long as some hundreds of sequences and some hundred thousand tokens attended to. Attention
    to n earlier tokens takes n / (6 x width) of a token's other arithmetic (Kaplan and others 2020, table 1).
    """
    between, first, given = (np.concatenate(parts) for parts in zip(*map(_quick, recordings), strict=True))
    step_s = float(np.quantile(between, 0.02)) if len(between) else 0.01
    token_s = float(np.quantile(first / np.maximum(given, 1), 0.1))
    step_s = 1.1 * priors["weights_s"].value if "weights_s" in priors else step_s
    token_s = priors["token_s"].value if "token_s" in priors else token_s
    return {
        "base_s": step_s, "prefill_token_s": token_s, "decode_sequence_s": step_s / 200, "kv_token_s": step_s / 2e5,
        "prefill_attention_s": token_s / _TOKENS_BEFORE, "overhead_s": 0.3 * float(np.quantile(first, 0.02)),
    }  # fmt: skip


def _near(values: Mapping[str, float], physical: Mapping[str, float]) -> dict[str, float]:
    """Regressed values, none of them further than a factor of ten from what is physical: a regression may say 0."""
    return {name: min(max(values[name], value / _FAR), value * _FAR) for name, value in physical.items()}


def _quick(each: Measured) -> tuple[Floats, Floats, Floats]:
    own = each.fitted
    made, several = each.traffic.output_tokens[own], each.traffic.output_tokens[own] > 1
    between = ((each.latency_s - each.first_token_s)[own][several]) / (made[several] - 1)
    return between, each.first_token_s[own], each.traffic.input_tokens[own].astype(np.float64)


def _alike(recordings: Sequence[Measured]) -> str:
    given = np.concatenate([each.traffic.input_tokens[each.fitted] for each in recordings])
    low, high = np.quantile(given, (0.05, 0.95))
    if high <= 1.2 * max(low, 1.0):
        return f"all prompts are about {np.median(given):.0f} tokens long; add a recording with other lengths"
    if len(recordings) == 1:
        return "add a recording at another load"
    return ""


def _range(recordings: Sequence[Measured], name: str) -> tuple[int, int]:
    values = np.concatenate([getattr(each.traffic, name) for each in recordings])
    return int(values.min()), int(values.max())
