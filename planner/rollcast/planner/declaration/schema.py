"""The JSON Schema of rollcast.yaml, for editors: every key, every closed set of words, completed where they stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rollcast.planner.base.audiences import Condition, Predicate
from rollcast.planner.declaration.models import Declaration

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def declaration_schema(profiles: Mapping[str, Mapping[str, Any]] | None = None) -> dict[str, Any]:
    """The schema. `profiles`: JSON Schemas of performance profiles by station, which belong to the simulator."""
    found = Declaration.model_json_schema(by_alias=True)
    definitions = found["$defs"]
    definitions["Predicate"] = _predicate()
    if profiles:
        for name, profile in profiles.items():
            body = dict(profile)
            definitions.update(body.pop("$defs", {}))
            definitions[f"profile-{name}"] = body
        choices = [{"$ref": f"#/$defs/profile-{name}"} for name in profiles]
        about = definitions["Artifact"]["properties"]["profile"]
        definitions["Artifact"]["properties"]["profile"] = {
            "anyOf": [*choices, {"type": "null"}],
            "description": about.get("description", ""),
        }
    found["patternProperties"] = {"^x-": {"description": "yours: anchors to be used elsewhere; not read"}}
    return {"$schema": DIALECT, **found}


def _predicate() -> dict[str, Any]:
    """The recursive form, so that editors complete `all`, `any`, `not` and the operators."""
    own = {"$ref": "#/$defs/Predicate"}
    scalar: dict[str, Any] = {"type": ["string", "number", "boolean"]}
    condition = Condition.model_json_schema(by_alias=True)
    condition.pop("title", None)
    condition |= {"minProperties": 1, "maxProperties": 1}
    value = {"anyOf": [scalar, {"type": "array", "items": scalar, "minItems": 1}, condition]}
    several = {"type": "array", "items": own, "minItems": 1}
    return {
        "title": "Predicate",
        "description": str(Predicate.__doc__).split("\n", 1)[0],
        "type": "object",
        "properties": {"all": several, "any": several, "not": own},
        "additionalProperties": value,
    }


__all__ = ["declaration_schema"]
