"""Users to follow through a walk: some keys for each kind of request that a plan distinguishes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice, product

from rollcast.planner.base.audiences import Rule, parse
from rollcast.planner.plan.models import Plan
from rollcast.policies.model_based.model_state import Attributes

MOST_USERS = 48
MOST_KINDS = 12


@dataclass(frozen=True)
class User:
    """A targeting key with the attributes of its requests to one pipeline."""

    pipeline: str
    key: str
    attributes: Attributes


def users_of(plan: Plan) -> tuple[User, ...]:
    """Users of every pipeline: each kind of attributes that routes and audiences speak of, with several keys each."""
    kinds = kinds_of(plan)
    pipelines = dict.fromkeys(track.pipeline for track in plan.lines.values())
    return tuple(
        User(pipeline, f"user-{number}", kind)
        for pipeline in pipelines
        for number, kind in zip(range(MOST_USERS), cycle(kinds), strict=False)
    )


def kinds_of(plan: Plan) -> list[Attributes]:
    """Combinations of attribute values that some route or audience of the plan asks for, plain ones first."""
    values: dict[str, list[str | int | float | bool]] = {}
    rules = [track.route for track in plan.lines.values() if track.route is not None] + list(plan.audiences.values())
    for source in rules:
        for attribute, value in _values(parse(source)):
            known = values.setdefault(attribute, [])
            if value not in known:
                known.append(value)
    names = sorted(values)
    combinations = product(*([None, *values[name]] for name in names))
    ordered = sorted(islice(combinations, 10_000), key=lambda found: sum(value is not None for value in found))
    return [
        {name: value for name, value in zip(names, found, strict=True) if value is not None}
        for found in ordered[:MOST_KINDS]
    ]


def _values(rule: Rule) -> Iterator[tuple[str, str | int | float | bool]]:
    """(attribute, value) that a rule distinguishes."""
    kind, left, right = rule
    if kind in ("all", "any"):
        for item in left:
            yield from _values(item)
    elif kind == "not":
        yield from _values(left)
    else:
        for value in (*(right.is_in or ()), *(right.not_in or ())):
            yield left, value
        for text in (right.starts_with, right.ends_with, right.min_version):
            if text is not None:
                yield left, text
        for number in (right.at_least, right.below):
            if number is not None:
                yield left, number
