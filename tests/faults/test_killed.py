"""Killed at any boundary and gone on with, a rollout ends as if nothing had happened, and no request met a mix."""

from __future__ import annotations

import os

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.faults.figures import FIGURES, note
from tests.faults.surviving import assert_whole, carry_through, meaning
from tests.stacks.site import Site

pytestmark = [pytest.mark.engine, pytest.mark.slow]

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
EXAMPLES = 75 if NIGHTLY else 10
BACK_EXAMPLES = 15 if NIGHTLY else 3
KILLS = 5
FORWARDS = (["0", "1", "2", "3"], "promoted")

ways = st.sampled_from(["kill", "kill", "kill", "kill-all", "kill-all", "kill-engine"])
points = st.tuples(st.integers(0, 14), ways)
some_kills = st.lists(points, min_size=KILLS, max_size=KILLS)
often = settings(max_examples=EXAMPLES, deadline=None, derandomize=not NIGHTLY, phases=[Phase.explicit, Phase.generate])


@often
@given(kills=some_kills)
def test_a_killed_apply_resumes_to_the_same_state(site: Site, kills: list[tuple[int, str]]) -> None:
    other = 2 if site.components()["safety"].endswith("@1") else 1
    site.declare(safety=other)
    with site.requests() as requests:
        found = carry_through(site, kills)
    told = "\n".join(found.said)
    assert meaning(site) == FORWARDS, told
    assert site.components()["safety"] == f"no-code-execution@{other}", told
    assert_whole(site)
    assert site.rollcast("plan", "--detailed-exitcode").returncode == 0, "the live state is not as declared"
    assert requests.mixed == 0, requests.made_of
    assert requests.failed == 0, requests.statuses
    note("kill, apply", rollouts=1, faults=found.faults, survived=found.faults, requests=requests.served)


@settings(often, max_examples=BACK_EXAMPLES)
@given(started=st.tuples(st.integers(14, 34), st.just("kill-all")), kills=some_kills)
def test_a_killed_rollback_resumes_to_where_it_began(
    site: Site, started: tuple[int, str], kills: list[tuple[int, str]]
) -> None:
    before = site.components()
    site.declare(safety=2 if before["safety"].endswith("@1") else 1)
    with site.requests() as requests:
        broken = site.rollcast("apply", "--auto-approve", faults=dict([started]))
        if broken.returncode == 0:
            return  # it ended before its fault
        found = carry_through(site, kills, command="abort")
    told = "\n".join([broken.stderr, *found.said])
    reached, outcome = meaning(site)
    assert outcome == "rolled_back", told
    assert len(reached) == len(set(reached)), reached
    assert site.components() == before, told
    assert_whole(site)
    assert requests.mixed == 0, requests.made_of
    assert requests.failed == 0, requests.statuses
    note("kill, rollback", rollouts=1, faults=found.faults + 1, survived=found.faults + 1, requests=requests.served)


def test_enough_kills_were_tried() -> None:
    assert FIGURES["kill, apply"]["faults"] >= (300 if NIGHTLY else 40)
