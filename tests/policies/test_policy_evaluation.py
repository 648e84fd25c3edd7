"""A rule gives one judgement, whatever it does; a broken rule never passes."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcast.policies import NotJudged, Policy, PolicyError, Review, Violation, evaluate, policy
from tests.policies.reviews import DECLARED, review_of


def judged(rule: Callable[[Review], object], **options: object) -> object:
    made = policy(**options)(rule)  # type: ignore[call-overload]
    (judgement,) = evaluate(review_of(), [made])
    return judgement


def raises(review: Review) -> list[str]:
    return [review.plan.no_such_field]  # type: ignore[attr-defined]


def exits(review: Review) -> list[str]:
    sys.exit(0)


def loops(review: Review) -> list[str]:
    while True:
        pass


def loops_and_catches(review: Review) -> list[str]:
    while True:
        try:
            sum(range(1000))
        except Exception:
            continue


def never_ends(review: Review) -> Iterator[str]:
    while True:
        yield from ()


def recurses(review: Review) -> list[str]:
    return recurses(review)


def forgets_to_return(review: Review) -> None:
    [state for state in review.states if not state.shares]


def one_text(review: Review) -> str:
    return "all is lost"


def true(review: Review) -> bool:
    return True


def number(review: Review) -> int:
    return 7


def a_list_of_numbers(review: Review) -> list[int]:
    return [7]


def empty_texts(review: Review) -> list[str]:
    return [""]


def a_violation_without_text(review: Review) -> list[Violation]:
    return [Violation(None)]  # type: ignore[arg-type]


def hangs_in_c(review: Review) -> list[str]:
    return [str(10**10_000_000)]  # one call that no exception interrupts


def ends_the_process(review: Review) -> list[str]:
    os._exit(0)


def crashes(review: Review) -> list[str]:
    faulthandler.disable()  # its page of text is meant for a crash that nobody ordered
    return [ctypes.string_at(0).decode()]


def takes_all_memory(review: Review) -> list[str]:
    held = []
    while True:
        held.append(bytearray(64 << 20))


def ignores_that_it_is_stopped(review: Review) -> list[str]:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP})
    time.sleep(600)
    return []


def forks(review: Review) -> list[str]:
    if os.fork() == 0:
        time.sleep(600)
    os._exit(0)


BROKEN = [
    hangs_in_c, ends_the_process, crashes, takes_all_memory, ignores_that_it_is_stopped, forks,
    raises, exits, loops, loops_and_catches, never_ends, recurses, forgets_to_return, one_text, true, number,
    a_list_of_numbers, empty_texts, a_violation_without_text,
]  # fmt: skip


def tampers_and_ends(review: Review) -> list[str]:
    review.plan.milestones[0].serving["default"] = ()
    os._exit(3)


def children() -> set[str]:
    """The processes of this one."""
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text("ascii").split())


BROKEN_QUICKLY = [ends_the_process, crashes, raises, exits, recurses, number, forks, tampers_and_ends]


@pytest.mark.parametrize("rule", BROKEN, ids=lambda rule: rule.__name__)
def test_a_broken_rule_is_a_failure_that_says_what_is_wrong_with_it(rule: Callable[[Review], object]) -> None:
    judgement = judged(rule, limit_s=0.3)
    assert not judgement.passed
    assert judgement.broken
    assert judgement.blocks("simulate")
    assert judgement.message.startswith(f"the rule '{rule.__name__.replace('_', '-')}' (")
    assert "test_policy_evaluation.py:" in judgement.message


@given(st.lists(st.sampled_from([*BROKEN_QUICKLY, "passes", "finds"]), max_size=5))
def test_a_broken_rule_harms_no_other_one_and_not_this_process(rules: list[Callable[[Review], object] | str]) -> None:
    """Whatever stands beside them, good rules are judged as if they stood alone."""
    before = children()
    good: dict[str, Callable[[Review], object]] = {"passes": lambda review: [], "finds": lambda review: ["something"]}
    made = [policy(name=f"rule-{n}")(good[rule] if isinstance(rule, str) else rule) for n, rule in enumerate(rules)]
    for rule, judgement in zip(rules, evaluate(review_of(), made), strict=True):
        assert judgement.broken is not isinstance(rule, str)
        assert judgement.passed is (rule == "passes")
        assert [found.message for found in judgement.findings] == (["something"] if rule == "finds" else [])
    assert children() <= before, "no process is left behind"


@given(st.one_of(st.none(), st.integers(), st.text(), st.booleans(), st.lists(st.integers(), min_size=1), st.just({})))
def test_nothing_but_violations_passes_for_an_answer(nonsense: object) -> None:
    assert judged(lambda review: nonsense).broken  # type: ignore[attr-defined]


def test_a_rule_that_changes_the_plan_fails_and_the_plan_stays_as_it_was() -> None:
    review = review_of()
    before = review.plan.digest

    @policy
    def tampers(review: Review) -> list[str]:
        review.plan.milestones[0].serving["default"] = ()
        return []

    @policy
    def looks(review: Review) -> list[str]:
        return ["tampered"] if review.plan.digest != before else []

    first, second = evaluate(review, [tampers, looks])
    assert review.plan.digest == before
    assert first.broken
    assert "changed the plan" in first.message
    assert second.passed


def test_what_a_rule_prints_does_not_reach_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    @policy
    def talks(review: Review) -> list[str]:
        print("here I am")  # noqa: T201
        return []

    evaluate(review_of(), [talks])
    shown = capfd.readouterr()
    assert shown.out == ""
    assert "here I am" in shown.err


def test_an_unknown_level_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(PolicyError, match="Did you mean 'mandatory'"):
        policy(level="mandatry")  # type: ignore[call-overload]


def test_violations_point_at_the_line_of_the_declaration() -> None:
    @policy
    def points(review: Review) -> Iterable[Violation]:
        yield Violation("no", review.component_path("default", "generator"), "Take writer@1.")

    (judgement,) = evaluate(review_of(), [points])
    track = DECLARED[: DECLARED.index("writer@2}")].count("\n") + 1
    assert judgement.findings[0].place == f"rollcast.yaml:{track}:15"
    assert judgement.message == f"rollcast.yaml:{track}:15: no Take writer@1."


def never(review: Review) -> list[str]:
    return ["never"]


NEVER = Policy("never", "mandatory", never)


def overridden(expires: str, policy_name: str = "never") -> str:
    return DECLARED + f"overrides:\n  - {{policy: {policy_name}, reason: signed off, expires: {expires!r}}}\n"


@given(st.dates(date(2020, 1, 1), date(2030, 1, 1)), st.dates(date(2020, 1, 1), date(2030, 1, 1)))
def test_an_override_lasts_through_its_last_day_and_stays_a_recorded_failure(today: date, expires: date) -> None:
    (judgement,) = evaluate(review_of(overridden(expires.isoformat()), today=today), [NEVER])
    assert not judgement.passed
    assert judgement.blocks() is (today > expires)
    assert ("signed off" in judgement.message) is (today <= expires)
    assert (judgement.to_json()["override"] is not None) is (today <= expires)


def test_an_override_with_an_impossible_date_does_not_count() -> None:
    (judgement,) = evaluate(review_of(overridden("2026-02-31")), [NEVER])
    assert judgement.blocks()
    assert "2026-02-31" in judgement.message


def test_an_override_that_names_no_policy_is_shown_with_the_nearest_name() -> None:
    judgement, odd = evaluate(review_of(overridden("2027-01-01", "nevr")), [NEVER])
    assert judgement.blocks()
    assert not odd.blocks()
    assert "Did you mean 'never'?" in odd.message
    assert odd.message.startswith("rollcast.yaml:15:5:")


def test_a_mandatory_rule_without_its_forecast_neither_passes_nor_forbids_a_plan_but_forbids_apply() -> None:
    @policy
    def needs_forecast(review: Review) -> list[str]:
        raise NotJudged("no forecast")

    (judgement,) = evaluate(review_of(), [needs_forecast])
    assert not judgement.passed
    assert not judgement.judged
    assert [judgement.blocks(command) for command in ("plan", "simulate", "apply")] == [False, False, True]


def test_levels_decide_what_blocks() -> None:
    levels = [policy(level=level, name=level)(never) for level in ("mandatory", "advisory", "disabled")]  # type: ignore[call-overload]
    judgements = evaluate(review_of(), levels)
    assert {one.policy: one.blocks() for one in judgements} == {"mandatory": True, "advisory": False}
