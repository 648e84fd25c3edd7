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
from rollcast.stacks.ledger.rollouts import under_way
from tests.faults.figures import survived, tried
from tests.faults.surviving import assert_whole, ledger_of
from tests.stacks.site import CANARY, ROLLOUT, Site

pytestmark = [pytest.mark.engine, pytest.mark.slow]

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
EXAMPLES, PARTS, STEPS = (4, 10, 12) if NIGHTLY else (2, 1, 8)
ALLOWED = {0, 1, 4, 5, 6, 7, 130, -9}
ROLLOUTS = {
    "canary": ROLLOUT,
    "blue-green": ROLLOUT.replace(CANARY, "strategy: blue-green"),
    "staged": ROLLOUT.replace(CANARY, "strategy: staged\n  stages: [{audience: everyone, percent: [20, 100]}]"),
    "one after another": ROLLOUT.replace("  ship_together: [[generator, safety]]\n", ""),
    "kept warm": ROLLOUT.replace("  timeout:", "  keep_warm: 1s\n  timeout:"),
}


class Step(NamedTuple):
    """A command, in a project that declares this, broken at a boundary."""

    words: tuple[str, ...]
    safety: int
    prompt: int
    search: int
    rollout: str
    failpoint: int
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
    ("promote", "--full", "--reason", "drawn"),
]
steps = st.builds(
    Step,
    st.sampled_from(COMMANDS),
    st.sampled_from([1, 2, 3]),
    st.sampled_from([1, 2]),
    st.sampled_from([1, 1, 1, 2] if NIGHTLY else [1]),  # 2 is an index, built and warmed: three waves, 20 s
    st.sampled_from(sorted(ROLLOUTS)),
    st.integers(0, 25),
    st.sampled_from(["kill", "kill-all", "kill-engine", "fail", "full", "lose"]),
)


@pytest.mark.parametrize("part", range(PARTS))
def test_any_operation_in_any_state_leaves_a_world_that_is_whole(site: Site, part: int) -> None:
    @settings(max_examples=EXAMPLES, deadline=None, derandomize=not NIGHTLY, phases=[Phase.explicit, Phase.generate])
    @given(st.lists(steps, min_size=STEPS, max_size=STEPS))
    def operated(taken: list[Step]) -> None:
        _take(site, taken)

    operated()


def _take(site: Site, taken: list[Step]) -> None:
    """Takes all the steps, then goes on until what is declared serves."""
    kind, broken = "any operation in any state", 0
    with site.requests(30.0) as requests:
        try:
            for step in taken:
                broken += _step(site, step)
                assert requests.mixed == 0, requests.made_of
                assert requests.failed == 0, requests.statuses
            _settle(site)
        finally:
            tried(kind, broken, requests)
    assert (requests.mixed, requests.failed) == (0, 0)
    survived(kind, broken)


def _step(site: Site, step: Step) -> bool:
    """One operation; whether its boundary was reached."""
    site.declare(safety=step.safety, prompt=step.prompt, search=step.search, rollout=ROLLOUTS[step.rollout])
    done = site.rollcast(*step.words, faults={step.failpoint: step.action}, ROLLCAST_TIMEOUT_S="20")
    assert done.returncode in ALLOWED, done.stdout + done.stderr
    assert "should not" not in done.stderr, done.stderr
    verify(ledger_of(site).records())
    return len(site.passed()) > step.failpoint


def _settle(site: Site) -> None:
    """From wherever it is, a command or two lead to what is declared; then nothing is left to do."""
    said: list[Any] = []
    for _ in range(6):
        words = ["--resume"] if under_way(ledger_of(site)) else ["--auto-approve"]
        done = site.rollcast("apply", *words)
        said.append((words, done.returncode, done.stderr[-400:]))
        if done.returncode == 5 and "not tried again" in done.stdout:
            assert site.rollcast("retry", "--reason", "what broke it is over").returncode == 0
        if done.returncode == 0 and words == ["--auto-approve"]:
            break
    else:
        raise AssertionError(json.dumps(said, indent=1))
    assert_whole(site)
    assert site.rollcast("plan", "--detailed-exitcode").returncode == 0, said
