"""Distributions of times, as a profile writes them and as `draws.quantile` reads them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal, assert_never

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from rollcast.planner.base.values import Seconds
from rollcast.planner.declaration.models import Model
from rollcast.simulator.base.draws import Floats, Shape

TABLE_POINTS = 129
_Z95 = 1.6448536269514722
_WIDEST = math.exp(_Z95**2 / 2)


@dataclass(frozen=True)
class Encoded:
    """A distribution as `draws.quantile` takes it. `table` holds TABLE_POINTS quantiles, zeros where unused."""

    shape: Shape
    a: float
    b: float
    table: Floats
    mean: float


class Distribution(Model):
    """A distribution of seconds.

    constant (mean), exponential (mean), lognormal (mean and p95, or mean and cv), uniform (low, high), or empirical
    (evenly spaced quantiles, the lowest and the highest value included).
    """

    distribution: Literal["constant", "exponential", "lognormal", "uniform", "empirical"] = "constant"
    mean: Seconds | None = None
    p95: Seconds | None = None
    cv: float | None = Field(None, ge=0, le=20, description="standard deviation over mean")
    low: Seconds | None = None
    high: Seconds | None = None
    quantiles: tuple[Seconds, ...] = ()

    @model_validator(mode="after")
    def _complete(self) -> Distribution:
        needs = {
            "constant": ("mean",), "exponential": ("mean",), "lognormal": ("mean",), "uniform": ("low", "high"),
            "empirical": (),
        }[self.distribution]  # fmt: skip
        missing = [name for name in needs if getattr(self, name) is None]
        if missing:
            raise ValueError(f"{self.distribution} needs {' and '.join(missing)}")
        if self.distribution == "lognormal":
            self._lognormal()
        if self.low is not None and self.high is not None and self.high < self.low:
            raise ValueError("'high' is below 'low'")
        if self.distribution == "empirical":
            if len(self.quantiles) < 2:
                raise ValueError("empirical needs at least two 'quantiles', from the lowest value to the highest")
            if list(self.quantiles) != sorted(self.quantiles):
                raise ValueError("'quantiles' must not fall")
        return self

    def _lognormal(self) -> tuple[float, float]:
        """Mean and standard deviation of the logarithm."""
        assert self.mean is not None
        if self.mean <= 0:
            raise ValueError("the mean of a lognormal is above 0")
        if (self.p95 is None) == (self.cv is None):
            raise ValueError("lognormal needs 'mean' and one of 'p95' and 'cv'")
        if self.cv is not None:
            sigma = math.sqrt(math.log1p(self.cv**2))
        else:
            assert self.p95 is not None
            ratio = self.p95 / self.mean
            if not 1.0 <= ratio <= _WIDEST:
                raise ValueError(
                    f"no lognormal has a p95 of {ratio:.3g} times its mean; it is 1 to {_WIDEST:.2f} times"
                )
            sigma = _Z95 - math.sqrt(_Z95**2 - 2 * math.log(ratio))
        return math.log(self.mean) - sigma**2 / 2, sigma

    def encode(self) -> Encoded:
        """The form that the engines read."""
        empty, mean = np.zeros(TABLE_POINTS), self.mean or 0.0
        match self.distribution:
            case "constant":
                return Encoded(Shape.CONSTANT, mean, 0.0, empty, mean)
            case "exponential":
                return Encoded(Shape.EXPONENTIAL, mean, 0.0, empty, mean)
            case "lognormal":
                return Encoded(Shape.LOGNORMAL, *self._lognormal(), empty, mean)
            case "uniform":
                assert self.low is not None
                assert self.high is not None
                return Encoded(Shape.UNIFORM, self.low, self.high, empty, (self.low + self.high) / 2)
            case "empirical":
                given = np.array(self.quantiles)
                table = np.interp(np.linspace(0, 1, TABLE_POINTS), np.linspace(0, 1, len(given)), given)
                return Encoded(Shape.TABLE, 0.0, 0.0, table, float((table[1:] + table[:-1]).mean() / 2))
            case _:
                assert_never(self.distribution)


def _as_distribution(value: object) -> object:
    plain = isinstance(value, int | float | str) and not isinstance(value, bool)
    return {"distribution": "constant", "mean": value} if plain else value


Time = Annotated[Distribution, BeforeValidator(_as_distribution, json_schema_input_type=float | str | Distribution)]
