"""Which coefficients measurements determine, and which are held by what was believed before.

The slopes of the grouped latencies with each coefficient (finite differences at the fit), against what the fit leaves
unexplained, give the standard error of its logarithm, as in non-linear regression (Bates and Watts 1988, section 2.3).
One that could as well be half or double is not determined; two whose estimates hang together can't be separated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from rollcast.simulator.base.draws import Floats
from rollcast.simulator.calibration.hardware import CoefficientPrior

_STEP = 0.05  # of a logarithm
_NOISE = 0.01  # the least that a group's latency is known to
_KNOWN = 0.35  # standard error of a logarithm: within a factor of two at 95 %
_TOGETHER = 0.9  # correlation of two estimates
_UNKNOWN = 5.0

View = Callable[[Floats], Floats]


def said_of(
    names: Sequence[str], logs: Floats, measured: Floats, view: View, priors: Mapping[str, CoefficientPrior], alike: str
) -> tuple[str, ...]:
    """Sentences about coefficients that the data do not determine; none where they determine all.

    `alike` says what the recordings have in common, as a reason; "" where they have nothing.
    """
    errors, correlation = _errors(logs, measured, view)
    unknown = [i for i in range(len(names)) if errors[i] > _KNOWN]
    said: list[str] = []
    for i in unknown:
        others = [names[j] for j in range(len(names)) if j != i and abs(correlation[i, j]) > _TOGETHER]
        apart = f"{names[i]} can't be separated from {' and '.join(others)}" if others else (
            f"the latencies hardly move with {names[i]}"
        )  # fmt: skip
        held = priors.get(names[i])
        by = f"it is held at {held.value:.3g} s or near it by {held.source}" if held else "it is about where it began"
        said.append(f"{apart}{': ' + alike if alike else ''}; {by}")
    return tuple(said)


def _errors(logs: Floats, measured: Floats, view: View) -> tuple[Floats, Floats]:
    """Standard error of each logarithm, and how the estimates hang together."""
    here = view(logs)
    slopes = np.empty((len(here), len(logs)))
    for i in range(len(logs)):
        moved = logs.copy()
        moved[i] += _STEP
        slopes[:, i] = (view(moved) - here) / _STEP
    noise = max(float(np.sqrt(np.mean(np.square(here - measured)))), _NOISE)
    information = slopes.T @ slopes / noise**2
    covariance = np.linalg.inv(information + np.eye(len(logs)) / _UNKNOWN**2)
    errors: Floats = np.sqrt(np.diag(covariance))
    return errors, covariance / np.outer(errors, errors)
