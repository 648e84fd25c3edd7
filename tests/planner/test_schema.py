"""The JSON Schema that editors complete with: it takes what the reader takes, and knows every closed set of words."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given

from rollcast.cli.main import main
from rollcast.planner.declaration.models import ArtifactKind, Declaration, Strategy
from rollcast.planner.declaration.schema import declaration_schema
from rollcast.planner.loading.loader import read_yaml
from rollcast.policies.strategies import declarations

EXAMPLES = Path(__file__).parents[2] / "examples"
VALIDATOR = jsonschema.Draft202012Validator(declaration_schema())


def test_the_schema_is_itself_valid(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    jsonschema.Draft202012Validator.check_schema(json.loads(capsys.readouterr().out))


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/r*.yaml")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_schema_takes_every_example(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["schema"])
    validator = jsonschema.Draft202012Validator(json.loads(capsys.readouterr().out))
    data = read_yaml(path.read_text("utf-8"), path.name).data
    artifacts = read_yaml((path.parent / "artifacts.yaml").read_text("utf-8"), "artifacts.yaml").data
    assert [error.message for error in validator.iter_errors({**data, "artifacts": artifacts})] == []


@given(declarations())
def test_the_schema_takes_every_declaration_that_can_be_drawn(declaration: Declaration) -> None:
    data = declaration.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    assert [error.message for error in VALIDATOR.iter_errors(json.loads(json.dumps(data)))] == []


def test_editors_can_complete_kinds_strategies_operators_and_stations(capsys: pytest.CaptureFixture[str]) -> None:
    main(["schema"])
    schema = json.loads(capsys.readouterr().out)["$defs"]
    assert set(schema["ArtifactKind"]["enum"]) == {kind.value for kind in ArtifactKind}
    assert set(schema["Strategy"]["enum"]) == {strategy.value for strategy in Strategy}
    assert set(schema["Predicate"]["properties"]) == {"all", "any", "not"}
    assert {"in", "not_in", "starts_with", "min_version"} <= set(
        schema["Predicate"]["additionalProperties"]["anyOf"][2]["properties"]
    )
    assert {"profile-pool", "profile-remote", "profile-llm"} <= set(schema)


def test_the_schema_refuses_a_misspelt_key() -> None:
    assert list(VALIDATOR.iter_errors({"pipeline": "p", "componnts": {}}))
