"""Before a rollout: the smallest regression that a stage can detect with its traffic, and after how long.

A forecast by formula (see `growth`), not by simulation: some ten milliseconds a gate. docs/validation.md shows
predicted beside simulated times.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rollcast.planner.gates.growth import Baseline, blocks_needed, growth_of
from rollcast.planner.gates.spec import GateSpec
from rollcast.planner.gates.stage import gate_alpha
from rollcast.planner.gates.wording import difference

POWER = 0.8


@dataclass(frozen=True, slots=True)
class Detectable:
    """What one gate of one stage can prove in time.

    `smallest` is the least regression, in the metric's unit, that is proved within `within_s` with a chance of
    `power`; None where even the greatest is not. `margin_s` is the time after which a regression as large as the margin
    is proved, `margin_users` how many users the new release served by then, `no_worse_s` the time after which a release
    that is no different is proved to be within the margin: each with that chance, and None where it takes longer than
    `within_s`.
    """

    spec: GateSpec
    split: float
    within_s: float
    smallest: float | None
    margin_s: float | None
    margin_users: int | None
    no_worse_s: float | None
    power: float

    @property
    def covers_margin(self) -> bool:
        """Whether the stage can detect what its margin claims to guard against."""
        return self.margin_s is not None

    @property
    def sentence(self) -> str:
        """One sentence for the plan."""
        where = f"{self.spec.metric} at {self.split * 100:g} % within {_duration(self.within_s)}"
        margin = difference(self.spec, self.spec.margin, "")
        if self.smallest is None:
            return f"{where}: no regression can be detected, whatever its size; the margin is {margin}"
        least = difference(self.spec, self.smallest, "")
        if self.margin_s is None:
            return f"{where}: only a regression of {least} or more is detected, not the margin of {margin}"
        found = f"a regression of the margin, {margin}, is detected after {_duration(self.margin_s)}"
        if self.no_worse_s is None:
            return f"{where}: {found}, but a release as good as the baseline can't be proved so in time"
        return f"{where}: {found}; a release as good as the baseline passes after {_duration(self.no_worse_s)}"


def detectable(
    spec: GateSpec,
    *,
    split: float,
    alpha: float,
    users_per_s: float,
    bake_max_s: float,
    baseline: Baseline,
    advance_alpha: float | None = None,
    audience_users: float = math.inf,
    power: float = POWER,
) -> Detectable:
    """What this gate can prove in a stage that lasts `bake_max_s` at most.

    `alpha` is the gate's own part of the error rate; `users_per_s` counts users who come for the first time in the
    stage, both arms together (requests for `unit: request`), of at most `audience_users`. Raises ValueError where the
    baseline does not say what the kind of metric needs.
    """
    model = growth_of(spec, split, baseline)
    per_block = max(model.sizes[0] / split, model.sizes[1] / (1 - split)) if 0 < split < 1 else math.inf
    units = min(users_per_s * max(0.0, bake_max_s - spec.label_delay_s), audience_users)
    blocks = units / per_block
    limit, advance_limit = -math.log(alpha), -math.log(advance_alpha or alpha)

    def proved(regression: float) -> float | None:
        return blocks_needed(model.harm(regression), limit, blocks, power)

    def after_s(needed: float | None, least_units: float = 0.0) -> float | None:
        if needed is None:
            return None
        time_s = max(needed * per_block, least_units) / users_per_s + spec.label_delay_s
        return time_s if time_s <= bake_max_s else None

    margin_s = after_s(proved(spec.margin)) if spec.margin <= model.greatest else None
    enough = spec.min_samples / min(split, 1 - split) if 0 < split < 1 else math.inf
    return Detectable(
        spec=spec,
        split=split,
        within_s=bake_max_s,
        smallest=_smallest(proved, model.greatest),
        margin_s=margin_s,
        margin_users=None if margin_s is None else math.ceil((margin_s - spec.label_delay_s) * users_per_s * split),
        no_worse_s=after_s(blocks_needed(model.no_worse(), advance_limit, blocks, power), enough),
        power=power,
    )


def detectable_in_stage(
    specs: Sequence[GateSpec],
    *,
    split: float,
    alpha: float,
    users_per_s: float,
    bake_max_s: float,
    baselines: Mapping[str, Baseline],
    advance_alpha: float | None = None,
    audience_users: float = math.inf,
    requests_per_s: float | None = None,
) -> tuple[Detectable, ...]:
    """`detectable` for each gate of a stage whose metric has a baseline.

    `alpha` is the stage's and is divided over its gates as in the rollout. `requests_per_s` is for gates whose unit is
    the request; such a gate is reckoned with `users_per_s` without it.
    """
    return tuple(
        detectable(
            spec,
            split=split,
            alpha=gate_alpha(alpha, len(specs)),
            advance_alpha=advance_alpha or alpha,
            users_per_s=users_per_s if spec.unit == "user" or requests_per_s is None else requests_per_s,
            bake_max_s=bake_max_s,
            baseline=baselines[spec.metric],
            audience_users=audience_users if spec.unit == "user" else math.inf,
        )
        for spec in specs
        if spec.metric in baselines
    )


def _smallest(proved: Callable[[float], float | None], greatest: float) -> float | None:
    if proved(greatest * (1 - 1e-9)) is None:
        return None
    low, high = 0.0, greatest
    while high - low > 1e-3 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if proved(middle) is None else (low, middle)
    return high


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
