"""Looks for a bug with the property tests, within the quick profile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from unittest.mock import patch

from hypothesis import given, seed, settings

from rollcast.planner.base.errors import UnsafePlan
from rollcast.planner.declaration.models import Declaration
from rollcast.planner.loading.cross_checks import check
from rollcast.policies.model_based.machine import settings_of, walk_everywhere
from rollcast.policies.model_based.profiles import QUICK, SearchProfile
from rollcast.policies.model_based.reviews import reviews
from rollcast.policies.rules.review import Review
from tests.policies.seeded_bugs.broken_declarations import BREAKS, broken_declarations
from tests.policies.seeded_bugs.bugs import Bug
from tests.policies.seeded_bugs.mutation import mutated


@dataclass(frozen=True)
class Found:
    """What the property tests said of a bug; `said` is empty where they found nothing."""

    said: str
    seconds: float


def seek(bug: Bug) -> Found:
    """What the first run that finds a bug says, of as many as it may take."""
    for seed_ in range(bug.runs):
        said = find(bug, seed_=seed_)
        if said.said:
            break
    return said


def find(bug: Bug | None, *, seed_: int = 0, shrink_s: float = 0.0) -> Found:
    """Run the property tests with a bug in the code; without one, they must find nothing.

    The planner's own proof is switched off: what is shown is what walking finds, not what deciding finds.
    """
    profile = replace(QUICK, seed=seed_, shrink_s=shrink_s)
    started = time.perf_counter()
    with _unproved(), mutated(f"rollcast.planner.{bug.module}", bug.old, bug.new) if bug else _unproved():
        said = _declarations(profile) if bug is not None and bug.part == "declaration" else _walks(profile)
    return Found(said, time.perf_counter() - started)


def proof_finds(bug: Bug, *, seed_: int = 0) -> bool:
    """Whether the planner's own proof refuses some plan that the bug makes."""

    @seed(seed_)
    @settings(parent=settings_of(replace(QUICK, shrink_s=0.0)))
    @given(reviews())
    def every_plan_is_proved_safe(review: Review) -> None:
        assert review.plan

    with mutated(f"rollcast.planner.{bug.module}", bug.old, bug.new):
        try:
            every_plan_is_proved_safe()
        except UnsafePlan:
            return True
        except Exception:
            return False
    return False


def _walks(profile: SearchProfile) -> str:
    try:
        walk_everywhere(reviews(), profile=profile)
    except Exception as found:
        return _first_line(found)
    return ""


def _declarations(profile: SearchProfile) -> str:
    """The profile's examples, shared out over the ways in which a declaration can be broken."""
    each = replace(profile, examples=profile.examples // len(BREAKS))
    for how in BREAKS:
        said = _refused(how, each)
        if said:
            return said
    return ""


def _refused(how: str, profile: SearchProfile) -> str:
    @seed(profile.seed)
    @settings(parent=settings_of(profile))
    @given(broken_declarations(how))
    def every_broken_declaration_is_refused(declaration: Declaration) -> None:
        try:
            mistakes = check(declaration)
        except Exception as error:
            raise AssertionError(f"{how}: the checks break: {type(error).__name__}: {error}") from None
        assert mistakes, f"{how}: no mistake is found"

    try:
        every_broken_declaration_is_refused()
    except AssertionError as found:
        return _first_line(found)
    return ""


def _first_line(found: Exception) -> str:
    text = str(found).splitlines()
    line = text[0] if text else ""
    kind = "" if isinstance(found, AssertionError) else f"{type(found).__name__}: "
    return kind + line.removeprefix("The rollout's own invariant does not hold: ")


@contextmanager
def _unproved() -> Iterator[None]:
    with patch("rollcast.planner.planning.planner.assert_safe", lambda plan: None):
        yield
