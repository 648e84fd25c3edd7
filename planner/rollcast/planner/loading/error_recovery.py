"""Mistakes of shape in the user's words, and a corrected copy, so that all other mistakes are found at the same time.

Pydantic stops at shape: a file with a misspelt key would hide that it also names an artifact that is not there. So what
can be corrected is corrected in a copy (a misspelt key renamed, an unknown or impossible optional one left out), and it
is checked as a whole. Nothing is reported about what was corrected a second time, and the copy is never used.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from rollcast.planner.base.errors import Diagnostic
from rollcast.planner.base.sources import Path, SourceText
from rollcast.planner.declaration.models import Declaration
from rollcast.planner.loading.cross_checks import check
from rollcast.planner.loading.kind_settings import SettingsOf
from rollcast.planner.loading.wording import mistake_of, nearest, real_path

_ROUNDS = 4


def shape_mistakes(source: SourceText, error: ValidationError, settings_of: SettingsOf) -> list[Diagnostic]:
    """Every mistake of a file whose shape is wrong: those of shape, and those that the corrected copy still has."""
    errors = error.errors()
    misspelt = {(*_parent(source.data, e["loc"]), near): e for e in errors for near in nearest(e, Declaration)}
    shown = [
        e for e in errors if not (e["type"] == "missing" and _parent(source.data, e["loc"], whole=True) in misspelt)
    ]
    reported = [mistake_of(item, source.data, Declaration) for item in shown]
    found = [source.at(each.path, each.summary, each.remedy) for each in reported]
    declaration, corrected = _corrected(source.data, errors)
    if declaration is not None:
        found += [
            source.at(mistake.path, mistake.summary, mistake.remedy)
            for mistake in check(declaration, settings_of)
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
    path = real_path(data, error["loc"])
    if error["type"] == "missing" or not path:
        return path or ("?",)
    parent = _at(data, path[:-1])
    name = path[-1]
    if isinstance(parent, dict):
        value = parent.pop(name, None)
        near = next(iter(nearest(error, Declaration)), None)
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


def _parent(data: Any, loc: Sequence[Any], *, whole: bool = False) -> Path:
    """The real path of what an error stands in; with the missing name itself when `whole`."""
    real = real_path(data, loc[:-1])
    return (*real, loc[-1]) if whole else real


__all__ = ["shape_mistakes"]
