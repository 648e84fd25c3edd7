"""Coefficients of a step from what ran beside each request while it was decoding.

Between its first and its last token a request takes part in (tokens - 1) steps. They last, in sum, that many times the
base, and in proportion to the sequences beside it, to the tokens that those attend to, and to the prompts that were
computed meanwhile. All four are known from the recorded times of the other requests, so non-negative least squares
(Lawson and Hanson 1974) gives the coefficients, each from what varies with it alone.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

from rollcast.simulator.base.draws import Floats
from rollcast.simulator.engines.interface import Bools
from rollcast.simulator.traffic.recording import Traffic

_LEAST = np.array([1e-4, 1e-7, 1e-7, 1e-10, 1e-12, 1e-4])


class _Beside:
    """Integrals over time of what ran, from first tokens at `first`, last tokens at `last` (seconds on one clock)."""

    def __init__(self, first: Floats, last: Floats, given: Floats, made: Floats) -> None:
        rate = (made - 1) / np.maximum(last - first, 1e-9)
        self.given = given
        self.starts, self.begun = self._sums(first, first, last, rate, ended=False)
        self.ends, self.over = self._sums(last, first, last, rate, ended=True)
        order = np.argsort(first, kind="stable")
        self.prompts = np.concatenate([[0.0], np.cumsum(given[order])])
        self.squares = np.concatenate([[0.0], np.cumsum(given[order] ** 2 / 2)])

    def _sums(self, by: Floats, first: Floats, last: Floats, rate: Floats, *, ended: bool) -> tuple[Floats, Floats]:
        """Prefix sums of the coefficients of 1, t and t^2/2, in the order of `by`, for sequences and for tokens."""
        lasted = last - first if ended else np.zeros_like(first)
        columns = np.column_stack([
            np.ones_like(first), -first - lasted, rate, self.given - rate * first,
            rate * first**2 / 2 - self.given * first - (self.given * lasted + rate * lasted**2 / 2),
        ])  # fmt: skip
        order = np.argsort(by, kind="stable")
        return by[order], np.concatenate([np.zeros((1, 5)), np.cumsum(columns[order], axis=0)])

    def _at(self, t: Floats) -> tuple[Floats, Floats]:
        """Sequence-seconds and token-seconds up to t."""
        begun = self.begun[np.searchsorted(self.starts, t, "right")]
        over = self.over[np.searchsorted(self.ends, t, "right")]
        sums = begun - over
        sequences: Floats = sums[:, 0] * t + sums[:, 1]
        held: Floats = sums[:, 2] * t**2 / 2 + sums[:, 3] * t + sums[:, 4]
        return sequences, held

    def between(self, start: Floats, end: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Mean sequences and mean tokens attended to, prompt tokens and half their squares, of each interval."""
        (n0, kv0), (n1, kv1) = self._at(start), self._at(end)
        i, j = np.searchsorted(self.starts, start, "right"), np.searchsorted(self.starts, end, "right")
        lasts = np.maximum(end - start, 1e-9)
        prompts, squares = self.prompts[j] - self.prompts[i], self.squares[j] - self.squares[i]
        return (n1 - n0) / lasts, (kv1 - kv0) / lasts, prompts, squares


def step_regression(traffic: Traffic, first_token_s: Floats, latency_s: Floats, usable: Bools) -> Floats:
    """base_s, prefill_token_s, decode_sequence_s, kv_token_s, prefill_attention_s, overhead_s."""
    arrival = traffic.arrival_s[usable]
    first, last = arrival + first_token_s[usable], arrival + latency_s[usable]
    given, made = traffic.input_tokens[usable].astype(np.float64), traffic.output_tokens[usable].astype(np.float64)
    several = made > min(8.0, float(np.quantile(made, 0.5)))
    beside = _Beside(first, last, given, made)
    sequences, held, prompts, squares = beside.between(first[several], last[several])
    steps = made[several] - 1
    columns = np.column_stack([steps, prompts, steps * sequences, steps * held, squares])
    weight = 1 / (last - first)[several]
    scale = np.maximum(np.sqrt(((columns * weight[:, None]) ** 2).mean(axis=0)), 1e-300)
    found = nnls(columns * weight[:, None] / scale, np.ones(len(steps)))[0] / scale
    base, token, attention = found[0], found[1], found[4]
    alone = first_token_s[usable] - base - token * given - attention * given**2 / 2
    short = given <= np.quantile(given, 0.5)
    overhead = float(np.quantile(alone[short], 0.02))
    coefficients: Floats = np.maximum(np.array([*found, overhead]), _LEAST)
    return coefficients
