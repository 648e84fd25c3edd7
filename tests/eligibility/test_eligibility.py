"""Whether a release may enter an environment: by the histories of the one before, and by approvals."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcast.planner.declaration.models import After, Declaration
from rollcast.planner.plan.models import LiveState, Plan
from rollcast.planner.planning.planner import make_plan
from rollcast.stacks.base.clock import Clock
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.eligibility.approvals import APPROVED, ApprovedBody, approvals_of, approve
from rollcast.stacks.eligibility.periods import served_history
from rollcast.stacks.eligibility.rule import Eligibility, eligibility_of, judged, lasting
from rollcast.stacks.ledger.ledger import Ledger, open_ledger
from rollcast.stacks.ledger.payloads import FinishedBody, OrderedBody, StartedBody
from rollcast.stacks.ledger.records import Record, link
from rollcast.stacks.ledger.rejections import SUPERSEDED
from rollcast.stacks.ledger.rollouts import FINISHED, STARTED
from rollcast.stacks.project import Project

TRACK = "default"


@dataclass(frozen=True)
class Rollout:
    """One rollout of a history: how long after the last it began, how long it lasted, and how it ended."""

    to: str
    pause_s: int
    length_s: int
    end: str  # promoted, rolled_back, superseded
    rollback: bool = False


rollouts = st.builds(
    Rollout,
    to=st.sampled_from("abc"),
    pause_s=st.integers(0, 9),
    length_s=st.integers(1, 9),
    end=st.sampled_from(["promoted", "promoted", "rolled_back", "superseded"]),
    rollback=st.booleans(),
)


@dataclass(frozen=True)
class Told:
    """A history as records, and what is true of it: (begin, end, to, rollback, how it ended, from) of each rollout."""

    records: list[Record]
    facts: list[tuple[int, int | None, str, bool, str, str | None]]
    now_s: int


def told(history: list[Rollout], left_open: bool, after_s: int) -> Told:
    """The records that a ledger would have; the last rollout is still under way with `left_open`."""
    records: list[Record] = []
    facts: list[tuple[int, int | None, str, bool, str, str | None]] = []
    now, serving = 0, None

    def append(kind: str, rollout: str, body: dict[str, Any]) -> None:
        records.append(link("p/staging", records[-1] if records else None, float(now), kind, rollout, body))

    for number, one in enumerate(history):
        now += one.pause_s
        name, began, before = f"ro-{number}", now, serving
        started = StartedBody(
            documents={}, plan_digest="sha256:p", binding={}, from_release={TRACK: before}, to_release={TRACK: one.to},
            rollback=one.rollback, reason="why" if one.rollback else "",
        )  # fmt: skip
        append(STARTED, name, started.to_json())
        now += one.length_s
        if left_open and number == len(history) - 1:
            facts.append((began, None, one.to, one.rollback, "", before))
            break
        if one.end == "superseded":
            append("order", name, OrderedBody(order="abort", cause=SUPERSEDED).to_json())
        outcome = "promoted" if one.end == "promoted" else "rolled_back"
        append(FINISHED, name, FinishedBody(outcome=outcome, reason="because", tally={}).to_json())
        serving = one.to if outcome == "promoted" else serving
        facts.append((began, now, one.to, one.rollback, one.end, before))
    return Told(records, facts, now + after_s)


def by_hand(history: Told, release: str, for_s: int) -> bool:
    """Eligible, second by second: in some stretch after a promotion that nothing has voided since, the release was
    what is promoted, and no rollout to another one was under way, for so many seconds; and it is not going back."""
    for began, end, to, _, how, _ in history.facts:
        if how != "promoted" or to != release or end is None:
            continue
        voided = any(
            other_end is not None
            and other_end >= end
            and other_began >= end
            and (
                (how_other == "promoted" and back and was == release and other_to != release)
                or (how_other == "rolled_back" and not back and other_to == release and was != release)
            )
            for other_began, other_end, other_to, back, how_other, was in history.facts
        )
        replaced = min(
            (
                e
                for b, e, t, _, h, _ in history.facts
                if e is not None and h == "promoted" and t != release and b >= end
            ),
            default=history.now_s,
        )
        others = [
            (b, e if e is not None else history.now_s)
            for b, e, t, _, _, _ in history.facts
            if b >= end and t != release
        ]
        seconds = [s for s in range(end, replaced) if not any(b <= s < e for b, e in others)]
        # a rollout to the release itself, while it serves, begins no stretch of its own: the first one counts on
        same = any(
            e is not None and h == "promoted" and t == release and e <= began
            and not any(e2 is not None and h2 == "promoted" and t2 != release and e <= b2 < end
                        for b2, e2, t2, _, h2, _ in history.facts)
            for b, e, t, _, h, _ in history.facts
        )  # fmt: skip
        if not voided and not same and len(seconds) >= for_s and not _goes_back(history, release):
            return True
    return False


def _goes_back(history: Told, release: str) -> bool:
    """Whether a rollback from the release is under way."""
    if not history.facts:
        return False
    _, end, to, back, _, was = history.facts[-1]
    return end is None and back and was == release and to != release


histories = st.builds(told, st.lists(rollouts, max_size=7), st.booleans(), st.integers(0, 30))


@given(histories, st.sampled_from("abc"), st.integers(0, 25))
def test_a_release_is_eligible_exactly_when_it_served_alone_for_so_long_and_was_not_rolled_back(
    history: Told, release: str, for_s: int
) -> None:
    (found,) = judged(history.records, After(environment="staging", for_=for_s), {TRACK: release}, float(history.now_s))
    assert found.eligible == by_hand(history, release, for_s), found
    assert found.eligible == (not found.reason), "a refusal has its reason"


@given(histories, st.sampled_from("abc"), st.integers(0, 40))
def test_the_moment_that_is_named_is_the_first_at_which_it_is_eligible(history: Told, release: str, for_s: int) -> None:
    after = After(environment="staging", for_=for_s)
    (found,) = judged(history.records, after, {TRACK: release}, float(history.now_s))
    at = found.eligible_at_s
    if found.eligible or at is None:
        (later,) = judged(history.records, after, {TRACK: release}, history.now_s + 1e6)
        assert later.eligible == found.eligible, "without a moment nothing changes by waiting"
        return
    assert judged(history.records, after, {TRACK: release}, at)[0].eligible
    assert not judged(history.records, after, {TRACK: release}, at - 0.5)[0].eligible


@given(histories, st.sampled_from("abc"))
def test_a_clock_that_was_put_back_counts_nothing_and_never_less_than_nothing(history: Told, release: str) -> None:
    for period in served_history(history.records, TRACK, -1000.0).periods:
        assert period.served_s >= 0
    after = After(environment="staging", for_=1e9)
    assert not judged(history.records, after, {TRACK: release}, -1000.0)[0].eligible


def history_of(*history: Rollout, left_open: bool = False, after_s: int = 0) -> Told:
    return told(list(history), left_open, after_s)


A = Rollout("a", 0, 10, "promoted")


@pytest.mark.parametrize(
    ("history", "said"),
    [
        (history_of(), "a was never promoted in staging"),
        (history_of(A, left_open=True), "a is still on its way in staging (rollout ro-0)"),
        (history_of(A, after_s=30), "a has served everybody in staging for 30 s of 1 min"),
        (history_of(A, Rollout("b", 30, 5, "promoted"), after_s=90),
         "a has served everybody in staging for 30 s of 1 min, and serves there no longer"),
        (history_of(A, Rollout("b", 30, 5, "promoted"), left_open=True, after_s=90),
         "a has served everybody in staging for 30 s of 1 min, and that stands still while rollout ro-1 is under way "
         "there"),
        (history_of(A, Rollout("b", 90, 5, "promoted", rollback=True), left_open=True),
         "a is being rolled back in staging (rollout ro-1)"),
        (history_of(A, Rollout("b", 90, 5, "promoted", rollback=True)), "a was rolled back in staging (ro-1: why)"),
        (history_of(Rollout("a", 0, 9, "rolled_back")), "a was rolled back in staging (ro-0: because)"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_the_release_has_done_so_far(history: Told, said: str) -> None:
    (found,) = judged(history.records, After(environment="staging", for_=60), {TRACK: "a"}, float(history.now_s))
    assert (found.eligible, found.reason) == (False, said)


def test_a_release_that_was_only_superseded_on_its_way_keeps_what_it_served() -> None:
    again = Rollout("a", 0, 9, "superseded")
    history = history_of(A, Rollout("b", 90, 5, "promoted"), again)
    assert judged(history.records, After(environment="staging", for_=60), {TRACK: "a"}, 1e6)[0].eligible


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.6, "1 min"), (86_400, "1 d"), (90_061, "1 d 1 h 1 min"), (7200, "2 h"), (-3, "0 s")],
)
def test_durations_are_said_in_words(seconds: float, words: str) -> None:
    assert lasting(seconds) == words


# ---- approvals --------------------------------------------------------------------------------

PEOPLE = After(environment="staging", approved_by=("ana", "bo", "cy"), approvals=2)
given_approvals = st.lists(
    st.tuples(st.sampled_from(["ana", "bo", "cy", "eve"]), st.sampled_from(["sha256:this", "sha256:other"]))
    | st.just("started"),
    max_size=9,
)


def approval_records(events: list[Any]) -> list[Record]:
    records: list[Record] = []
    for event in events:
        if event == "started":
            body = StartedBody(documents={}, plan_digest="", binding={}, from_release={}, to_release={}).to_json()
            kind = STARTED
        else:
            body = ApprovedBody(plan_digest=event[1], releases={}, by=event[0]).to_json()
            kind = APPROVED
        records.append(link("p/prod", records[-1] if records else None, 1.0, kind, "", body))
    return records


@given(given_approvals)
def test_approvals_are_of_distinct_people_that_are_named_for_this_plan_and_no_rollout_has_used_them(
    events: list[Any],
) -> None:
    last = max((index for index, event in enumerate(events) if event == "started"), default=-1)
    people = {who for who, plan in events[last + 1 :] if plan == "sha256:this" and who != "eve"}
    found = approvals_of(approval_records(events), PEOPLE, "sha256:this")
    assert {one.by for one in found.given} == people
    assert found.enough == (len(people) >= 2) == (not found.sentence)
    assert set(found.awaited) == {"ana", "bo", "cy"} - people


def test_an_approval_of_another_plan_is_named_as_outdated() -> None:
    found = approvals_of(approval_records([("ana", "sha256:other"), ("bo", "sha256:this")]), PEOPLE, "sha256:this")
    assert found.sentence == (
        "this plan awaits the approval of 1 of ana and cy beside bo; "
        "ana approved another plan, and it has changed since"
    )


TEXT = """
schema: rollcast/v1
pipeline: shop
artifacts: [{kind: prompt-template, name: p, version: "1", source: "file:m/1"}]
components: {answer: {artifact: p@1}}
environments:
  staging: {default: true}
  prod: {after: {environment: staging, for: 24h, approved_by: [ana, bo], approvals: 2}}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.delenv("ROLLCAST_LEDGER_URL", raising=False)
    (tmp_path / "m").mkdir()
    (tmp_path / "m/1").write_text("prompt\n", "utf-8")
    (tmp_path / "rollcast.yaml").write_text(TEXT, "utf-8")
    return Project.open(tmp_path, "prod")


def planned(project: Project) -> Plan:
    return make_plan(project.declaration, LiveState(), "prod", project.digests)


def who(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(variable, name)
    assert getpass.getuser() == name


def test_a_person_approves_once_and_only_one_who_is_named(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger, plan, after = open_ledger(project.folder, "shop/prod"), planned(project), project.environment.after
    who(monkeypatch, "eve")
    with pytest.raises(StackError, match=r"'eve' may not approve in 'prod', which names ana and bo\. Have one of them"):
        approve(ledger, "prod", after, plan)
    who(monkeypatch, "ana")
    assert approve(ledger, "prod", after, plan, "seen").awaited == ("bo",)
    with pytest.raises(StackError, match="'ana' approved this plan before, and each person counts once"):
        approve(ledger, "prod", after, plan)
    who(monkeypatch, "bo")
    assert approve(ledger, "prod", after, plan).enough
    assert [record.body["by"] for record in ledger.records()] == ["ana", "bo"], "refused ones leave no record"


def test_nobody_approves_where_nobody_is_asked_and_nothing_where_nothing_changes(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    who(monkeypatch, "ana")
    ledger, plan = open_ledger(project.folder, "shop/prod"), planned(project)
    with pytest.raises(StackError, match="Environment 'staging' asks nobody for approval"):
        approve(ledger, "staging", None, plan)
    with pytest.raises(StackError, match="nothing to approve"):
        approve(ledger, "prod", project.environment.after, plan.model_copy(update={"milestones": ()}))


def promoted_in_staging(project: Project, at_s: float, release: str) -> Ledger:
    ledger = open_ledger(project.folder, "shop/staging")
    ledger._clock = lambda: at_s
    body = StartedBody(documents={}, plan_digest="", binding={}, from_release={}, to_release={TRACK: release})
    ledger.append(STARTED, "ro-1", body.to_json())
    ledger.append(FINISHED, "ro-1", FinishedBody(outcome="promoted", reason="proved", tally={}).to_json())
    return ledger


def at(seconds: float, project: Project, plan: Plan) -> Eligibility:
    found = eligibility_of(project, plan, Clock(wall=lambda: seconds))
    assert found is not None
    return found


def test_both_time_and_approval_are_needed_and_a_hotfix_spares_the_time_alone(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, day = planned(project), 86_400
    promoted_in_staging(project, 1000.0, plan.to_release[TRACK])
    early = at(1000 + day - 60, project, plan)
    assert (early.eligible, early.served, early.approved) == (False, False, False)
    assert early.eligible_at_s == 1000 + day
    assert "for 23 h 59 min of 1 d" in early.refusal()
    assert "becomes eligible at 1970-01-02 00:16:40Z" in early.refusal()
    assert "awaits the approval of 2 of ana and bo" in early.refusal()
    with pytest.raises(StackError, match="Environment 'prod' allows no hotfix"):
        early.refusal("it burns")
    ledger = open_ledger(project.folder, "shop/prod")
    for name in ("ana", "bo"):
        who(monkeypatch, name)
        approve(ledger, "prod", project.environment.after, plan)
    assert at(1000 + day - 60, project, plan).refusal().startswith("Not eligible in prod: rel-")
    ready = at(1000 + day, project, plan)
    assert (ready.eligible, ready.refusal(), ready.eligible_at_s) == (True, "", None)
    other = plan.model_copy(update={"live_state_digest": "sha256:moved"})
    assert "approved another plan, and it has changed since" in at(1000 + day, project, other).refusal()


def test_a_hotfix_does_not_wait_for_the_time_and_still_asks_for_approval(project: Project) -> None:
    text = TEXT.replace("approvals: 2", "approvals: 1, hotfix: allowed")
    (project.folder / "rollcast.yaml").write_text(text, "utf-8")
    project = Project.open(project.folder, "prod")
    found = at(0.0, project, planned(project))
    assert "rollcast apply --hotfix REASON" in found.refusal()
    refused = found.refusal("it burns")
    assert refused.startswith("Not eligible in prod: this plan awaits the approval of 1 of ana and bo")


def test_what_serves_already_and_what_comes_after_nothing_needs_nothing(project: Project) -> None:
    plan = planned(project)
    same = plan.model_copy(update={"from_release": dict(plan.to_release), "milestones": ()})
    assert at(0.0, project, same).refusal() == ""
    assert eligibility_of(Project.open(project.folder, "staging"), plan) is None


def test_the_release_is_the_same_whatever_the_targets_of_its_environments_are(project: Project) -> None:
    text = TEXT.replace("staging: {default: true}", "staging: {default: true, capacity: {accelerators: 8}, "
                        "target: {definition: elsewhere.json, endpoint: 'http://10.0.0.1:1'}}")  # fmt: skip
    (project.folder / "rollcast.yaml").write_text(text, "utf-8")
    other: Declaration = Project.open(project.folder, "staging").declaration
    there = make_plan(other, LiveState(), "staging", project.digests)
    assert there.to_release == planned(project).to_release


def test_environments_are_listed_after_those_that_they_come_after(project: Project) -> None:
    text = TEXT.replace("  staging: {default: true}\n", "") + "  staging: {default: true}\n"
    (project.folder / "rollcast.yaml").write_text(text, "utf-8")
    assert Project.open(project.folder, "prod").declaration.in_sequence() == ("staging", "prod")
