"""Property tests of a project's rules, in five lines.

    from rollcast.policies.testing import at_every_state

    @at_every_state
    def test_what_is_unproved_serves_testers_only(state):
        assert all(s.audience == "internal" for s in state.shares if (s.line, s.release) in state.unproved)

The test walks rollouts between all releases that the project's artifacts allow, with crashes, bad evidence, aborts and
requests in flight, and fails with the shortest story that breaks the rule.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from rollcast.policies.model_based.machine import RolloutMachine, walk_everywhere
from rollcast.policies.model_based.trace import Counterexample
from rollcast.policies.project import ProjectUnderTest
from rollcast.policies.rules.review import Review
from rollcast.policies.rules.rule import Policy, Violation
from rollcast.policies.rules.states import State

StateRule = Callable[[State], Iterable[str | Violation] | None]
Tested = Policy | StateRule | type[RolloutMachine]


def at_every_state(rule: Tested) -> Callable[[pytest.FixtureRequest], None]:
    """A pytest test that a rule holds at every state of every rollout of the project.

    `rule`: a function that takes a `State` and asserts, or returns violations; a `@policy`; or a `RolloutMachine` with
    invariants of its own. The rollout's own invariants are checked with it. `@pytest.mark.rollcast(examples=…)` asks
    for more or fewer rollouts than the profile.
    """

    def test(request: pytest.FixtureRequest) -> None:
        project: ProjectUnderTest = request.getfixturevalue("rollcast_project")
        marker = request.node.get_closest_marker("rollcast")
        examples = marker.kwargs.get("examples") if marker else None
        profile = project.profile.with_(examples=examples, seed=project.profile.seed)

        def walk() -> None:
            if isinstance(rule, type):
                walk_everywhere(project.reviews(), profile=profile, machine=rule)
            else:
                chosen = rule if isinstance(rule, Policy) else of_states(rule)
                walk_everywhere(project.reviews(), [chosen], profile=profile)

        passes_or_reports(project, walk)

    test.__name__ = rule.name if isinstance(rule, Policy) else getattr(rule, "__name__", "test")
    test.__doc__ = rule.reason if isinstance(rule, Policy) else rule.__doc__
    test.__module__ = getattr(rule, "__module__", __name__)
    return test


def of_states(rule: StateRule) -> Policy:
    """The policy that a rule over single states is. An assertion that fails is its violation."""

    def over_review(review: Review) -> Iterator[str | Violation]:
        for state in review.states:
            try:
                yield from rule(state) or ()
            except AssertionError as failed:
                yield Violation(_said(failed), state=state)

    name = getattr(rule, "__name__", "rule").removeprefix("test_").replace("_", "-")
    return Policy(name, "mandatory", over_review)


def _said(failed: AssertionError) -> str:
    """An assertion in one line: its own words, or the line of code that it stands at."""
    text = str(failed).strip().splitlines()
    frame = traceback.extract_tb(failed.__traceback__)[-1]
    code = f"{frame.line} ({Path(frame.filename).name}:{frame.lineno})"
    return f"{text[0]}, at {code}" if text and not text[0].startswith("assert ") else code


def passes_or_reports(project: ProjectUnderTest, walk: Callable[[], None]) -> None:
    """Fail the test with the story where the walk raises one, and with nothing else."""
    story = ""
    try:
        walk()
    except Counterexample as found:
        story = str(found)
    if story:
        pytest.fail(f"{story}\n{_again(project)}".strip(), pytrace=False)


def _again(project: ProjectUnderTest) -> str:
    """How to see the same story again."""
    if project.profile.seed is None:
        return ""
    return f"Again     rollcast policy test --seed {project.profile.seed} --examples {project.profile.examples}"


__all__ = ["RolloutMachine", "at_every_state", "of_states", "passes_or_reports"]
