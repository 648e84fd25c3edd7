"""The JSON Schema of rollcast.yaml, for editors: every key, every closed set of words, completed where they stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rollcast.planner.base.audiences import Condition, Predicate
from rollcast.planner.declaration.models import (
    Declaration,
    Evaluator,
    FlagsSettings,
    InstanceSettings,
    KindSettings,
    TargetSettings,
    Telemetry,
)

DIALECT = "https://json-schema.org/draft/2020-12/schema"


_SETTINGS: Mapping[str, type[KindSettings]] = {
    "target": TargetSettings,
    "flags": FlagsSettings,
    "instances": InstanceSettings,
    "telemetry": Telemetry,
    "evaluator": Evaluator,
}
Schemas = Mapping[str, Mapping[str, Any]]


def declaration_schema(
    profiles: Schemas | None = None, settings: Mapping[str, Schemas] | None = None
) -> dict[str, Any]:
    """The schema, with what plugins bring.

    profiles: JSON Schemas of performance profiles by station. settings: by key (target, flags, instances, telemetry,
    evaluator), the JSON Schemas of the settings of each kind that may stand there.
    """
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
    for key, schemas in (settings or {}).items():
        definitions[_SETTINGS[key].__name__] = _union(key, _SETTINGS[key], schemas, definitions)
    found["patternProperties"] = {"^x-": {"description": "yours: anchors to be used elsewhere; not read"}}
    return {"$schema": DIALECT, **found}


def _union(key: str, model: type[KindSettings], schemas: Schemas, definitions: dict[str, Any]) -> dict[str, Any]:
    """One of several kinds, by `kind`; without it, the default one. Each becomes a definition of its own."""
    shared = model.model_json_schema(by_alias=True)["properties"]
    default = model.model_fields["kind"].default
    references = {}
    for kind, schema in schemas.items():
        body = dict(schema)
        definitions.update(body.pop("$defs", {}))
        beside = {name: shared[name] for name in model.outside if name != "kind"}
        body["properties"] = {"kind": {"const": kind}, **beside, **body.get("properties", {})}
        needed = [*([] if kind == default else ["kind"]), *body.get("required", [])]
        definitions[f"{key}-{kind}"] = {**body, **({"required": needed} if needed else {})}
        references[kind] = f"#/$defs/{key}-{kind}"
    return {
        "description": str(model.__doc__).split("\n", 1)[0],
        "oneOf": [{"$ref": reference} for reference in references.values()],
        "discriminator": {"propertyName": "kind", "mapping": references},
    }


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
