"""Calls that fail, hang, half succeed or lose their answer, and a full disk: gone on with, it ends as if unbroken."""

from __future__ import annotations

import os

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.faults.figures import note
from tests.faults.surviving import assert_whole, carry_through, meaning
from tests.stacks.site import Site

pytestmark = [pytest.mark.engine, pytest.mark.slow]

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
EXAMPLES = 30 if NIGHTLY else 4
often = settings(max_examples=EXAMPLES, deadline=None, derandomize=not NIGHTLY, phases=[Phase.explicit, Phase.generate])
# Nothing of a driver may hang here: its own waits are for the engine, which has a limit, and for the database.
somewhere = st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["fail", "full", "lose"])), min_size=5, max_size=5)


@pytest.fixture(scope="module")
def in_provider(site: Site) -> list[int]:
    """The boundaries of an unbroken run that lie in the provider."""
    site.declare(safety=2)
    with site.requests():
        assert site.rollcast("apply", "--auto-approve", faults={}).returncode == 0
    names = site.passed()
    first = [number for number, name in enumerate(names) if name.startswith("provider: before")]
    assert len(first) >= 6, names
    return first


def _change(site: Site) -> int:
    other = 2 if site.components()["safety"].endswith("@1") else 1
    site.declare(safety=other)
    return other


def _assert_promoted(site: Site, version: int, told: str) -> None:
    assert meaning(site) == (["0", "1", "2", "3"], "promoted"), told
    assert site.components()["safety"] == f"no-code-execution@{version}", told
    assert_whole(site)


@often
@given(faults=somewhere)
def test_calls_that_fail_anywhere_are_gone_on_with(site: Site, faults: list[tuple[int, str]]) -> None:
    version = _change(site)
    with site.requests() as requests:
        found = carry_through(site, faults)
    _assert_promoted(site, version, "\n".join(found.said))
    assert (requests.mixed, requests.failed) == (0, 0), requests
    note("fail, lose, full", rollouts=1, faults=found.faults, survived=found.faults, requests=requests.served)


@settings(often, max_examples=EXAMPLES // 2)
@given(data=st.data())
def test_a_provider_that_hangs_is_ended_in_time(site: Site, in_provider: list[int], data: st.DataObject) -> None:
    version = _change(site)
    number = data.draw(st.sampled_from(in_provider))
    with site.requests() as requests:
        found = carry_through(site, [(number, "hang")], timeout_s="4")
    _assert_promoted(site, version, "\n".join(found.said))
    assert (requests.mixed, requests.failed) == (0, 0), requests
    note("hang", rollouts=1, faults=found.faults, survived=found.faults, requests=requests.served)


def test_a_failed_operation_leaves_the_last_milestone_serving_and_says_what_serves(
    site: Site, in_provider: list[int]
) -> None:
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
    assert back.returncode == 4, back.stdout + back.stderr
    assert_whole(site)
    assert (requests.mixed, requests.failed) == (0, 0), requests
    note("disk full", rollouts=1, faults=1, survived=1, requests=requests.served)


def test_a_rollback_that_fails_says_exactly_what_serves_and_what_to_run(site: Site, in_provider: list[int]) -> None:
    before = site.components()
    _change(site)
    with site.requests() as requests:
        broken = site.rollcast("apply", "--auto-approve", faults={in_provider[0] + 24: "kill-all"})
        assert broken.returncode == -9
        stuck = site.rollcast("abort", faults={"provider: before a write": "full"})
        assert stuck.returncode == 1, stuck.stdout + stuck.stderr
        assert "what serves now is" in stuck.stderr
        assert "rollcast a" in stuck.stderr.rsplit("Go on with", 1)[-1]
        done = site.rollcast("abort")
    assert done.returncode == 4, done.stdout + done.stderr
    assert site.components() == before
    assert_whole(site)
    assert (requests.mixed, requests.failed) == (0, 0), requests
    note("rollback fails", rollouts=1, faults=2, survived=2, requests=requests.served)
