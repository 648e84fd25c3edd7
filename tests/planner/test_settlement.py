"""A split that no rollout leads out of: from every split that a plan reaches, everybody goes safely to either side."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, reject, settings

from rollcast.planner.base.errors import MixedLiveState, PlannerError, UnsafePlan
from rollcast.planner.plan.models import LiveState, Plan
from rollcast.planner.planning.planner import live_as_declared, make_plan
from rollcast.planner.planning.settlement import make_settlement, split_of
from rollcast.planner.releases.releases import tracks_of
from rollcast.planner.safety.invariants import violations
from rollcast.policies.strategies import Transition, transitions


def _splits(plan: Plan, transition: Transition) -> Iterator[LiveState]:
    """Every split that a rollout of this plan may leave behind."""
    for milestone in plan.milestones:
        state = plan.state_at(milestone.index)
        serving = {track: shares for track, shares in state.serving.items() if shares}
        lines = {**tracks_of(transition.released), **plan.lines}
        live = LiveState(serving=serving, releases=plan.releases, instances=state.instances, lines=lines)
        if split_of(live):
            yield live


@settings(max_examples=25)
@given(transitions())
def test_from_every_split_everybody_goes_safely_to_either_side(transition: Transition) -> None:
    try:
        plan = make_plan(transition.declared, live_as_declared(transition.released))
    except UnsafePlan:
        raise
    except PlannerError:
        reject()
    for live in _splits(plan, transition):
        split = split_of(live)
        for side in (0, -1):
            to = {track: releases[side] for track, releases in split.items()}
            found = make_settlement(transition.declared, live, {*to.values()})
            assert list(violations(found)) == []
            end = found.state_at(len(found.milestones) - 1)
            assert {track: [s.release for s in end.serving[track]] for track in split} == {
                track: [release] for track, release in to.items()
            }
            untouched = {track: shares for track, shares in live.serving.items() if track not in split}
            assert {track: end.serving[track] for track in untouched} == untouched
            used = {
                folder for s in end.serving.values() for r in s for folder in found.releases[r.release].folders.values()
            }
            assert {*end.instances} == used & {*live.instances} == used, "what serves is there, and nothing else"
            back = found.rollback_of(0)
            assert back is not None
            assert back.milestones[-1].serving == {track: live.serving[track] for track in split}
            with pytest.raises(MixedLiveState, match="none of them is named"):
                make_settlement(transition.declared, live, ())
            with pytest.raises(MixedLiveState, match="several of them are named"):
                make_settlement(transition.declared, live, {r for releases in split.values() for r in releases})
            with pytest.raises(MixedLiveState, match="No split channel is served by 'rel-0'"):
                make_settlement(transition.declared, live, ["rel-0"])


@settings(max_examples=10)
@given(transitions())
def test_where_nothing_is_split_nothing_is_done(transition: Transition) -> None:
    live = live_as_declared(transition.released)
    assert make_settlement(transition.declared, live, ()).empty
    with pytest.raises(MixedLiveState, match="No channel is split"):
        make_settlement(transition.declared, live, ["rel-0"])
