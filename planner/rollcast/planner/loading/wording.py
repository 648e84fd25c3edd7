"""Pydantic's mistakes in the words of who wrote the file: unknown keys with the nearest one, missing ones by name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rollcast.planner.base.errors import did_you_mean
from rollcast.planner.base.sources import Path


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong at a path, and the remedy."""

    path: Path
    summary: str
    remedy: str = ""


def mistake_of(error: Any, data: Any, model: Any, base: Path = (), also: Sequence[str] = ()) -> Mistake:
    """A pydantic error about `data`, read as `model`.

    base: where the data stands in the whole. also: keys that stand beside the model's own.
    """
    real = (*base, *real_path(data, error["loc"]))
    name = str(error["loc"][-1]) if error["loc"] else ""
    if error["type"] == "extra_forbidden":
        near = did_you_mean(name, [*siblings(error, model), *also])
        return Mistake(real, f"unknown key '{name}'.", near or "Remove it.")
    if error["type"] == "missing":
        return Mistake(real, f"'{name}' is missing.", f"Add '{name}:' here.")
    if error["type"] in ("enum", "literal_error"):
        expected = str(error.get("ctx", {}).get("expected", ""))
        names = [word.strip(" '") for word in expected.replace(" or ", ",").split(",")]
        where = str(real[-1]) if real else name
        summary = f"'{error['input']}' is not valid for '{where}'."
        return Mistake(real, summary, did_you_mean(str(error["input"]), names) or "Correct it.")
    return _other(error, real)


def nearest(error: Any, model: Any) -> list[str]:
    """The valid key that an unknown one was meant to be, if one is near."""
    if error["type"] != "extra_forbidden":
        return []
    return difflib.get_close_matches(str(error["loc"][-1]), siblings(error, model), n=1, cutoff=0.6)


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


def _other(error: Any, real: Path) -> Mistake:
    message = str(error["msg"]).removeprefix("Value error, ").replace("Input should be", "it should be")
    where = ".".join(str(part) for part in real)
    shown = repr(error["input"])
    got = f" (got {shown})" if len(shown) <= 60 and not isinstance(error["input"], Mapping) else ""
    remedy = _WANTED.get(error["type"], "Correct it." if error["type"] != "value_error" else "")
    return Mistake(real, f"{where}: {message}{got}." if where else f"{message}.", remedy or "Correct it.")


def real_path(data: Any, loc: Sequence[Any]) -> Path:
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


def siblings(error: Any, model: Any) -> list[str]:
    """The keys that would have been valid where an unknown one stands."""
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


__all__ = ["Mistake", "mistake_of", "nearest", "real_path"]
