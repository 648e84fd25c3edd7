"""What was made from what: what has moved on is said in the plan, and nothing else is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rollcast.planner.declaration.models import Artifact, Component, Declaration
from rollcast.planner.plan.models import LiveState
from rollcast.planner.planning.planner import make_plan
from rollcast.planner.releases.lineage import outdated, to_rebuild
from rollcast.planner.releases.releases import releases_of


def declaration(made_by: str, serves: str, dataset: str, latest: str, contract: bool = False) -> Declaration:
    """An index, the embedder that serves beside it, and the datasets that there are."""
    space = {"space": "one"} if contract else {}
    embedders = [
        Artifact(kind="embedding-model", name="e5", version=version, provides=space)
        for version in dict.fromkeys((made_by, serves))
    ]
    datasets = [Artifact(kind="dataset", name="docs", version=version) for version in dict.fromkeys((dataset, latest))]
    index = Artifact(
        kind="retrieval-index", name="kb", version="1", derived_from=(f"docs@{dataset}", f"e5@{made_by}"),
        requires={"space": {"value": "one"}} if contract else {},
    )  # fmt: skip
    components = {
        "embedder": Component(artifact=f"e5@{serves}"),
        "index": Component(artifact="kb@1", upstream=("embedder",)),
    }
    return Declaration(
        schema="rollcast/v1", pipeline="p", artifacts=(*embedders, *datasets, index), components=components
    )


versions = st.integers(1, 20).map(str)


@given(versions, versions, versions, versions, st.booleans())
def test_an_index_is_outdated_exactly_where_what_made_it_has_moved_on(
    made_by: str, serves: str, dataset: str, latest: str, contract: bool
) -> None:
    declared = declaration(made_by, serves, dataset, latest, contract)
    found = {(one.maker, one.now) for one in outdated(releases_of(declared, {}).values(), declared.artifacts)}
    expected = set()
    if made_by != serves and not contract:
        expected.add((f"e5@{made_by}", f"e5@{serves}"))
    if int(latest) > int(dataset):
        expected.add((f"docs@{dataset}", f"docs@{latest}"))
    assert found == expected


def test_the_plan_says_what_to_rebuild() -> None:
    [note] = [
        one
        for one in make_plan(declaration("1", "2", "2026-10", "2026-11"), LiveState()).notes
        if one.startswith("Out of date")
    ]
    assert "index kb@1 was built by e5@1, and e5@2 serves beside it" in note
    assert "index kb@1 was built from docs@2026-10, and docs@2026-11 is declared" in note
    assert note.endswith("Rebuild, or declare contracts that say they fit.")


def test_what_is_made_from_a_prompt_and_through_others_counts_too() -> None:
    prompt = [Artifact(kind="prompt-template", name="ask", version=version) for version in ("1", "2")]
    cues = Artifact(kind="memory-cue-set", name="cues", version="1", derived_from=("ask@1",))
    index = Artifact(kind="retrieval-index", name="kb", version="1", derived_from=("cues@1",))
    weights = Artifact(kind="model-weights", name="bot", version="1")
    components = {"index": Component(artifact="kb@1"), "bot": Component(artifact="bot@1", prompt="ask@2")}
    declared = Declaration(
        schema="rollcast/v1", pipeline="p", artifacts=(*prompt, cues, index, weights), components=components
    )
    [note] = to_rebuild(releases_of(declared, {}).values(), declared.artifacts)
    assert "index kb@1 was built by ask@1, and ask@2 serves beside it" in note
