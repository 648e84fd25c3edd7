"""Text to `Declaration`, with the line and column of everything that is wrong.

Hostile input is refused before it is expanded: a file over `MOST_BYTES`, more than `MOST_NODES` nodes once aliases are
followed, tags that would construct objects, nesting deeper than `MOST_DEPTH`. Nothing is executed and nothing written.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from rollcast.planner.checks import check
from rollcast.planner.declaration import Declaration
from rollcast.planner.errors import DeclarationError, Diagnostic, did_you_mean
from rollcast.planner.values import Number

MOST_BYTES = 16 * 1024 * 1024
MOST_NODES = 1_000_000
MOST_DEPTH = 64

Path = tuple[str | int, ...]
_PLAIN_TAGS = {
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq", "timestamp")
}


@dataclass
class Source:
    """A file's data, and where each part of it stands: path of keys -> (line, column), counted from 1."""

    file: str
    data: Any = None
    places: dict[Path, tuple[int, int]] = field(default_factory=dict)
    diagnostics: list[Diagnostic] = field(default_factory=list)

    def at(self, path: Path, summary: str, remedy: str = "") -> Diagnostic:
        """A diagnostic at a path, or at its nearest ancestor that has a place."""
        while path and path not in self.places:
            path = path[:-1]
        line, column = self.places.get(path, (1, 1))
        return Diagnostic(self.file, line, column, summary, remedy)


def load(text: str, file: str = "rollcast.yaml", read: Callable[[str], str] | None = None) -> Declaration:
    """The checked declaration in a text; `read` gives the text of an included file.

    Raises DeclarationError with every mistake found, each with its place and remedy.
    """
    source = read_yaml(text, file)
    if source.diagnostics:
        raise DeclarationError(source.diagnostics)
    if not isinstance(source.data, Mapping):
        raise DeclarationError([source.at((), "a declaration is a mapping.", "Start with 'schema: rollcast/v1'.")])
    _include(source, read)
    if source.diagnostics:
        raise DeclarationError(source.diagnostics)
    try:
        declaration = Declaration.model_validate(source.data)
    except ValidationError as error:
        raise DeclarationError([_diagnostic(source, item) for item in error.errors()]) from None
    mistakes = [source.at(m.path, m.summary, m.remedy) for m in check(declaration)]
    if mistakes:
        raise DeclarationError(mistakes)
    return declaration


def _include(source: Source, read: Callable[[str], str] | None) -> None:
    names = source.data.get("include") or []
    if not isinstance(names, list) or read is None:
        return
    artifacts = list(source.data.get("artifacts") or [])
    for position, name in enumerate(names):
        try:
            part = read_yaml(read(str(name)), str(name))
        except OSError as error:
            remedy = "Correct the path, which is relative to the declaration."
            source.diagnostics.append(
                source.at(("include", position), f"can't read '{name}': {error.strerror}.", remedy)
            )
            continue
        source.diagnostics.extend(part.diagnostics)
        found = part.data.get("artifacts") if isinstance(part.data, Mapping) else part.data
        if isinstance(found, list):
            artifacts.extend(found)
    source.data = {**source.data, "artifacts": artifacts}


def read_yaml(text: str, file: str) -> Source:
    """Plain data and places of a YAML text; mistakes are collected in `diagnostics`."""
    source = Source(file)
    if len(text) > MOST_BYTES:
        summary = f"the file has {len(text):,} characters, more than {MOST_BYTES:,}."
        source.diagnostics.append(source.at((), summary, "Move artifacts into files named by 'include'."))
        return source
    yaml = YAML(typ="safe", pure=False)
    try:
        node = yaml.compose(io.StringIO(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        problem = error.problem or "not YAML"
        source.diagnostics.append(Diagnostic(file, line, column, f"{problem}.", "Correct the YAML here."))
        return source
    except (YAMLError, ValueError, RecursionError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        source.diagnostics.append(source.at((), f"not YAML: {first}.", "Correct the file."))
        return source
    if node is None:
        source.diagnostics.append(source.at((), "the file is empty.", "Start with 'rollcast init'."))
        return source
    source.data = _Reader(source).value(node, (), 0)
    return source


class _TooMuch(Exception):
    """The expansion of aliases is beyond the budget."""


class _Reader:
    """Walks the node tree once; aliases are followed at a cost, so that a bomb runs out of budget."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.nodes = 0
        self.spent = False

    def value(self, node: Node, path: Path, depth: int) -> Any:
        self.nodes += 1
        mark = node.start_mark
        place = (mark.line + 1, mark.column + 1)
        self.source.places.setdefault(path, place)
        if self.nodes > MOST_NODES or depth > MOST_DEPTH:
            return self._refuse_once(place)
        if node.tag not in _PLAIN_TAGS:
            self._add(place, f"the tag '{node.tag}' is not allowed.", "Write plain data.")
            return None
        if isinstance(node, MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, SequenceNode):
            return [self.value(item, (*path, i), depth + 1) for i, item in enumerate(node.value) if not self.spent]
        assert isinstance(node, ScalarNode)
        return self._scalar(node, place)

    def _mapping(self, node: MappingNode, path: Path, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if self.spent:
                break
            mark = key_node.start_mark
            place = (mark.line + 1, mark.column + 1)
            if not isinstance(key_node, ScalarNode):
                self._add(place, "a key must be plain text.", "Write a name before the colon.")
                continue
            key = str(key_node.value)
            if key in result:
                self._add(place, f"'{key}' is given twice here.", "Keep one of them.")
                continue
            self.source.places[(*path, key)] = place
            result[key] = self.value(value_node, (*path, key), depth + 1)
        return result

    def _scalar(self, node: ScalarNode, place: tuple[int, int]) -> Any:
        kind, text = str(node.tag).rsplit(":", 1)[1], str(node.value)
        try:
            if kind == "int":
                return int(text.replace("_", ""), 0) if not text.lstrip("+-").startswith("0o") else int(text, 8)
            if kind == "float":
                return Number.of(float(text.replace("_", "").replace(".inf", "inf").replace(".nan", "nan")), text)
        except ValueError:
            return text
        if kind == "bool":
            return text.lower() in ("true", "yes", "on")
        return None if kind == "null" else text

    def _refuse_once(self, place: tuple[int, int]) -> None:
        if not self.spent:
            limits = f"{MOST_NODES:,} values or {MOST_DEPTH} levels"
            self._add(place, f"the file expands to more than {limits}.", "Remove the nested aliases.")
        self.spent = True

    def _add(self, place: tuple[int, int], summary: str, remedy: str) -> None:
        self.source.diagnostics.append(Diagnostic(self.source.file, *place, summary, remedy))


def _diagnostic(source: Source, error: Any) -> Diagnostic:
    """A pydantic error as a diagnostic in the user's words."""
    path = tuple(part for part in error["loc"] if (*error["loc"],) and _in_data(part))
    real: Path = ()
    data = source.data
    for part in path:
        known = (isinstance(data, Mapping) and part in data) or (isinstance(data, list) and isinstance(part, int))
        if not known:
            continue
        real = (*real, part)
        data = data[part]
    name = str(error["loc"][-1]) if error["loc"] else ""
    if error["type"] == "extra_forbidden":
        return source.at(real, f"unknown key '{name}'.", did_you_mean(name, _siblings(error)))
    if error["type"] == "missing":
        return source.at(real, f"'{name}' is missing.", f"Add '{name}:' here.")
    if error["type"] in ("enum", "literal_error"):
        expected = str(error.get("ctx", {}).get("expected", ""))
        names = [word.strip(" '") for word in expected.replace(" or ", ",").split(",")]
        return source.at(
            real, f"'{error['input']}' is not valid for '{name}'.", did_you_mean(str(error["input"]), names)
        )
    message = str(error["msg"]).removeprefix("Value error, ")
    where = ".".join(str(part) for part in real)
    shown = repr(error["input"])
    got = f" (got {shown})" if len(shown) <= 60 and not isinstance(error["input"], Mapping) else ""
    return source.at(real, f"{where}: {message}{got}." if where else f"{message}.", "")


def _in_data(part: str | int) -> bool:
    return isinstance(part, int) or not part.startswith(("function-", "dict[", "tuple["))


def _siblings(error: Any) -> list[str]:
    """The keys that would have been valid where an unknown one stands."""
    model: Any = Declaration
    for part in error["loc"][:-1]:
        fields = getattr(model, "model_fields", None)
        if fields and part in fields:
            model = _model_of(fields[part].annotation)
    return [f.alias or n for n, f in getattr(model, "model_fields", {}).items()]


def _model_of(annotation: Any) -> Any:
    if hasattr(annotation, "model_fields"):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _model_of(argument)
        if found is not None:
            return found
    return None
