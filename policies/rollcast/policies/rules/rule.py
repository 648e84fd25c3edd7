"""Policies: a named rule with a level, over a review.

`@policy(level="mandatory")` makes a policy of a function that takes a `Review` and returns its violations: an empty
list when there are none, texts, or `Violation`s. The same policy is judged before a plan is applied (over every state
that the plan may reach) and by property tests (over the state that a walk has reached).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args, overload

from rollcast.planner.base.errors import did_you_mean
from rollcast.planner.base.sources import Path
from rollcast.policies.errors import PolicyError

if TYPE_CHECKING:
    from rollcast.policies.rules.review import Review
    from rollcast.policies.rules.states import State

Level = Literal["mandatory", "advisory", "disabled"]
LIMIT_S = 10.0


@dataclass(frozen=True, slots=True)
class Violation:
    """One way in which a rule is broken.

    `path`: keys into the declaration that are to blame, resolved to file, line and column. `remedy`: what would satisfy
    the rule. `state`: the reachable state that breaks it, where it is a state that does.
    """

    message: str
    path: Path = ()
    remedy: str = ""
    state: State | None = None


Rule = Callable[["Review"], Iterable["str | Violation"]]


@dataclass(frozen=True, slots=True)
class Policy:
    """A rule with its name, its level, the reason for it, and how long it may take."""

    name: str
    level: Level
    rule: Rule
    reason: str = ""
    limit_s: float = LIMIT_S
    source: str = ""

    @property
    def of_library(self) -> bool:
        """Whether the rule is a guardrail of the library, and not a project's own."""
        return getattr(self.rule, "__module__", "").startswith("rollcast.policies.library")

    def __call__(self, review: Review) -> Iterable[str | Violation]:
        return self.rule(review)


_COLLECTED: ContextVar[list[Policy] | None] = ContextVar("collected policies", default=None)


@contextmanager
def collecting() -> Iterator[list[Policy]]:
    """Policies that are made inside are added to the list that is given."""
    found: list[Policy] = []
    token = _COLLECTED.set(found)
    try:
        yield found
    finally:
        _COLLECTED.reset(token)


def register(rule: Rule, name: str, level: Level, reason: str = "", limit_s: float = LIMIT_S) -> Policy:
    """A policy, added to those of the project while its files are being read. Raises PolicyError on a bad level."""
    _check_level(level)
    if not callable(rule):
        raise PolicyError(f"policy '{name}' is {rule!r}; a policy is a function that takes the review.")
    code = getattr(rule, "__code__", None)
    source = f"{code.co_filename}:{code.co_firstlineno}" if code else ""
    made = Policy(name, level, rule, reason, limit_s, source)
    collected = _COLLECTED.get()
    if collected is not None:
        collected.append(made)
    return made


def _check_level(level: str) -> None:
    if level not in get_args(Level):
        raise PolicyError(f"there is no level {level!r}. {did_you_mean(str(level), get_args(Level))}")


@overload
def policy(rule: Rule, /) -> Policy: ...


@overload
def policy(
    *, level: Level = "mandatory", name: str | None = None, limit_s: float = LIMIT_S
) -> Callable[[Rule], Policy]: ...


def policy(
    rule: Rule | None = None, /, *, level: Level = "mandatory", name: str | None = None, limit_s: float = LIMIT_S
) -> Policy | Callable[[Rule], Policy]:
    """Make a policy of a function. Its name is the function's with hyphens, its reason the docstring's first line.

    `level`: a mandatory policy blocks, an advisory one is only shown, a disabled one is not judged.
    `limit_s`: a rule that takes longer has failed. Raises PolicyError on an unknown level.
    """

    _check_level(level)

    def make(function: Rule) -> Policy:
        named = name or getattr(function, "__name__", "policy").strip("_").replace("_", "-")
        text = (getattr(function, "__doc__", None) or "").strip().splitlines()
        return register(function, named, level, text[0] if text else "", limit_s)

    return make if rule is None else make(rule)
