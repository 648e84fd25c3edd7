"""Tool schemas: what a change of them breaks for whoever calls the tools as they were.

Read are the forms of OpenAI (`function.parameters`), Anthropic (`input_schema`) and MCP (`inputSchema`), each a list of
tools, alone or under `tools`, and a plain mapping of names to JSON Schemas.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]


def tools_of(text: str) -> dict[str, Schema]:
    """Name -> JSON Schema of its arguments. Raises ValueError: it is no JSON, or none of these forms."""
    data = json.loads(text)
    if isinstance(data, Mapping) and isinstance(data.get("tools"), list):
        data = data["tools"]
    if isinstance(data, list):
        return dict(map(_tool, data))
    if isinstance(data, Mapping) and all(isinstance(schema, Mapping) for schema in data.values()):
        return {str(name): schema for name, schema in data.items()}
    raise ValueError("it is no list of tools, and no mapping of names to schemas")


def _tool(item: Any) -> tuple[str, Schema]:
    if isinstance(item, Mapping):
        own = item.get("function", item)
        if isinstance(own, Mapping) and isinstance(own.get("name"), str):
            schema: Any = next((own[key] for key in ("parameters", "input_schema", "inputSchema") if key in own), {})
            if isinstance(schema, Mapping):
                return own["name"], schema
    raise ValueError(f"it lists a tool without a name or a schema: {str(item)[:60]}")


def breaks_of(before: Mapping[str, Schema], after: Mapping[str, Schema]) -> list[str]:
    """What a call that was right is refused for now, a sentence each."""
    found: list[str] = []
    for name, schema in sorted(before.items()):
        if name not in after:
            found.append(f"tool '{name}' is removed")
        else:
            found.extend(f"'{name}': {what}" for what in _narrowed(schema, after[name], "argument"))
    return found


def _narrowed(old: Schema, new: Schema, what: str, path: str = "") -> Iterator[str]:
    """Where a value of one schema may be no value of the other."""
    place = f"{what} '{path}'" if path else "its arguments"
    if not _types(old) <= _types(new):
        yield f"{place} was of type {_words(_types(old))}, and is of type {_words(_types(new))}"
    if "enum" in new:
        gone = [value for value in old.get("enum", ()) if value not in new["enum"]]
        if "enum" not in old:
            yield f"{place} took any value, and takes {len(new['enum'])} alone"
        elif gone:
            yield f"{place} no longer takes {', '.join(map(json.dumps, gone))}"
    was, now = _properties(old), _properties(new)
    for name in sorted(was.keys() - now.keys()):
        yield f"{what} '{_join(path, name)}' is removed"
    required = set(new.get("required", ())) - set(old.get("required", ()))
    for name in sorted(required):
        yield f"{what} '{_join(path, name)}' is required now"
    for name in sorted(was.keys() & now.keys()):
        yield from _narrowed(was[name], now[name], what, _join(path, name))
    if isinstance(old.get("items"), Mapping) and isinstance(new.get("items"), Mapping):
        yield from _narrowed(old["items"], new["items"], what, f"{path}[]")


def _properties(schema: Schema) -> dict[str, Schema]:
    found = schema.get("properties")
    own = found.items() if isinstance(found, Mapping) else ()
    return {str(name): each for name, each in own if isinstance(each, Mapping)}


_ANY = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})


def _types(schema: Schema) -> frozenset[str]:
    """The JSON types that a schema lets through; every integer is a number."""
    said = schema.get("type", _ANY)
    found = frozenset({said} if isinstance(said, str) else said)
    return found | {"integer"} if "number" in found else found


def _words(types: frozenset[str]) -> str:
    return "any" if types == _ANY else " or ".join(sorted(types))


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


__all__ = ["Schema", "breaks_of", "tools_of"]
