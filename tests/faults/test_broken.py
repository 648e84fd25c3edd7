"""Calls that fail, hang, half succeed or lose their answer, and a full disk: gone on with, it ends as if unbroken."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.faults.figures import survived, tried
from tests.faults.surviving import assert_promoted, assert_whole, carry_through, lost, meaning
from tests.stacks.site import Site

pytestmark = [pytest.mark.engine, pytest.mark.slow]

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
EXAMPLES, PARTS = (5, 6) if NIGHTLY else (2, 1)
HANGS, HANG_PARTS = (5, 3) if NIGHTLY else (1, 1)
MILESTONES = ["0", "1", "2", "3"]
often = settings(deadline=None, derandomize=not NIGHTLY, phases=[Phase.explicit, Phase.generate])
# Nothing of a driver may hang here: its own waits are for the engine, which has a limit, and for the database.
somewhere = st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["fail", "full", "lose"])), min_size=5, max_size=5)


@pytest.fixture(scope="module")
def in_provider(site: Site) -> list[str]:
    """The boundaries of an unbroken run that lie in the provider, by name: their numbers move with the driver's own."""
    site.declare(safety=2)
    with site.requests():
        assert site.rollcast("apply", "--auto-approve", faults={}).returncode == 0
    names = site.passed()
    found = [f"{n}#{names[:i].count(n)}" for i, n in enumerate(names) if n.startswith("provider: before")]
    assert len(found) >= 6, names
    return found[:6]  # the last ones may be passed or not, by what is there to retire


def _change(site: Site) -> int:
    other = site.other_version()
    site.declare(safety=other)
    return other


@pytest.mark.parametrize("part", range(PARTS))
def test_calls_that_fail_anywhere_are_gone_on_with(site: Site, part: int) -> None:
    @settings(often, max_examples=EXAMPLES)
    @given(faults=somewhere)
    def broken(faults: list[tuple[int, str]]) -> None:
        _gone_on_with(site, faults, "calls that fail, lose their answer, or find the disk full")

    broken()


@pytest.mark.parametrize("part", range(HANG_PARTS))
def test_a_provider_that_hangs_is_ended_in_time(site: Site, in_provider: list[str], part: int) -> None:
    @settings(often, max_examples=HANGS)
    @given(failpoint=st.sampled_from(in_provider))
    def hanging(failpoint: str) -> None:
        _gone_on_with(site, [(failpoint, "hang")], "a provider that hangs", timeout_s="4")

    hanging()


def _gone_on_with(site: Site, faults: Sequence[tuple[int | str, str]], kind: str, timeout_s: str = "20") -> None:
    version = _change(site)
    with site.requests() as requests:
        found = carry_through(site, faults, timeout_s=timeout_s)
    tried(kind, found.faults, requests, lost(meaning(site)[0], MILESTONES))
    assert_promoted(site, version, MILESTONES, requests, "\n".join(found.said))
    survived(kind, found.faults)


def test_a_failed_operation_leaves_the_last_milestone_serving_and_says_what_serves(site: Site) -> None:
    before = site.components()
    serving = site.status()["serving"]
    _change(site)
    with site.requests() as requests:
        failed = site.rollcast("apply", "--auto-approve", faults={"provider: before a write": "full"})
        assert failed.returncode == 1
        assert serving[0]["release"] in failed.stderr, "it says what serves now"
        assert "rollcast apply --resume" in failed.stderr
        assert site.components() == before
        back = site.rollcast("abort")
    tried("a disk that stays full", 1, requests)
    assert back.returncode == 4, back.stdout + back.stderr
    assert_whole(site)
    assert (requests.mixed, requests.failed) == (0, 0), requests
    survived("a disk that stays full", 1)


def test_a_rollback_that_fails_says_exactly_what_serves_and_what_to_run(site: Site) -> None:
    before = site.components()
    _change(site)
    with site.requests() as requests:
        broken = site.rollcast("apply", "--auto-approve", faults={"engine: before an update#2": "kill-all"})
        assert broken.returncode == -9
        stuck = site.rollcast("abort", faults={"provider: before a write": "full"})
        assert stuck.returncode == 1, stuck.stdout + stuck.stderr
        assert "what serves now is" in stuck.stderr
        assert "rollcast a" in stuck.stderr.rsplit("Go on with", 1)[-1]
        done = site.rollcast("abort")
    tried("a rollback that fails", 2, requests)
    assert done.returncode == 4, done.stdout + done.stderr
    assert site.components() == before
    assert_whole(site)
    assert (requests.mixed, requests.failed) == (0, 0), requests
    survived("a rollback that fails", 2)
