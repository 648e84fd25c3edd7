"""Where a policy's violation stands, the artifacts of included files among them."""

from __future__ import annotations

from rollcast.policies.rules.places import Places

DECLARED = "schema: rollcast/v1\npipeline: p\ninclude: [more.yaml]\nartifacts:\n  - {kind: prompt, name: own}\n"
INCLUDED = "artifacts:\n  - {kind: prompt, name: first}\n  - {kind: prompt, name: second}\n"


def test_an_included_artifact_stands_in_its_own_file() -> None:
    places = Places(DECLARED, "rollcast.yaml", {"more.yaml": INCLUDED}.__getitem__)
    assert str(places.at(("artifacts", 0))) == "rollcast.yaml:5:5"
    assert str(places.at(("artifacts", 2, "name"))) == "more.yaml:3:20"


def test_what_has_no_place_stands_at_its_nearest_ancestor() -> None:
    places = Places(DECLARED, "rollcast.yaml")
    assert str(places.at(("pipeline", "unknown", 3))) == "rollcast.yaml:2:1"
