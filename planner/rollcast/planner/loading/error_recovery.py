"""Mistakes of shape in the user's words, and a corrected copy, so that all other mistakes are found at the same time.

Pydantic stops at shape: a file with a misspelt key would hide that it also names an artifact that is not there. So what
can be corrected is corrected in a copy (a misspelt key renamed, an unknown or impossible optional one left out), and it
is checked as a whole. Nothing is reported about what was corrected a second time, and the copy is never used.
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from rollcast.planner.base.errors import Diagnostic, did_you_mean
from rollcast.planner.base.sources import Path, SourceText
from rollcast.planner.declaration.models import Declaration
from rollcast.planner.loading.cross_checks import check

_ROUNDS = 4


def shape_mistakes(source: SourceText, error: ValidationError) -> list[Diagnostic]:
    """Every mistake of a file whose shape is wrong: those of shape, and those that the corrected copy still has."""
    errors = error.errors()
    misspelt = {(*_parent(source.data, e["loc"]), near): e for e in errors for near in _near(e)}
    shown = [
        e for e in errors if not (e["type"] == "missing" and _parent(source.data, e["loc"], whole=True) in misspelt)
    ]
    found = [_diagnostic(source, item) for item in shown]
    declaration, corrected = _corrected(source.data, errors)
    if declaration is not None:
        found += [
            source.at(mistake.path, mistake.summary, mistake.remedy)
            for mistake in check(declaration)
            if not any(mistake.path[: len(path)] == path for path in corrected)
        ]
    return list(dict.fromkeys(found))


# ---- error recovery ----------------------------------------------------------------------------------


def _corrected(data: Any, errors: Sequence[Any]) -> tuple[Declaration | None, set[Path]]:
    """A declaration made of what can be used, and the paths that were changed for it; None where that is not enough."""
    data, touched = copy.deepcopy(data), set[Path]()
    for _ in range(_ROUNDS):
        for item in errors:
            touched.add(_correct(data, item))
        try:
            return Declaration.model_validate(data), touched
        except ValidationError as error:
            errors = error.errors()
    return None, touched


def _correct(data: Any, error: Any) -> Path:
    """Renames or removes what an error is about; the path that was changed."""
    path = _real(data, error["loc"])
    if error["type"] == "missing" or not path:
        return path or ("?",)
    parent = _at(data, path[:-1])
    name = path[-1]
    if isinstance(parent, dict):
        value = parent.pop(name, None)
        near = next(iter(_near(error)), None)
        if error["type"] == "extra_forbidden" and near is not None and near not in parent:
            parent[near] = value
            return (*path[:-1], near, "?")
    elif isinstance(parent, list) and isinstance(name, int) and name < len(parent):
        parent[name] = None  # keeps the places of the others
    return path


def _at(data: Any, path: Path) -> Any:
    for part in path:
        data = data[part]
    return data


def _near(error: Any) -> list[str]:
    """The valid key that an unknown one was meant to be, if one is near."""
    if error["type"] != "extra_forbidden":
        return []
    return difflib.get_close_matches(str(error["loc"][-1]), _siblings(error), n=1, cutoff=0.6)


def _parent(data: Any, loc: Sequence[Any], *, whole: bool = False) -> Path:
    """The real path of what an error stands in; with the missing name itself when `whole`."""
    real = _real(data, loc[:-1])
    return (*real, loc[-1]) if whole else real


# ---- wording ----------------------------------------------------------------------------------


def _diagnostic(source: SourceText, error: Any) -> Diagnostic:
    """A pydantic error as a diagnostic in the user's words."""
    real = _real(source.data, error["loc"])
    name = str(error["loc"][-1]) if error["loc"] else ""
    if error["type"] == "extra_forbidden":
        return source.at(real, f"unknown key '{name}'.", did_you_mean(name, _siblings(error)) or "Remove it.")
    if error["type"] == "missing":
        return source.at(real, f"'{name}' is missing.", f"Add '{name}:' here.")
    if error["type"] in ("enum", "literal_error"):
        expected = str(error.get("ctx", {}).get("expected", ""))
        names = [word.strip(" '") for word in expected.replace(" or ", ",").split(",")]
        where = str(real[-1]) if real else name
        return source.at(
            real,
            f"'{error['input']}' is not valid for '{where}'.",
            did_you_mean(str(error["input"]), names) or "Correct it.",
        )
    return _other(source, error, real)


_WANTED = {
    "string_type": "Write text; put numbers in quotes.",
    "int_parsing": "Write a whole number.",
    "float_parsing": "Write a number.",
    "bool_parsing": "Write true or false.",
    "dict_type": "Write 'key: value' pairs.",
    "model_type": "Write 'key: value' pairs.",
    "tuple_type": "Write a list, for example [a, b].",
    "string_pattern_mismatch": "Use letters, digits, '.', '_' and '-'; artifacts are named name@version.",
}


def _other(source: SourceText, error: Any, real: Path) -> Diagnostic:
    message = str(error["msg"]).removeprefix("Value error, ").replace("Input should be", "it should be")
    where = ".".join(str(part) for part in real)
    shown = repr(error["input"])
    got = f" (got {shown})" if len(shown) <= 60 and not isinstance(error["input"], Mapping) else ""
    remedy = _WANTED.get(error["type"], "Correct it." if error["type"] != "value_error" else "")
    return source.at(real, f"{where}: {message}{got}." if where else f"{message}.", remedy or "Correct it.")


def _real(data: Any, loc: Sequence[Any]) -> Path:
    """The keys of an error's location that are in the data: pydantic adds names of its own types."""
    real: Path = ()
    for part in loc:
        known = (isinstance(data, Mapping) and part in data) or (
            isinstance(data, list) and isinstance(part, int) and part < len(data)
        )
        if known:
            real = (*real, part)
            data = data[part]
    return real


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


__all__ = ["shape_mistakes"]
