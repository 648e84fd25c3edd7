"""A contract that moves from one provider to another is never with neither of them.

Its consumer stays as it is, or goes on requiring the same: as another version, or in a channel of its own.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from hypothesis import event, given
from hypothesis import strategies as st

from rollcast.planner.base.errors import NoSafeOrder
from rollcast.planner.contracts.edges import ContractGraph
from rollcast.planner.declaration.models import Declaration
from rollcast.planner.loading.cross_checks import check
from rollcast.planner.loading.loader import load
from rollcast.planner.plan.models import Plan
from rollcast.planner.planning.planner import live_as_declared, make_plan
from rollcast.policies.model_based.compatibility import mixed
from tests.planner.every_state import Oracle

NAMES = ("a", "b", "c", "d")


@dataclass(frozen=True)
class Move:
    """Components in the order of their flow; who provides the contract on each side, and who requires it."""

    upstream: dict[str, list[str]]
    givers: tuple[list[str], list[str]]
    taker: str
    once: list[str]
    free: list[str]
    changed: list[str]
    channel: tuple[bool, bool] = (False, False)  # on each side, whether a channel has the taker otherwise

    def side(self, number: int) -> Declaration:
        artifacts, components = [], []
        for name, above in self.upstream.items():
            changes = name in {*self.changed, *self.givers[0], *self.givers[1]}
            version = number + 1 if changes else 1
            provides = "{c: '1'}" if name in self.givers[number] else "{}"
            requires = "{c: '1'}" if name == self.taker else "{}"
            artifacts.append(
                f"  - {{kind: model-weights, name: {name}, version: '{version}', "
                f"provides: {provides}, requires: {requires}}}\n"
            )
            independent = f"[{', '.join(above)}]" if name in self.free else "[]"
            components.append(
                f"  {name}: {{artifact: {name}@{version}, upstream: [{', '.join(above)}], "
                f"independent_of: {independent}, in_place: {str(name in self.once).lower()}}}\n"
            )
        own = f"{{components: {{{self.taker}: {{parameters: {{beside: yes}}}}}}, route: {{segment: x}}}}"
        channels = f"channels: {{x: {own}}}\n" if self.channel[number] else ""
        return load(f"pipeline: p\nartifacts:\n{''.join(artifacts)}components:\n{''.join(components)}{channels}")

    def plan(self) -> Plan:
        return make_plan(self.side(1), live_as_declared(self.side(0)))


@st.composite
def moves(draw: st.DrawFn) -> Move:
    order = draw(st.permutations(NAMES))[: draw(st.integers(3, 4))]
    upstream = {
        name: draw(st.lists(st.sampled_from(order[:place]), unique=True, max_size=3)) if place else []
        for place, name in enumerate(order)
    }
    taker = draw(st.sampled_from(order))
    others = st.sampled_from([name for name in order if name != taker])
    some = st.lists(st.sampled_from(order), unique=True, max_size=4)
    givers = draw(st.lists(others, unique=True, min_size=1, max_size=2)), draw(st.lists(others, min_size=1, max_size=2))
    once = draw(some)
    channel = (False, False) if taker in once else (draw(st.booleans()), draw(st.booleans()))
    return Move(upstream, givers, taker, once, draw(some), draw(some), channel)


@given(moves())
def test_no_state_is_without_a_provider_of_what_is_required(move: Move) -> None:
    assert not [*check(move.side(0)), *check(move.side(1))]
    try:
        plan = move.plan()
    except NoSafeOrder:
        event("no safe order")
        return
    event(f"{len(plan.groups)} groups")
    assert Oracle(plan).run() == set()
    assert list(mixed(plan)) == []
    for milestone in plan.milestones:
        for share in (share for shares in milestone.serving.values() for share in shares):
            slots = plan.releases[share.release].slots
            assert ContractGraph(slots, slots).broken(slots) == []


def test_the_new_provider_comes_before_the_old_one_loses_the_contract() -> None:
    apart = Move({"a": [], "b": [], "c": ["a", "b"]}, (["a"], ["b"]), "c", once=["a", "b"], free=[], changed=[])
    assert [m.title for m in apart.plan().milestones] == ["in place: b", "in place: a"]


def test_a_channel_that_has_the_consumer_otherwise_does_not_hold_the_providers_up() -> None:
    beside = Move(
        {"a": [], "b": [], "c": ["a", "b"]}, (["a"], ["b"]), "c", once=["a", "b"], free=[], changed=[],
        channel=(False, True),
    )  # fmt: skip
    steps = [m.step for m in beside.plan().milestones if m.step]
    assert [step for step, _ in itertools.groupby(steps)] == ["b", "a", "c"]
