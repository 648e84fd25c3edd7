"""The settings of kinds: a pydantic model each, by which the declaration's mistakes and its JSON Schema know them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from rollcast.planner.base.errors import KindError
from rollcast.planner.declaration.models import KindSettings, Model
from rollcast.planner.loading.kind_settings import shared_words
from rollcast.plugins.finding import kinds, load
from rollcast.plugins.seams import Seam

SEAMS: Mapping[str, tuple[Seam, ...]] = {
    "target": (Seam.FLAGS, Seam.INSTANCES),
    "flags": (Seam.FLAGS,),
    "instances": (Seam.INSTANCES,),
    "telemetry": (Seam.TELEMETRY,),
    "evaluator": (Seam.EVALUATORS,),
}
"""Key of the declaration -> the seams whose kinds may stand there. A target is short for flags and instances."""


class Settings(Model):
    """What a kind takes beside `kind`: subclass it. Frozen, and a key that it does not name is a mistake."""


def settings_of(key: str, kind: str) -> type[BaseModel]:
    """The model of a kind's settings, without `kind` itself. Raises KindError.

    `key`: one of SEAMS. Profiles of stations are let through: they matter to a forecast alone, which checks them.
    """
    if key == "profile":
        return shared_words(key, kind)
    return _model_at(key, class_of(key, kind), kind)


def class_of(key: str, kind: str) -> Any:
    """The class of the kind that stands at a key of the declaration. Raises KindError.

    A target's kind of flags says by its `short_form` which instances go with it; else one class is both.
    """
    first = load(SEAMS[key][0], kind, key)
    if key == "target" and getattr(first, "short_form", None) is not None:
        return first
    found = [first, *(load(seam, kind, key) for seam in SEAMS[key][1:])]
    if any(each is not found[0] for each in found):
        names = " and ".join(f"'{seam}'" for seam in SEAMS[key])
        raise KindError(
            f"{key} of kind '{kind}' is one thing in {names} and another.",
            "Name each by itself, under 'flags' and 'instances'; or register one class in both.",
        )
    return found[0]


def _model_at(key: str, found: Any, kind: str) -> type[BaseModel]:
    short: type[BaseModel] | None = getattr(found, "short_form", None) if key == "target" else None
    return short or model_of(found, kind)


def model_of(found: Any, kind: str) -> type[BaseModel]:
    """The model that a kind's class names as `settings_model`. Raises KindError where it names none."""
    model = getattr(found, "settings_model", None)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        what = f"kind '{kind}' has no settings: {found!r} names no pydantic model as 'settings_model'."
        raise KindError(what, "Correct the package that brings it.")
    return model


def opened(key: str, settings: KindSettings) -> tuple[Any, BaseModel]:
    """The class of a kind and its checked settings. Raises KindError."""
    found = class_of(key, settings.kind)
    model = _model_at(key, found, settings.kind)
    try:
        return found, model.model_validate(settings.own(model))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join((key, *(str(part) for part in first["loc"])))
        said = str(first["msg"]).removeprefix("Value error, ")
        raise KindError(f"{where}: {said}.".replace("..", "."), "Correct it.") from None


def models() -> Iterator[tuple[str, str, type[BaseModel]]]:
    """(key, kind, model) of every installed kind that can be imported."""
    for key, seams in SEAMS.items():
        for kind in kinds(seams[0]):
            try:
                yield key, kind, settings_of(key, kind)
            except KindError:
                continue


__all__ = ["SEAMS", "Settings", "class_of", "model_of", "models", "opened", "settings_of"]
