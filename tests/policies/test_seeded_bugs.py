"""The property tests find every seeded bug within the quick profile, and nothing where there is none."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollcast.planner.loading.cross_checks import check
from tests.policies.seeded_bugs.broken_declarations import BREAKS, broken_declarations
from tests.policies.seeded_bugs.bugs import BUGS, Bug
from tests.policies.seeded_bugs.finding import find, seek
from tests.policies.seeded_bugs.mutation import NoLongerThere, mutated

QUICKLY_FOUND = (
    "a percentage is off by one",
    "a gate is skipped",
    "the rollback forgets an instance",
    "a drain is shorter than a request may be",
    "buckets depend on the release",
    "percentages may fall",
)


def test_nothing_is_found_where_there_is_no_bug() -> None:
    assert find(None).said == ""


@pytest.mark.parametrize("how", sorted(BREAKS))
@settings(max_examples=10)
@given(st.data())
def test_a_declaration_is_refused_in_every_way_that_it_can_be_broken(how: str, data: st.DataObject) -> None:
    assert check(data.draw(broken_declarations(how)))


@pytest.mark.parametrize("name", QUICKLY_FOUND)
def test_a_few_bugs_are_found_in_every_run(name: str) -> None:
    bug = next(bug for bug in BUGS if bug.name == name)
    assert seek(bug).said


@pytest.mark.slow
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_every_bug_is_found_within_the_quick_profile(bug: Bug) -> None:
    assert seek(bug).said


def test_there_are_at_least_thirty_bugs_each_of_its_own() -> None:
    assert len({(bug.module, bug.old, bug.new) for bug in BUGS}) == len({bug.name for bug in BUGS}) == len(BUGS) >= 30


def test_a_bug_is_taken_out_again() -> None:
    from rollcast.planner.base.buckets import weight_of

    with mutated("rollcast.planner.base.buckets", "return round(percent * TOTAL_WEIGHT / 100)", "return 7"):
        assert weight_of(50) == 7
    assert weight_of(50) == 50_000


def test_a_bug_whose_source_is_gone_says_so() -> None:
    with pytest.raises(NoLongerThere), mutated("rollcast.planner.base.buckets", "no such line", ""):
        pass
