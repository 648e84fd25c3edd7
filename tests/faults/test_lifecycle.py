"""Any operation, in any state, with any call failing: the world stays whole, and the next operation still works.

In the form of Pulumi's own lifecycle fuzzing: whatever live state the last step left, a random declaration, a random
operation and a random broken call. A failure prints the steps that reproduce it.
"""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from rollcast.stacks.ledger.records import verify
from rollcast.stacks.rollouts import under_way
from tests.faults.figures import note
from tests.faults.surviving import assert_whole, ledger_of
from tests.stacks.site import Requests, Site

pytestmark = [pytest.mark.engine, pytest.mark.slow]

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
EXAMPLES, STEPS = (40, 12) if NIGHTLY else (3, 6)
ALLOWED = {0, 1, 4, 5, 6, 7, 130, -9}
faults = st.tuples(st.integers(0, 30), st.sampled_from(["kill", "kill-all", "kill-engine", "fail", "full", "lose"]))
versions = st.fixed_dictionaries({"safety": st.sampled_from([1, 2]), "prompt": st.sampled_from([1, 2])})


def test_any_operation_in_any_state_leaves_a_world_that_is_whole(site: Site) -> None:
    class Lifecycle(RuleBasedStateMachine):
        @initialize()
        def begin(self) -> None:
            self.context = site.requests(30.0)
            self.requests: Requests = self.context.__enter__()
            self.faults = 0

        def run(self, words: list[str], fault: tuple[int, str] | None) -> None:
            done = site.rollcast(*words, faults=dict([fault]) if fault else {}, ROLLCAST_TIMEOUT_S="20")
            self.faults += fault is not None and len(site.passed()) > fault[0]
            assert done.returncode in ALLOWED, done.stdout + done.stderr
            assert "should not" not in done.stderr, done.stderr

        @rule(fault=faults, declared=versions)
        def apply(self, fault: tuple[int, str], declared: dict[str, int]) -> None:
            site.declare(**declared)
            self.run(["apply", "--auto-approve"], fault)

        @rule(fault=faults, declared=versions)
        def supersede(self, fault: tuple[int, str], declared: dict[str, int]) -> None:
            site.declare(**declared)
            self.run(["apply", "--supersede", "--auto-approve"], fault)

        @rule(fault=faults, how=st.sampled_from([["--resume"], ["--once", "--auto-approve"]]))
        def go_on(self, fault: tuple[int, str], how: list[str]) -> None:
            self.run(["apply", *how], fault)

        @rule(fault=faults, command=st.sampled_from([["abort"], ["rollback", "--auto-approve"]]))
        def lead_back(self, fault: tuple[int, str], command: list[str]) -> None:
            self.run(command, fault)

        @rule(order=st.sampled_from([["pause"], ["promote"], ["promote", "--full"]]))
        def order(self, order: list[str]) -> None:
            self.run(order, None)

        @invariant()
        def whole(self) -> None:
            if hasattr(self, "requests"):
                assert self.requests.mixed == 0, self.requests.made_of
                assert self.requests.failed == 0, self.requests.statuses
                verify(ledger_of(site).records())

        def teardown(self) -> None:
            if not hasattr(self, "context"):
                return
            try:
                _settle(site)
                self.whole()
                note(
                    "any operation", rollouts=1, faults=self.faults, survived=self.faults, requests=self.requests.served
                )
            finally:
                self.context.__exit__(None, None, None)

    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Lifecycle,
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None, derandomize=not NIGHTLY,
            phases=[Phase.explicit, Phase.generate],
        ),
    )  # fmt: skip


def _settle(site: Site) -> None:
    """From wherever it is, one more command or two lead to what is declared; then nothing is left to do."""
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
