"""What a rollback leaves is known before it begins; what was rolled back is known from the ledger."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from rollcast.planner.plan.models import Plan, fold
from rollcast.planner.rollout.state_machine import Finished, Position, Reach, Rollout
from rollcast.policies.strategies import plans
from rollcast.stacks.ledger.records import Record, link
from rollcast.stacks.ledger.rejections import _rejected
from rollcast.stacks.rollout.drift import _wave_starts, rolled_back_state


@given(plan=plans(), data=st.data())
def test_a_foreseen_state_is_the_one_that_the_way_back_ends_in(plan: Plan, data: st.DataObject) -> None:
    backs = [-1, *(way.from_milestone for way in plan.rollback)]
    start = data.draw(st.sampled_from(backs))
    rollout = Rollout(plan, Position(milestone=start))
    rollout.roll_back("")
    state = plan.state_at(start)
    while not isinstance(action := rollout.next(0.0), Finished):
        assert isinstance(action, Reach)
        state = fold(state, [action.milestone], action.operations)
        rollout.reached(0.0)
    assert rolled_back_state(plan, start) == state
    if start >= 0:
        served = [({k: v for k, v in one.serving.items() if v}, set(one.instances)) for one in _wave_starts(plan)]
        assert ({k: v for k, v in state.serving.items() if v}, set(state.instances)) in served


class Try(NamedTuple):
    """A rollout to a release under a declaration, how it ended, and whether it may be tried again."""

    release: str
    declaration: str
    end: str
    retried: bool


tries = st.builds(
    Try,
    st.sampled_from(["rel-a", "rel-b"]),
    st.sampled_from(["one", "two"]),
    st.sampled_from(["promoted", "gates", "by hand", "superseded", "undone", "killed"]),
    st.booleans(),
)


def _records(tried: list[Try]) -> list[Record]:
    """The ledger of these tries, as a driver writes it."""
    records: list[Record] = []

    def add(kind: str, rollout: str, body: dict[str, object]) -> None:
        records.append(link("scope", records[-1] if records else None, float(len(records)), kind, rollout, body))

    carried: dict[str, object] = {"documents": {}, "plan_digest": "sha256:0"}
    for number, one in enumerate(tried):
        name, binding = f"ro-{number}", {"declaration_digest": one.declaration}
        releases = {"from_release": {"default": "rel-0"}, "to_release": {"default": one.release}}
        add("started", name, {"binding": binding, **carried, **releases})
        if one.end == "gates":
            add("rollback", name, {"reason": "harm"})
        if one.end in ("by hand", "superseded"):
            add("order", name, {"order": "abort", "cause": one.end})
        if one.end != "killed":
            outcome = "promoted" if one.end in ("promoted", "undone") else "rolled_back"
            add("finished", name, {"outcome": outcome, "reason": "so it was", "tally": {}})
        if one.end == "undone":
            name = f"back-{number}"
            about = {"rollback": True, "declared": one.declaration, "reason": "undone"}
            turned = {"from_release": releases["to_release"], "to_release": releases["from_release"]}
            add("started", name, {"binding": {"declaration_digest": ""}, **carried, **turned, **about})
            add("finished", name, {"outcome": "promoted", "reason": "every milestone is reached", "tally": {}})
        if one.retried:
            add("retried", name, {"reason": "again"})
    return records


@given(st.lists(tries, max_size=8))
def test_a_release_is_rejected_where_its_last_end_was_a_rollback_that_nobody_took_back(tried: list[Try]) -> None:
    last: dict[tuple[str, str], Try] = {}
    for one in tried:
        if one.end == "superseded" or one.end == "killed":
            kept = last.get((one.declaration, one.release))
            if one.end == "killed" or kept is None:
                continue
        last[one.declaration, one.release] = one
    found = {(digest, one.releases[0]): one.by_hand for (digest, _), one in _rejected(_records(tried)).items()}
    assert found == {
        key: one.end != "gates"
        for key, one in last.items()
        if one.end in ("gates", "by hand", "undone") and not one.retried
    }
