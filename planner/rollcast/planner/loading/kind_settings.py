"""The settings of a target, of telemetry, of an evaluator: what their kinds take, and the line of what they don't.

Which kinds there are is not the planner's to know. Whoever loads a declaration gives `settings_of`, which answers with
the pydantic model of a kind or raises KindError. Without it kinds go unchecked, and only shared words may stand there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from rollcast.planner.base.errors import KindError
from rollcast.planner.base.sources import Path
from rollcast.planner.declaration.models import (
    Declaration,
    Environment,
    Evaluator,
    KindSettings,
    Model,
    RolloutSettings,
    TargetSettings,
    Telemetry,
)
from rollcast.planner.loading.wording import Mistake, mistake_of, nearest

SettingsOf = Callable[[str, str], type[BaseModel]]
"""(key, kind) -> the model of its settings. Raises KindError.

key: "target", "flags", "instances", "telemetry", "evaluator", or "profile" for an artifact's performance, whose kind
is its station.
"""


def _shared(settings: type[KindSettings]) -> type[BaseModel]:
    fields: dict[str, Any] = {
        name: (field.annotation, field) for name, field in settings.model_fields.items() if name not in settings.outside
    }
    return create_model(settings.__name__, __base__=Model, **fields)


class AnySettings(BaseModel):
    """What nobody looks into here: profiles are the simulator's to know, flags and instances have no shared words."""

    model_config = ConfigDict(extra="allow")


_SHARED: dict[str, type[BaseModel]] = {
    "profile": AnySettings,
    "target": _shared(TargetSettings),
    "flags": AnySettings,
    "instances": AnySettings,
    "telemetry": _shared(Telemetry),
    "evaluator": _shared(Evaluator),
}


def shared_words(key: str, _kind: str) -> type[BaseModel]:
    """The settings of any kind, as far as its words are those that several kinds share."""
    return _SHARED[key]


def given_settings(declaration: Declaration) -> Iterator[tuple[Path, str, KindSettings]]:
    """(path, key, settings) of everything in a declaration that is of a kind."""
    for name, environment in declaration.environments.items():
        here: Path = ("environments", name)
        if not environment.is_split:
            yield (*here, "target"), "target", environment.target
        if environment.flags is not None:
            yield (*here, "flags"), "flags", environment.flags
        for path, settings in environment.instances.each() if environment.instances is not None else ():
            yield (*here, "instances", *path), "instances", settings
        yield ("environments", name, "telemetry"), "telemetry", environment.telemetry
    for at, rollout in _rollouts(declaration):
        for index, evaluate in enumerate(rollout.evaluate):
            if evaluate.evaluator is not None:
                yield (*at, "evaluate", index, "evaluator"), "evaluator", evaluate.evaluator


def settings_mistakes(declaration: Declaration, settings_of: SettingsOf) -> Iterator[Mistake]:
    """What is wrong with kinds and with what stands beside them."""
    for path, key, settings in given_settings(declaration):
        try:
            model = settings_of(key, settings.kind)
        except KindError as error:
            yield Mistake((*path, "kind"), error.summary, error.remedy)
        else:
            yield from _misfits(settings.own(model), model, path, settings.outside)
    for index, artifact in enumerate(declaration.artifacts):
        if artifact.profile is not None:
            here: Path = ("artifacts", index, "profile")
            try:
                model = settings_of("profile", str(artifact.profile.get("station", "")))
            except KindError as error:
                yield Mistake((*here, "station"), error.summary, error.remedy)
            else:
                yield from _misfits(artifact.profile, model, here, ())


def _misfits(given: dict[str, Any], model: type[BaseModel], path: Path, beside: Sequence[str]) -> Iterator[Mistake]:
    """What a model refuses of what is given for it; `beside` are keys of the same mapping that are not the model's."""
    try:
        model.model_validate(given)
    except ValidationError as found:
        meant = {name for item in found.errors() for name in nearest(item, model)}
        for item in found.errors():
            if not (item["type"] == "missing" and item["loc"][-1] in meant):
                yield mistake_of(item, given, model, path, beside if len(item["loc"]) == 1 else ())


def with_defaults(declaration: Declaration, settings_of: SettingsOf) -> Declaration:
    """A checked declaration whose targets hold their kinds' own defaults.

    A plan keeps its target, and once it was saved a default of these shared words looks like what was given.
    """
    complete = {name: _complete(environment, settings_of) for name, environment in declaration.environments.items()}
    if complete == declaration.environments:
        return declaration
    return declaration.model_copy(update={"environments": complete})


def _complete(environment: Environment, settings_of: SettingsOf) -> Environment:
    if environment.is_split:
        return environment
    target = environment.target
    model = settings_of("target", target.kind)
    own = target.own(model)
    made = model.model_validate(own)
    defaults = made.model_dump(mode="json", by_alias=True, exclude=made.model_fields_set)
    beside = target.model_dump(include=set(target.outside))
    complete = TargetSettings.model_validate({**beside, **defaults, **own})
    return environment.model_copy(update={"target": complete})


def _rollouts(declaration: Declaration) -> Iterator[tuple[Path, RolloutSettings]]:
    yield ("rollout",), declaration.rollout
    for name, pipeline in declaration.each_pipeline().items():
        base: Path = ("pipelines", name) if declaration.pipelines else ()
        if pipeline.rollout is not None:
            yield (*base, "rollout"), pipeline.rollout
        for channel, rules in pipeline.channels.items():
            if rules.rollout is not None:
                yield (*base, "channels", channel, "rollout"), rules.rollout


__all__ = ["SettingsOf", "given_settings", "settings_mistakes", "shared_words", "with_defaults"]
