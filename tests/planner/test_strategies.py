"""What the strategies promise: valid by construction, and every kind of change is really drawn."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rollcast.planner.base.values import satisfies
from rollcast.planner.declaration.models import Artifact, Declaration, Pipeline, RolloutSettings
from rollcast.planner.loading.cross_checks import check
from rollcast.planner.plan.models import LiveState
from rollcast.planner.releases.releases import Release
from rollcast.policies.strategies import (
    ContractChange,
    Transition,
    artifacts,
    contract_changes,
    declarations,
    live_states,
    releases,
    transitions,
)


@given(declarations())
def test_drawn_declarations_hold_no_mistake(declaration: Declaration) -> None:
    assert check(declaration) == []


@given(declarations())
def test_drawn_declarations_are_what_a_file_could_say(declaration: Declaration) -> None:
    assert Declaration.model_validate(declaration.model_dump(mode="json", by_alias=True)) == declaration


@given(transitions())
def test_both_sides_of_a_transition_are_valid(transition: Transition) -> None:
    assert check(transition.released) == []
    assert check(transition.declared) == []


@given(st.booleans(), st.booleans(), st.data())
def test_both_ends_of_a_drawn_contract_agree_before_and_after(
    provider: bool, consumer: bool, data: st.DataObject
) -> None:
    change: ContractChange = data.draw(contract_changes(provider, consumer))
    assert all(satisfies(p, r) for p, r in zip(change.provided, change.required, strict=True))
    assert provider or change.provided[0] == change.provided[1]
    assert consumer or change.required[0] == change.required[1]


@given(artifacts(), releases(), live_states())
def test_single_things_are_drawn(artifact: Artifact, release: Release, live: LiveState) -> None:
    assert artifact.reference
    assert release.id == Release.model_validate(release.model_dump(mode="json")).id
    assert live.digest


@given(declarations())
def test_every_rollout_of_a_declaration_is_listed_and_changed_where_it_stands(drawn: Declaration) -> None:
    own = {name: one.model_copy(update={"rollout": RolloutSettings()}) for name, one in drawn.channels.items()}
    one = Pipeline(components=drawn.components, channels=own, rollout=RolloutSettings()) if drawn.components else None
    platform = {**drawn.pipelines, **({"own": one} if one is not None else {})}
    declaration = drawn.model_copy(update={"channels": own, "pipelines": platform})
    assert len(declaration.each_rollout()) >= 1 + 2 * len(own)
    changed = declaration.with_rollouts(lambda own: own.model_copy(update={"salt": f"{own.salt}!"}))
    before, after = declaration.each_rollout(), changed.each_rollout()
    assert list(after) == list(before)
    assert all(after[place].salt == f"{own.salt}!" for place, own in before.items())
    plain, now = declaration.model_dump(mode="json"), changed.model_dump(mode="json")
    for place in before:
        *way, last = place
        for data in (plain, now):
            inner = data
            for key in way:
                inner = inner[key]
            del inner[last]
    assert now == plain, "and nothing else"
