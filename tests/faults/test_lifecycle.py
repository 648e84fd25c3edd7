"""Any operation, in any state, with any call failing: the world stays whole, and the next operation still works.

In the form of Pulumi's own lifecycle fuzzing: whatever live state the last step left, a random declaration, a random
operation and a random broken call. A failure prints the steps that reproduce it.
"""

from __future__ import annotations

import json
import os
from typing import Any, NamedTuple

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from rollcast.stacks.ledger.records import verify
from rollcast.stacks.rollouts import under_way
from tests.faults.figures import note
from tests.faults.surviving import assert_whole, ledger_of
from tests.stacks.site import Site

pytestmark = [pytest.mark.engine, pytest.mark.slow]

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
EXAMPLES, STEPS = (40, 12) if NIGHTLY else (2, 8)
ALLOWED = {0, 1, 4, 5, 6, 7, 130, -9}


class Step(NamedTuple):
    """A command, in a project that declares these versions, broken at a boundary."""

    words: tuple[str, ...]
    safety: int
    prompt: int
    boundary: int
    action: str


COMMANDS = [
    ("apply", "--auto-approve"),
    ("apply", "--auto-approve"),
    ("apply", "--supersede", "--auto-approve"),
    ("apply", "--once", "--auto-approve"),
    ("apply", "--resume"),
    ("abort",),
    ("rollback", "--auto-approve"),
    ("pause",),
    ("promote", "--full"),
]
steps = st.builds(
    Step,
    st.sampled_from(COMMANDS),
    st.sampled_from([1, 2]),
    st.sampled_from([1, 2]),
    st.integers(0, 25),
    st.sampled_from(["kill", "kill-all", "kill-engine", "fail", "full", "lose"]),
)


@settings(max_examples=EXAMPLES, deadline=None, derandomize=not NIGHTLY, phases=[Phase.explicit, Phase.generate])
@given(st.lists(steps, min_size=STEPS, max_size=STEPS))
def test_any_operation_in_any_state_leaves_a_world_that_is_whole(site: Site, taken: list[Step]) -> None:
    broken = 0
    with site.requests(30.0) as requests:
        for step in taken:
            site.declare(safety=step.safety, prompt=step.prompt)
            done = site.rollcast(*step.words, faults={step.boundary: step.action}, ROLLCAST_TIMEOUT_S="20")
            broken += len(site.passed()) > step.boundary
            assert done.returncode in ALLOWED, done.stdout + done.stderr
            assert "should not" not in done.stderr, done.stderr
            assert requests.mixed == 0, requests.made_of
            assert requests.failed == 0, requests.statuses
            verify(ledger_of(site).records())
        _settle(site)
    assert (requests.mixed, requests.failed) == (0, 0)
    note("any operation", rollouts=1, faults=broken, survived=broken, requests=requests.served)


def _settle(site: Site) -> None:
    """From wherever it is, a command or two lead to what is declared; then nothing is left to do."""
    said: list[Any] = []
    for _ in range(4):
        words = ["--resume"] if under_way(ledger_of(site)) else ["--auto-approve"]
        done = site.rollcast("apply", *words)
        said.append((words, done.returncode, done.stderr[-400:]))
        if done.returncode == 0 and words == ["--auto-approve"]:
            break
    else:
        raise AssertionError(json.dumps(said, indent=1))
    assert_whole(site)
    assert site.rollcast("plan", "--detailed-exitcode").returncode == 0, said
