"""The machine's clock jumps while a rollout is under way: for rollcast, its provider and the service that it releases.

Only the wall clock jumps, as on a real machine; the monotonic clock runs on (`jumping_clock.c`). A stage lasts at least
three seconds, so that each jump falls into one, and a minute at most, so that a jump that hurries it rolls it back.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from rollcast.stacks.ledger.records import Record
from rollcast.stacks.ledger.rollouts import STARTED
from tests.faults.clocks import MachineClock
from tests.faults.figures import survived, tried
from tests.faults.surviving import assert_promoted, ledger_of, lost, meaning
from tests.stacks.site import ROLLOUT, Site, first_released

pytestmark = [pytest.mark.engine, pytest.mark.slow]

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
EXAMPLES = 10 if NIGHTLY else 1
KIND = "the wall clock jumps"
WHOLE_STAGES = ROLLOUT.replace("min: 200ms", "min: 3s")
MILESTONES = ["0", "1", "2", "3"]
STAGES = ("1", "2")  # milestones of whose stages each is jumped in
_HOUR_S = 3600
_MONTH_S = 30 * 24 * _HOUR_S
jumps = st.sampled_from([_HOUR_S, -_HOUR_S, _MONTH_S, -_MONTH_S])


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> MachineClock:
    return MachineClock(tmp_path_factory.mktemp("clock"))


@pytest.fixture(scope="module")
def jumping(clock: MachineClock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Version 1 of everything serves, and all of it goes by the clock that jumps."""
    with first_released(tmp_path_factory.mktemp("site") / "project", clock.environment) as made:
        yield made


def test_a_clock_that_jumps_neither_hurries_a_rollout_nor_turns_it_back(jumping: Site, clock: MachineClock) -> None:
    @settings(max_examples=EXAMPLES, deadline=None, derandomize=not NIGHTLY, phases=[Phase.explicit, Phase.generate])
    @given(by_s=st.tuples(*[jumps for _ in STAGES]))
    @example(by_s=(_MONTH_S, -_MONTH_S))
    def jumped(by_s: tuple[int, ...]) -> None:
        _jumped(jumping, clock, by_s)

    jumped()


def _jumped(site: Site, clock: MachineClock, by_s: tuple[int, ...]) -> None:
    version = site.other_version()
    site.declare(safety=version, rollout=WHOLE_STAGES)
    began = len(ledger_of(site).records())
    with (
        site.requests() as requests,
        site.background("apply", "--auto-approve", "--no-forecast", **clock.environment) as apply,
    ):
        for milestone, jump_s in zip(STAGES, by_s, strict=True):
            if not _reached(site, began, milestone, apply):
                break
            clock.jump(jump_s)
        said, errors = apply.communicate(timeout=200)
    tried(KIND, len(by_s), requests, lost(meaning(site)[0], MILESTONES))
    assert apply.returncode == 0, said + errors
    assert_promoted(site, version, MILESTONES, requests, said + errors)
    telemetry = (site.folder / ".rollcast/live/telemetry/requests.jsonl").read_text("utf-8").splitlines()
    assert abs(json.loads(telemetry[-1])["time"] - time.time() - clock.offset_s) < 60, "the service's clock is another"
    apart_s = [later.time_s - earlier.time_s for earlier, later in pairwise(_records(site, began))]
    assert sum(abs(gap_s) > _HOUR_S / 2 for gap_s in apart_s) == len(by_s), "rollcast did not see every jump"
    survived(KIND, len(by_s))


def _records(site: Site, began: int) -> list[Record]:
    """Of the rollout that began after so many records; none before it did."""
    records = ledger_of(site).records(began - 1)
    started = next((r for r in records if r.kind == STARTED), None)
    return [r for r in records if started is not None and r.rollout == started.rollout]


def _reached(site: Site, began: int, milestone: str, apply: subprocess.Popen[str]) -> bool:
    """Whether that rollout has reached a milestone, once it has; False where `apply` ended without."""
    while apply.poll() is None:
        if any(r.kind == "reached" and str(r.body["milestone"]) == milestone for r in _records(site, began)):
            return True
        time.sleep(0.1)
    return False
