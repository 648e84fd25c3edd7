"""Text to `Declaration`, with the line and column of everything that is wrong.

Hostile input is refused before it is expanded: a file over `MOST_BYTES`, more than `MOST_NODES` nodes once aliases are
followed, tags that would construct objects, nesting deeper than `MOST_DEPTH`. Nothing is executed and nothing written.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from rollcast.planner.base.errors import DeclarationError, Diagnostic
from rollcast.planner.base.sources import Path, SourceText
from rollcast.planner.base.values import Number
from rollcast.planner.declaration.models import Declaration
from rollcast.planner.loading.cross_checks import check
from rollcast.planner.loading.error_recovery import shape_mistakes
from rollcast.planner.loading.kind_settings import SettingsOf, shared_words, with_defaults

MOST_BYTES = 16 * 1024 * 1024
MOST_NODES = 1_000_000
MOST_DEPTH = 64
_MERGE = "tag:yaml.org,2002:merge"

_PLAIN_TAGS = {
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq", "timestamp")
}


def load(
    text: str,
    file: str = "rollcast.yaml",
    read: Callable[[str], str] | None = None,
    settings_of: SettingsOf = shared_words,
) -> Declaration:
    """The checked declaration in a text; `read` gives the text of an included file, `settings_of` a kind's settings.

    Raises DeclarationError with every mistake found, each with its place and remedy.
    """
    source = read_source(text, file, read)
    if not isinstance(source.data, Mapping):
        remedy = "Start with 'schema: rollcast/v1'."
        raise DeclarationError(source.diagnostics or [source.at((), "a declaration is a mapping.", remedy)])
    source.data = {key: value for key, value in source.data.items() if not str(key).startswith("x-")}
    try:
        declaration = Declaration.model_validate(source.data)
    except ValidationError as error:
        raise DeclarationError([*source.diagnostics, *shape_mistakes(source, error, settings_of)]) from None
    mistakes = source.diagnostics + [source.at(m.path, m.summary, m.remedy) for m in check(declaration, settings_of)]
    if mistakes:
        raise DeclarationError(mistakes)
    return with_defaults(declaration, settings_of)


def read_source(text: str, file: str, read: Callable[[str], str] | None = None) -> SourceText:
    """Data and places of a declaration's text, the artifacts of included files in their place in the list."""
    source = read_yaml(text, file)
    if isinstance(source.data, Mapping):
        _include(source, read)
    return source


def _include(source: SourceText, read: Callable[[str], str] | None) -> None:
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
        base: Path = ("artifacts",) if isinstance(part.data, Mapping) else ()
        found = part.data.get("artifacts") if isinstance(part.data, Mapping) else part.data
        if not isinstance(found, list):
            remedy = "Write a list of artifacts, or 'artifacts:' with a list below it."
            source.diagnostics.append(part.at((), "an included file holds artifacts.", remedy))
            continue
        for index, item in enumerate(found):
            source.included[len(artifacts)] = (part, (*base, index))
            artifacts.append(item)
    source.data = {**source.data, "artifacts": artifacts}


def read_yaml(text: str, file: str) -> SourceText:
    """Plain data and places of a YAML text; mistakes are collected in `diagnostics`."""
    source = SourceText(file)
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
    except RecursionError:
        summary = f"the file is nested deeper than {MOST_DEPTH} levels."
        source.diagnostics.append(source.at((), summary, "Flatten it."))
        return source
    except (YAMLError, ValueError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        source.diagnostics.append(source.at((), f"not YAML: {first}.", "Correct the file."))
        return source
    if node is None:
        source.diagnostics.append(source.at((), "the file is empty.", "Start with 'rollcast init'."))
        return source
    reader = _Reader(source)
    source.data = reader.value(node, (), 0)
    if reader.spent:
        source.data = None  # what was read so far is no basis for anything
    return source


class _Reader:
    """Walks the node tree once; aliases are followed at a cost, so that a bomb runs out of budget."""

    def __init__(self, source: SourceText) -> None:
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
        merged: set[str] = set()
        ordered = sorted(node.value, key=lambda pair: getattr(pair[0], "tag", None) != _MERGE)
        for key_node, value_node in ordered:
            if self.spent:
                break
            mark = key_node.start_mark
            place = (mark.line + 1, mark.column + 1)
            if not isinstance(key_node, ScalarNode):
                self._add(place, "a key must be plain text.", "Write a name before the colon.")
                continue
            if key_node.tag == _MERGE:
                result.update(self._merged(value_node, path, depth, place))
                merged = set(result)
                continue
            key = str(key_node.value)
            if key in result and key not in merged:
                self._add(place, f"'{key}' is given twice here.", "Keep one of them.")
                continue
            merged.discard(key)
            self.source.places[(*path, key)] = place
            result[key] = self.value(value_node, (*path, key), depth + 1)
        return result

    def _merged(self, node: Node, path: Path, depth: int, place: tuple[int, int]) -> dict[str, Any]:
        """What `<<` takes in: a mapping, or several of which the first has precedence (https://yaml.org/type/merge)."""
        parts = node.value if isinstance(node, SequenceNode) else [node]
        result: dict[str, Any] = {}
        for part in reversed(parts):
            value = self.value(part, path, depth + 1)
            if isinstance(value, dict):
                result.update(value)
            elif not self.spent:
                self._add(place, "'<<' takes a mapping, or a list of mappings.", "Write '<<: *name'.")
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
