"""The state machine: it advances only when that is proved or ordered, rolls back from anywhere, and resumes exactly."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st

from rollcast.planner.gates.outcomes import Outcomes, Verdict
from rollcast.planner.plan.models import Plan, Serving, WorldState, fold
from rollcast.planner.rollout.state_machine import Finished, Hold, Observe, Outcome, Position, Reach, Rollout, arms_of
from rollcast.policies.strategies import plans
from tests.planner.test_rag_search_plan import example_plan

STEPS = 150


@dataclass
class Drive:
    """Carries a rollout out in a world of its own. `orders` and `luck` come from the test."""

    rollout: Rollout
    state: WorldState
    now_s: float = 0.0
    reached: list[int] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, plan: Plan) -> Drive:
        return cls(Rollout(plan), WorldState(dict(plan.start), dict(plan.start_instances)))

    def step(self, bad: bool, order: str | None) -> bool:
        """One action; False at the end."""
        rollout, before = self.rollout, self.rollout.position
        action = rollout.next(self.now_s)
        assert rollout.next(self.now_s) == action, "asking changes nothing"
        if isinstance(action, Finished):
            self.log.append(f"finished {action.outcome}")
            return False
        if isinstance(action, Reach):
            self._reach(action)
        elif isinstance(action, Observe):
            self._look(action, bad, before)
        else:
            self._decide(action, order)
        return True

    def _reach(self, action: Reach) -> None:
        before = self.rollout.position
        self.state = fold(self.state, [action.milestone], action.operations)
        self.now_s += 10
        self.rollout.reached(self.now_s)
        self.log.append(f"{'back' if action.rollback else 'reach'} {action.milestone.index} {action.milestone.title}")
        if not action.rollback:
            assert before.cleared, "nothing is reached before what came earlier is proved"
            assert action.milestone.index == before.milestone + 1
            self.reached.append(action.milestone.index)

    def _look(self, action: Observe, bad: bool, before: Position) -> None:
        assert action.until_s >= self.now_s
        self.now_s = action.until_s
        self.rollout.observe(outcomes(self.now_s, len(self.log), bad))
        verdict = self.rollout.look(self.now_s)
        after = self.rollout.position
        milestone = self.rollout.plan.milestones[before.milestone]
        baked_s = self.now_s - before.entered_s
        self.log.append(f"look {verdict.verdict if verdict else None} {after.model_dump_json(exclude={'evidence'})}")
        if verdict and after.cleared:
            proved = verdict.verdict is Verdict.ADVANCE and baked_s >= milestone.bake_min_s
            overdue = baked_s >= milestone.bake_max_s and milestone.bake_then == "advance"
            undecided = verdict.verdict is Verdict.CONTINUE and all(guard.ok for guard in verdict.guards)
            assert proved or (overdue and undecided), "no data is never a pass"
        if verdict and verdict.verdict is Verdict.ROLL_BACK:
            assert after.rollback_from is not None

    def _decide(self, action: Hold, order: str | None) -> None:
        self.log.append(f"hold, then {order}")
        self.now_s += 60
        if order == "promote":
            self.rollout.promote()
        elif order == "full":
            self.rollout.promote(full=True)
        elif order == "back":
            self.rollout.roll_back("by hand")
        else:
            self.rollout.resume()

    def to_the_end(self, data: st.DataObject) -> None:
        for _ in range(STEPS):
            if not self.step(data.draw(st.booleans()), data.draw(ORDERS)):
                return


ORDERS = st.sampled_from(("promote", "full", "back", "resume"))


def outcomes(now_s: float, seed: int, bad: bool, n: int = 200, split: float = 0.5) -> Outcomes:
    """Users, half of them in each arm by default; the candidate is as good as the baseline, or much worse."""
    random = np.random.default_rng(seed)
    candidate = random.random(n) < split
    error = (random.random(n) < np.where(candidate & bad, 0.6, 0.02)).astype(np.float64)
    unit = random.integers(0, 2**63, n).astype(np.uint64)
    return Outcomes(np.full(n, now_s), unit, candidate, {"error": error, "latency_s": np.ones(n)})


def wave_start(plan: Plan, milestone: int) -> WorldState:
    """The state that a rollback from a milestone leads to."""
    wave = plan.milestones[milestone].wave
    first = min(m.index for m in plan.milestones if m.wave == wave)
    return plan.state_at(first - 1)


def served(serving: Serving) -> dict[str, tuple[tuple[str, float, str], ...]]:
    return {ln: tuple((s.audience, s.percent, s.release) for s in shares) for ln, shares in serving.items() if shares}


@given(plans(max_slots=3), st.data())
def test_a_rollout_ends_where_it_says(plan: Plan, data: st.DataObject) -> None:
    drive = Drive.of(plan)
    drive.to_the_end(data)
    action = drive.rollout.next(drive.now_s)
    if not isinstance(action, Finished):
        return
    event(action.outcome.value)
    if action.outcome is Outcome.PROMOTED:
        assert drive.reached == list(range(len(plan.milestones)))
        for track, release in plan.to_release.items():
            assert {s.release for s in drive.state.serving.get(track, ())} <= {release}
    else:
        assert drive.rollout.position.rollback_from is not None
        start = wave_start(plan, max(drive.rollout.position.rollback_from, 0))
        assert served(drive.state.serving) == served(start.serving)
        assert set(drive.state.instances) == set(start.instances)


@given(plans(max_slots=4), st.data())
def test_from_any_milestone_with_a_way_back_it_leads_to_the_start_of_the_wave(plan: Plan, data: st.DataObject) -> None:
    index = data.draw(st.sampled_from([way.from_milestone for way in plan.rollback]))
    unfinished = data.draw(st.booleans())
    reached = index - 1 if unfinished else index
    rollout = Rollout(plan, Position(milestone=reached))
    done = [o for o in plan.operations_of(index) if not unfinished or data.draw(st.booleans())]
    kept = [o for o in done if all(a in {d.id for d in done} for a in o.after if a in _ids(plan, index))]
    state = plan.state_at(reached)
    if unfinished:
        shifted = {o.line for o in kept if o.kind in ("shift", "flag")}
        milestone = plan.milestones[index]
        part = milestone.model_copy(update={"serving": {k: v for k, v in milestone.serving.items() if k in shifted}})
        state = fold(state, [part], kept)
        rollout.roll_back_unfinished("a failure")
    else:
        rollout.roll_back("by hand")
    now = 0.0
    while isinstance(action := rollout.next(now), Reach):
        assert action.rollback
        state = fold(state, [action.milestone], action.operations)
        rollout.reached(now := now + 1)
    assert action == Finished(Outcome.ROLLED_BACK, "a failure" if unfinished else "by hand")
    start = wave_start(plan, index)
    assert served(state.serving) == served(start.serving)
    assert set(state.instances) == set(start.instances)
    assert _contents(plan, state) == _contents(plan, start)


def _ids(plan: Plan, index: int) -> set[str]:
    return {o.id for o in plan.operations_of(index)}


def _contents(plan: Plan, state: WorldState) -> dict[str, str]:
    return {f: plan.releases[r].slots[s].instance_id for f, (r, s) in state.instances.items()}


@given(plans(max_slots=3), st.data())
def test_a_rollout_restored_from_its_snapshot_goes_on_exactly_as_it_would_have(plan: Plan, data: st.DataObject) -> None:
    whole, broken = Drive.of(plan), Drive.of(plan)
    saved = Plan.from_json(json.loads(json.dumps(plan.to_json())))
    for _ in range(40):
        bad, order = data.draw(st.booleans()), data.draw(ORDERS)
        if data.draw(st.integers(0, 3)) == 3:
            kept = json.dumps(broken.rollout.snapshot().model_dump(mode="json"))
            broken.rollout = Rollout(saved, Position.model_validate(json.loads(kept)))
        going = whole.step(bad, order)
        assert broken.step(bad, order) == going
        assert broken.log == whole.log
        if not going:
            return


@given(plans(max_slots=3), st.data())
def test_past_the_point_of_no_return_it_refuses_to_go_back(plan: Plan, data: st.DataObject) -> None:
    contracts = [m.index for m in plan.milestones if m.point_of_no_return]
    assume(contracts)
    rollout = Rollout(plan, Position(milestone=data.draw(st.sampled_from(contracts))))
    with pytest.raises(ValueError, match="point of no return"):
        rollout.roll_back("by hand")


@given(plans(max_slots=3))
def test_a_paused_rollout_stays_until_it_is_resumed(plan: Plan) -> None:
    rollout = Rollout(plan)
    rollout.pause()
    assert isinstance(rollout.next(0.0), Hold)
    rollout.resume()
    assert isinstance(rollout.next(0.0), Reach)


@pytest.mark.parametrize("bad", [False, True])
def test_a_pause_stops_advancing_and_not_watching(bad: bool) -> None:
    plan = example_plan()
    compared = {m.index: arms_of(plan, m.index) for m in plan.milestones if m.gates}
    stage, split = next((plan.milestones[i], a.split) for i, a in compared.items() if a is not None and a.baseline)
    rollout = Rollout(plan, Position(milestone=stage.index - 1))
    rollout.reached(0.0)
    rollout.pause()
    assert isinstance(rollout.next(0.0), Observe)
    baked_s = stage.bake_min_s + 1
    seen = outcomes(baked_s - 1, 1, bad, n=100_000, split=split)
    seen.values["violation"] = np.zeros(len(seen))
    rollout.observe(seen)
    verdict = rollout.look(baked_s)
    assert verdict is not None
    if bad:
        assert verdict.verdict is Verdict.ROLL_BACK
        assert rollout.position.rollback_from == stage.index
    else:
        assert verdict.verdict is Verdict.ADVANCE
        assert isinstance(rollout.next(baked_s), Observe)
        rollout.resume()
        rollout.look(baked_s)
        assert isinstance(rollout.next(baked_s), Reach)


@given(plans(max_slots=3))
def test_a_paused_rollout_with_nothing_to_watch_holds(plan: Plan) -> None:
    rollout = Rollout(plan)
    rollout.pause()
    assert isinstance(rollout.next(1e9), Hold)


def test_an_overdue_stage_without_data_holds_even_where_the_declaration_says_advance() -> None:
    plan = example_plan()
    stage = next(m for m in plan.milestones if m.gates)
    milestones = tuple(m.model_copy(update={"bake_then": "advance"}) for m in plan.milestones)
    rollout = Rollout(plan.model_copy(update={"milestones": milestones}), Position(milestone=stage.index - 1))
    assert isinstance(rollout.next(0.0), Reach)
    rollout.reached(0.0)
    few = outcomes(1.0, 1, bad=False)
    rollout.observe(
        Outcomes(few.time_s[:4], few.unit[:4], few.candidate[:4], {k: v[:4] for k, v in few.values.items()})
    )
    rollout.look(stage.bake_max_s)
    assert isinstance(rollout.next(stage.bake_max_s), Hold)
