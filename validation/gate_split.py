"""The sample-ratio test: wrong splits that it catches and right ones that it calls wrong, at any look."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import betaln

from rollcast.planner.gates.sample_ratio import SPLIT_ALPHA
from validation.gate_streams import Floats
from validation.gates import table, upper_bound

USERS, EVERY = 50_000, 100  # users of a stage, and how many come between two looks
CASES = ((0.1, 0.08), (0.1, 0.09), (0.5, 0.48), (0.05, 0.04), (0.25, 0.22))


def alarms(runs: int, declared: float, real: float, users: int = USERS) -> tuple[int, Floats]:
    """Alarms at some look, and the users until then (infinite without an alarm). A look every hundred users."""
    rng = np.random.default_rng([51, round(1000 * declared), round(1000 * real)])
    looks = users // EVERY
    n, found = EVERY * np.arange(1, looks + 1), np.full(runs, np.inf)
    for start in range(0, runs, 500):
        count = min(500, runs - start)
        new = np.cumsum(rng.binomial(EVERY, real, (count, looks)), axis=1)
        log_e = betaln(0.5 + new, 0.5 + n - new) - betaln(0.5, 0.5)
        log_e = log_e - new * math.log(declared) - (n - new) * math.log1p(-declared)
        over = log_e >= -math.log(SPLIT_ALPHA)
        found[start : start + count] = np.where(over.any(axis=1), n[over.argmax(axis=1)], np.inf)
    return int(np.isfinite(found).sum()), found


def section(scale: float) -> str:
    """The page's part on the split."""
    many, few = max(200, int(20_000 * scale)), max(100, int(1000 * scale))
    right = []
    for declared in sorted({declared for declared, _ in CASES}):
        wrong, _ = alarms(many, declared, declared)
        right.append(
            [f"{100 * declared:g} %", f"{many:,}", f"{wrong}", f"{100 * wrong / many:.3f} %",
             f"{100 * upper_bound(wrong, many):.3f} %"]
        )  # fmt: skip
    caught = []
    for declared, real in CASES:
        count, users = alarms(few, declared, real)
        half = f"{np.median(users):,.0f}" if np.isfinite(np.median(users)) else "–"
        caught.append([f"{100 * declared:g} %", f"{100 * real:g} %", f"{100 * count / few:.1f} %", half])
    return f"""## The split

Stages of {USERS:,} users with a look every {EVERY}. A right split may be called wrong in {100 * SPLIT_ALPHA:g} %
of stages:

{table(["declared", "stages", "called wrong", "rate", "upper 95 % bound"], right)}

Wrong splits, {few:,} stages each, and the median of users until the alarm:

{table(["declared", "real", "caught", "users"], caught)}
"""
