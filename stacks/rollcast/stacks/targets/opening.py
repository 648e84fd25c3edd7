"""From what an environment declares to its target: kinds by their names, each with its checked settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rollcast.planner.base.errors import KindError
from rollcast.planner.declaration.models import (
    Environment,
    FlagsSettings,
    InstanceSettings,
    InstancesSettings,
    TargetSettings,
)
from rollcast.plugins.settings import opened
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.flags import FlagStore
from rollcast.stacks.instances import Instances
from rollcast.stacks.targets.target import Target


def target_of(environment: Environment, root: Path, scope: str = "") -> Target:
    """The target of an environment. `root` is the project folder that relative paths are below. Raises StackError.

    `scope`: the ledger's, where something is to be written. Fencing tokens are compared within it.
    """
    if environment.is_split:
        return split_target(
            environment.flags or FlagsSettings(), environment.instances or InstancesSettings(), root, scope
        )
    return short_target(environment.target, root, scope)


def split_target(settings: FlagsSettings, instances: InstancesSettings, root: Path, scope: str = "") -> Target:
    """The target of flags and instances that are declared each by itself. Raises StackError."""
    flags: FlagStore = _made("flags", settings, root, scope)
    by_text: dict[str, Instances] = {}
    for _, each in instances.each():
        key = each.model_dump_json()
        if key not in by_text:
            by_text[key] = _made("instances", each, root, scope)

    def chosen(folder: str, slot: str, kind: str) -> Instances:
        return by_text[instances.of(folder.partition("/")[0], slot, kind).model_dump_json()]

    return Target(flags, list(by_text.values()), chosen)


def short_target(settings: TargetSettings, root: Path, scope: str = "") -> Target:
    """The target of the short form, whose kind of flags says which instances go with it. Raises StackError."""
    try:
        kind, own = opened("target", settings)
    except KindError as error:
        raise StackError(str(error)) from None
    parts = getattr(own, "parts", None)
    if parts is None:  # one class for flags and instances
        both: Any = kind(own, root, scope)
        return Target(both, [both], lambda folder, slot, kind: both)
    own_flags, name, rest = parts()
    instances: Instances = _made("instances", InstanceSettings.model_validate({"kind": name, **rest}), root, scope)
    return Target(kind(own_flags, root, scope), [instances], lambda folder, slot, kind: instances)


def is_same_place(one: Environment, other: Environment, root: Path) -> bool:
    """Whether the flags of two declarations are kept in one place, and their instances in places that they share."""
    if one.reached_as(other).where == other.where:
        return True
    try:
        then, now = target_of(one, root).places, target_of(other, root).places
    except StackError:
        return False
    return then[0] == now[0] and bool({*then[1:]} & {*now[1:]})


def _made(key: str, settings: FlagsSettings | InstanceSettings, root: Path, scope: str) -> Any:
    try:
        kind, own = opened(key, settings)
    except KindError as error:
        raise StackError(str(error)) from None
    return kind(own, root, scope)
