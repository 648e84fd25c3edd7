"""A contract that moves from one provider to another while its consumer stays is never with neither of them."""

from __future__ import annotations

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
        return load(f"pipeline: p\nartifacts:\n{''.join(artifacts)}components:\n{''.join(components)}")

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
    changed = [name for name in draw(some) if name != taker]
    return Move(upstream, givers, taker, draw(some), draw(some), changed)


@given(moves())
def test_no_state_is_without_a_provider_of_what_stays(move: Move) -> None:
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
