"""Killed at any boundary and gone on with, a rollout ends as if nothing had happened, and no request got a mix.

With HYPOTHESIS_PROFILE=nightly each test becomes several of the same kind, each of which draws kills of its own: so
that workers share them (`-n 2 --dist worksteal`), and so that a failure costs its own part of the night alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.faults.figures import survived, tried
from tests.faults.surviving import assert_promoted, assert_whole, carry_through, lost, meaning
from tests.stacks.site import Site, first_released

pytestmark = [pytest.mark.engine, pytest.mark.slow]

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
EXAMPLES, PARTS = (5, 15) if NIGHTLY else (6, 1)
BACK_EXAMPLES, BACK_PARTS = (5, 3) if NIGHTLY else (3, 1)
PLACE_EXAMPLES, PLACE_PARTS = (5, 3) if NIGHTLY else (1, 1)
KILLS = 5
FORWARDS = ["0", "1", "2", "3"]

ways = st.sampled_from(["kill", "kill", "kill", "kill-all", "kill-all", "kill-engine"])
points = st.tuples(st.integers(0, 14), ways)
some_kills = st.lists(points, min_size=KILLS, max_size=KILLS)
often = settings(deadline=None, derandomize=not NIGHTLY, phases=[Phase.explicit, Phase.generate])


@pytest.mark.parametrize("part", range(PARTS))
def test_a_killed_apply_resumes_to_the_same_state(site: Site, part: int) -> None:
    kills_met = 0

    @settings(often, max_examples=EXAMPLES)
    @given(kills=some_kills)
    def killed(kills: list[tuple[int, str]]) -> None:
        nonlocal kills_met
        kills_met += _killed_apply(site, kills, "killed while applying", FORWARDS)

    killed()
    assert kills_met >= 4 * EXAMPLES, "too few of the kills came before the end of what they were to kill"


@pytest.fixture(scope="module")
def overwritten(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Version 1 of everything serves, and the safety policy can't run twice: it changes in place."""
    with first_released(tmp_path_factory.mktemp("in-place") / "project", in_place=True) as made:
        yield made


@pytest.mark.parametrize("part", range(PLACE_PARTS))
def test_a_killed_change_in_place_resumes_to_the_same_state(overwritten: Site, part: int) -> None:
    folder = overwritten.folder / ".rollcast/live/instances/rag-search/safety"

    @settings(often, max_examples=PLACE_EXAMPLES)
    @given(kills=some_kills)
    def killed(kills: list[tuple[int, str]]) -> None:
        _killed_apply(overwritten, kills, "killed while changing in place", ["0"], in_place=True)
        assert len(list(folder.rglob("manifest.json"))) == 1, "one folder holds each version in its turn"

    killed()


def _killed_apply(
    site: Site, kills: list[tuple[int, str]], kind: str, milestones: list[str], in_place: bool = False
) -> int:
    """One release, killed again and again and gone on with. Gives how many of the kills happened."""
    version = site.other_version()
    site.declare(safety=version, in_place=in_place)
    with site.requests() as requests:
        found = carry_through(site, kills)
    output = "\n".join(found.said)
    tried(kind, found.faults, requests, lost(meaning(site)[0], milestones))
    assert_promoted(site, version, milestones, requests, output)
    assert site.rollcast("plan", "--detailed-exitcode").returncode == 0, "the live state is not as declared"
    survived(kind, found.faults)
    return found.faults


@pytest.mark.parametrize("part", range(BACK_PARTS))
def test_a_killed_rollback_resumes_to_where_it_began(site: Site, part: int) -> None:
    @settings(often, max_examples=BACK_EXAMPLES)
    @given(started=st.tuples(st.integers(14, 34), st.just("kill-all")), kills=some_kills)
    def killed(started: tuple[int, str], kills: list[tuple[int, str]]) -> None:
        _killed_rollback(site, started, kills)

    killed()


def _killed_rollback(site: Site, started: tuple[int, str], kills: list[tuple[int, str]]) -> None:
    before = site.components()
    site.declare(safety=site.other_version())
    with site.requests() as requests:
        broken = site.rollcast("apply", "--auto-approve", faults=dict([started]))
        if broken.returncode == 0:
            return  # it ended before its fault
        found = carry_through(site, kills, command="abort")
    output = "\n".join([broken.stderr, *found.said])
    reached, outcome = meaning(site)
    kind, faults = "killed while rolling back", found.faults + 1
    tried(kind, faults, requests, len(reached) - len(set(reached)))
    assert outcome == "rolled_back", output
    assert len(reached) == len(set(reached)), reached
    assert site.components() == before, output
    assert_whole(site)
    assert requests.mixed == 0, requests.made_of
    assert requests.failed == 0, requests.statuses
    survived(kind, faults)
