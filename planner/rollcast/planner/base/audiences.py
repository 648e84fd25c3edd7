"""Audiences: structured predicates over request attributes.

A predicate is data. It has four readers, and they agree: `matches` (one request), `targeting` (the flag
evaluator's JsonLogic), `satisfiable` and `implied_by` (can it match at all, is it shadowed). No text is ever evaluated.

Long because four readers of one predicate must agree, and are read side by side.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from packaging.version import InvalidVersion, Version
from pydantic import BaseModel, ConfigDict, Field, RootModel, model_validator

_MOST_CONJUNCTIONS = 512

Scalar = str | int | float | bool
JsonLogic = dict[str, Any]


class Condition(BaseModel):
    """What one attribute must be. Exactly one operator."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    is_in: tuple[Scalar, ...] | None = Field(None, alias="in", description="one of these values")
    not_in: tuple[Scalar, ...] | None = Field(None, description="none of these values")
    starts_with: str | None = None
    ends_with: str | None = None
    at_least: float | None = Field(None, description="a number of at least this")
    below: float | None = Field(None, description="a number below this")
    min_version: str | None = Field(None, description="a semantic version of at least this")

    @model_validator(mode="after")
    def _one_operator(self) -> Condition:
        if len(self.model_fields_set) != 1:
            names = "in, not_in, starts_with, ends_with, at_least, below, min_version"
            raise ValueError(f"give exactly one of {names}")
        if self.is_in is not None and not self.is_in:
            raise ValueError("'in' needs at least one value: an empty list never matches")
        return self


class Predicate(RootModel[dict[str, Any]]):
    """A rule over request attributes.

    `{region: [eu, uk], segment: internal}`: every attribute must match; a value, a list of values, or one
    operator such as `{starts_with: "beta-"}`. `all`, `any` and `not` combine predicates. `{}` is everyone.
    """

    model_config = ConfigDict(frozen=True)

    @model_validator(mode="after")
    def _well_formed(self) -> Predicate:
        parse(self.root)
        return self

    @property
    def rule(self) -> Rule:
        return parse(self.root)


# The parsed form: ("all", rules) | ("any", rules) | ("not", rule) | ("is", attribute, Condition).
Rule = tuple[Literal["all", "any", "not", "is"], Any, Any]


def parse(source: Mapping[str, Any]) -> Rule:
    """The parsed form of a predicate's data. Raises ValueError naming the attribute."""
    rules: list[Rule] = []
    for name, value in source.items():
        if name in ("all", "any"):
            if not isinstance(value, list | tuple) or not value:
                raise ValueError(f"'{name}' takes a list of predicates")
            rules.append((name, tuple(parse(_mapping(item, name)) for item in value), None))  # type: ignore[arg-type]
        elif name == "not":
            rules.append(("not", parse(_mapping(value, name)), None))
        else:
            rules.append(("is", name, _condition(name, value)))
    return rules[0] if len(rules) == 1 else ("all", tuple(rules), None)


def _mapping(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"'{name}' takes predicates such as {{region: eu}}")
    return value


def _condition(name: str, value: Any) -> Condition:
    if isinstance(value, Condition):
        return value
    if isinstance(value, Mapping):
        try:
            return Condition.model_validate(dict(value))
        except ValueError as error:
            detail = "; ".join(str(e["msg"]).removeprefix("Value error, ") for e in getattr(error, "errors", list)())
            raise ValueError(f"attribute '{name}': {detail}") from None
    values = value if isinstance(value, list | tuple) else [value]
    if not values or not all(isinstance(v, str | int | float | bool) for v in values):
        raise ValueError(f"attribute '{name}' takes a value, a list of values, or one operator")
    return Condition.model_validate({"in": tuple(values)})


def attributes_of(rule: Rule) -> set[str]:
    """The attributes that a rule looks at."""
    kind, first, _ = rule
    if kind == "is":
        return {first}
    return set().union(*map(attributes_of, (first,) if kind == "not" else first))


def matches(rule: Rule, attributes: Mapping[str, Any]) -> bool:
    """Whether a request with these attributes belongs to the audience. A missing attribute is None."""
    kind, left, right = rule
    if kind == "all":
        return all(matches(item, attributes) for item in left)
    if kind == "any":
        return any(matches(item, attributes) for item in left)
    if kind == "not":
        return not matches(left, attributes)
    return _holds(right, attributes.get(left))


def _holds(condition: Condition, value: Any) -> bool:
    if condition.is_in is not None:
        return value in condition.is_in
    if condition.not_in is not None:
        return value not in condition.not_in
    if condition.starts_with is not None:
        return isinstance(value, str) and value.startswith(condition.starts_with)
    if condition.ends_with is not None:
        return isinstance(value, str) and value.endswith(condition.ends_with)
    if condition.min_version is not None:
        return _at_least_version(value, condition.min_version)
    if not isinstance(value, int | float):
        return False
    return value >= condition.at_least if condition.at_least is not None else value < _number(condition.below)


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _at_least_version(value: Any, least: str) -> bool:
    try:
        return isinstance(value, str) and Version(value) >= Version(least)
    except InvalidVersion:
        return False


def targeting(rule: Rule) -> JsonLogic | bool:
    """The rule in flagd's targeting language (JsonLogic with `starts_with`, `ends_with`, `sem_ver`)."""
    kind, left, right = rule
    if kind in ("all", "any"):
        if not left:
            return kind == "all"
        return {"and" if kind == "all" else "or": [targeting(item) for item in left]}
    if kind == "not":
        return {"!": [targeting(left)]}
    return _condition_targeting({"var": left}, right)


def _condition_targeting(var: JsonLogic, condition: Condition) -> JsonLogic:
    if condition.is_in is not None:
        return {"in": [var, list(condition.is_in)]}
    if condition.not_in is not None:
        return {"!": [{"in": [var, list(condition.not_in)]}]}
    if condition.starts_with is not None:
        return {"starts_with": [var, condition.starts_with]}
    if condition.ends_with is not None:
        return {"ends_with": [var, condition.ends_with]}
    if condition.min_version is not None:
        return {"sem_ver": [var, ">=", condition.min_version]}
    # A missing attribute is null, and JsonLogic's comparison would take it for a number.
    compare: JsonLogic = (
        {">=": [var, condition.at_least]} if condition.at_least is not None else {"<": [var, condition.below]}
    )
    return {"and": [{"!": [{"in": [var, [None, ""]]}]}, compare]}


# ---- satisfiability ---------------------------------------------------------------------------

Literal_ = tuple[str, str, Any, bool]  # attribute, operator, value, wanted


def _literals(rule: Rule, wanted: bool) -> list[frozenset[Literal_]] | None:
    """Disjunctive normal form of `rule == wanted`; None when it grows beyond what is worth deciding."""
    kind, left, right = rule
    if kind == "not":
        return _literals(left, not wanted)
    if kind == "is":
        ((operator, value),) = right.model_dump(exclude_unset=True).items()
        if operator == "not_in":
            operator, wanted = "is_in", not wanted
        return [frozenset({(left, operator, value, wanted)})]
    parts = [_literals(item, wanted) for item in left]
    if any(part is None for part in parts):
        return None
    known = [part for part in parts if part is not None]
    if (kind == "any") == wanted:
        return [conjunction for part in known for conjunction in part]
    product: list[frozenset[Literal_]] = [frozenset()]
    for part in known:
        product = [a | b for a in product for b in part]
        if len(product) > _MOST_CONJUNCTIONS:
            return None
    return product


def _consistent(conjunction: frozenset[Literal_]) -> bool:
    allowed: dict[str, set[Any]] = {}
    for attribute, operator, value, wanted in conjunction:
        if operator == "is_in" and wanted:
            allowed[attribute] = allowed.get(attribute, set(value)) & set(value)
        elif operator != "is_in" and (attribute, operator, value, not wanted) in conjunction:
            return False
    for attribute, operator, value, wanted in conjunction:
        if attribute not in allowed:
            continue
        if operator == "is_in" and not wanted:
            allowed[attribute] -= set(value)
        elif operator != "is_in":
            condition = Condition.model_construct({operator}, **{operator: value})
            allowed[attribute] = {v for v in allowed[attribute] if _holds(condition, v) == wanted}
    return all(allowed.values()) and _in_range(conjunction) and _one_prefix(conjunction)


def _in_range(conjunction: frozenset[Literal_]) -> bool:
    """Whether some number is at least, and below, all that is required of an attribute; text may be excluded."""
    for attribute in {
        name for name, operator, _, wanted in conjunction if wanted and operator in ("at_least", "below")
    }:
        low, high = float("-inf"), float("inf")
        for name, operator, value, wanted in conjunction:
            if name == attribute and operator in ("at_least", "below"):
                if (operator == "at_least") == wanted:
                    low = max(low, value)
                else:
                    high = min(high, value)
        if low >= high:
            return False
    return True


def _one_prefix(conjunction: frozenset[Literal_]) -> bool:
    """Whether one text can begin (and end) with all that is required of an attribute."""
    for wanted_operator in ("starts_with", "ends_with"):
        affixes: dict[str, list[str]] = {}
        for attribute, operator, value, wanted in conjunction:
            if operator == wanted_operator and wanted:
                affixes.setdefault(attribute, []).append(value if operator == "starts_with" else value[::-1])
        for texts in affixes.values():
            longest = max(texts, key=len)
            if not all(longest.startswith(text) for text in texts):
                return False
    return True


def satisfiable(rules: Iterable[tuple[Rule, bool]]) -> bool:
    """Whether some request makes every rule come out as wanted. Says yes where it can't decide."""
    conjoined: Rule = (
        "all",
        tuple(rule if wanted else ("not", rule, None) for rule, wanted in rules),
        None,
    )
    normal = _literals(conjoined, True)
    return normal is None or any(_consistent(conjunction) for conjunction in normal)
