"""Random numbers that belong to (seed, request, component, purpose), never to the order of events.

A draw is a hash of its four names, so two engines, or the world with and without the rollout, give a request the same
luck, and no draw shifts another. The hash is three rounds of the SplitMix64 finalizer (Steele, Lea and Flood 2014,
https://doi.org/10.1145/2714064.2660195, with Stafford's constants). Both engines call these same compiled functions.
"""

from __future__ import annotations

import math
from enum import IntEnum

import mmh3
import numpy as np
import numpy.typing as npt

from rollcast.planner.base.keys import hashable
from rollcast.simulator.base.compiling import compiled, lean

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)
_UNIT = 2.0**-53


class Purpose(IntEnum):
    """What a draw is for. Numbers are part of every forecast's reproducibility: never renumber."""

    SERVICE = 1
    FIRST_TOKEN = 2
    OUTCOME = 3
    USER = 4
    ATTRIBUTE = 5
    QUERY = 6
    BACKOFF = 7
    POSTERIOR = 8
    RUN = 9
    SHIFT = 10
    LOST = 11
    PROPAGATION = 12


class Shape(IntEnum):
    """Families of distributions, by what `a` and `b` of `quantile` mean."""

    CONSTANT = 0  # a: value
    EXPONENTIAL = 1  # a: mean
    LOGNORMAL = 2  # a: mean of the logarithm, b: its standard deviation
    UNIFORM = 3  # a: lowest, b: highest
    TABLE = 4  # evenly spaced quantiles, linear in between


_CONSTANT, _EXPONENTIAL, _LOGNORMAL, _UNIFORM = 0, 1, 2, 3


def name_number(name: str) -> int:
    """The 63-bit number by which a component, metric or attribute is known to draws."""
    return int(mmh3.hash64(hashable(name), signed=False)[0]) >> 1


@lean
def mixed(x: np.uint64) -> np.uint64:
    """SplitMix64's finalizer."""
    x = (x ^ (x >> _S30)) * _FIRST
    x = (x ^ (x >> _S27)) * _SECOND
    return x ^ (x >> _S31)


@lean
def uniform(seed: int, request: int, component: int, purpose: int) -> float:
    """A number in (0, 1): 53 random bits and a half."""
    x = mixed(np.uint64(seed) + _GOLDEN * np.uint64(request + 1))
    x = mixed(x ^ np.uint64(component))
    x = mixed(x + _GOLDEN * np.uint64(purpose))
    return (np.float64(x >> _S11) + 0.5) * _UNIT


@compiled
def uniforms(seed: int, first: int, count: int, component: int, purpose: int) -> Floats:
    """`uniform` for requests first … first + count - 1."""
    found = np.empty(count, np.float64)
    for i in range(count):
        found[i] = uniform(seed, first + i, component, purpose)
    return found


@compiled
def uniforms_of(seed: int, requests: Ints, component: int, purpose: int) -> Floats:
    """`uniform` for the given requests."""
    found = np.empty(len(requests), np.float64)
    for i in range(len(requests)):
        found[i] = uniform(seed, requests[i], component, purpose)
    return found


@lean
def normal_quantile(p: float) -> float:
    """Inverse of the standard normal distribution, to 1e-16.

    Wichura 1988, algorithm AS 241 (PPND16), https://doi.org/10.2307/2347330.
    """
    q = p - 0.5
    if abs(q) <= 0.425:
        r = 0.180625 - q * q
        top = (((((((2.5090809287301226727e3 * r + 3.3430575583588128105e4) * r + 6.7265770927008700853e4) * r
                 + 4.5921953931549871457e4) * r + 1.3731693765509461125e4) * r + 1.9715909503065514427e3) * r
               + 1.3314166789178437745e2) * r + 3.3871328727963666080e0)  # fmt: skip
        low = (((((((5.2264952788528545610e3 * r + 2.8729085735721942674e4) * r + 3.9307895800092710610e4) * r
                 + 2.1213794301586595867e4) * r + 5.3941960214247511077e3) * r + 6.8718700749205790830e2) * r
               + 4.2313330701600911252e1) * r + 1.0)  # fmt: skip
        return q * top / low
    r = math.sqrt(-math.log(p if q < 0 else 1.0 - p))
    if r <= 5.0:
        r -= 1.6
        top = (((((((7.74545014278341407640e-4 * r + 2.27238449892691845833e-2) * r + 2.41780725177450611770e-1) * r
                 + 1.27045825245236838258e0) * r + 3.64784832476320460504e0) * r + 5.76949722146069140550e0) * r
               + 4.63033784615654529590e0) * r + 1.42343711074968357734e0)  # fmt: skip
        low = (((((((1.05075007164441684324e-9 * r + 5.47593808499534494600e-4) * r + 1.51986665636164571966e-2) * r
                 + 1.48103976427480074590e-1) * r + 6.89767334985100004550e-1) * r + 1.67638483018380384940e0) * r
               + 2.05319162663775882187e0) * r + 1.0)  # fmt: skip
    else:
        r -= 5.0
        top = (((((((2.01033439929228813265e-7 * r + 2.71155556874348757815e-5) * r + 1.24266094738807843860e-3) * r
                 + 2.65321895265761230930e-2) * r + 2.96560571828504891230e-1) * r + 1.78482653991729133580e0) * r
               + 5.46378491116411436990e0) * r + 6.65790464350110377720e0)  # fmt: skip
        low = (((((((2.04426310338993978564e-15 * r + 1.42151175831644588870e-7) * r + 1.84631831751005468180e-5) * r
                 + 7.86869131145613259100e-4) * r + 1.48753612908506148525e-2) * r + 1.36929880922735805310e-1) * r
               + 5.99832206555887937690e-1) * r + 1.0)  # fmt: skip
    return -top / low if q < 0 else top / low


@lean
def quantile(shape: int, a: float, b: float, table: Floats, u: float) -> float:
    """The u-quantile of a distribution: the value that a draw stands for."""
    if shape == _CONSTANT:
        return a
    if shape == _EXPONENTIAL:
        return -a * math.log(1.0 - u)
    if shape == _LOGNORMAL:
        return math.exp(a + b * normal_quantile(u))
    if shape == _UNIFORM:
        return a + (b - a) * u
    place = u * (len(table) - 1)
    low = int(place)
    found: float = table[low] + (table[low + 1] - table[low]) * (place - low)
    return found
