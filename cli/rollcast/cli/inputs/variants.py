"""Other ways to the same release: a declaration with other settings of its rollout, another one, or a saved plan."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rollcast.planner.declaration.models import RolloutSettings
    from rollcast.planner.plan.models import Plan
    from rollcast.stacks.project import Project

AS_DECLARED = "as declared"
Change = Callable[["RolloutSettings"], "RolloutSettings"]
_SETTING = re.compile(r"([a-z_]+)=(\[[^\]]*\]|\{[^}]*\}|\S+)")
_FORM = "Write it as 'percent=[1, 10, 100] bake=30m', or name a declaration (.yaml) or a saved plan (.json)"


@dataclass(frozen=True)
class Variant:
    """A plan with the name under which it is compared."""

    name: str
    plan: Plan


def variant_of(project: Project, text: str, from_: str | None = None) -> Variant:
    """What `--compare` names: settings of the rollout, another declaration below the project, or a saved plan.

    Raises StackError or PlannerError, with the text that is wrong.
    """
    from rollcast.cli.inputs.plans import plan_of, read_plan
    from rollcast.stacks.project import Project

    if text.endswith(".json"):
        return Variant(text, read_plan(Path(text)))
    if text.endswith((".yaml", ".yml")):
        return Variant(text, plan_of(Project.open(project.folder, project.environment_name, text), from_).plan)
    return Variant(text, plan_of(with_settings(project, settings_in(text), text), from_).plan)


def settings_in(text: str) -> dict[str, Any]:
    """From `percent=[1, 10, 100] bake=30m` to the keys of `rollout`. Raises StackError."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    from rollcast.stacks.base.errors import StackError

    found: dict[str, Any] = {}
    for key, value in _SETTING.findall(text):
        if key in found:
            raise StackError(f"'{text}' gives '{key}' twice. {_FORM}.")
        try:
            found[key] = YAML(typ="safe").load(value)
        except YAMLError:
            raise StackError(f"'{value}' of '{text}' is no value. {_FORM}.") from None
    if not found or _SETTING.sub("", text).strip():
        raise StackError(f"'{text}' is no setting of a rollout. {_FORM}.")
    return found


def with_settings(project: Project, settings: Mapping[str, Any], said: str) -> Project:
    """The project with these settings in every rollout that it declares. `said`: how errors name them.

    Who names percentages or a strategy means these, and not the stages that are declared. Raises StackError.
    """
    return varied(project, lambda own: _rollout(own, settings, said), said)


def varied(project: Project, change: Change, said: str) -> Project:
    """The project with every rollout that it declares changed so. `said`: how errors name it. Raises StackError."""
    from rollcast.planner.loading.cross_checks import check
    from rollcast.stacks.base.errors import StackError

    declaration = project.declaration.with_rollouts(change)
    mistakes = [mistake for mistake in check(declaration) if "rollout" in mistake.path]
    if mistakes:
        raise StackError(f"'{said}': {mistakes[0].summary} {mistakes[0].remedy}".strip())
    return replace(project, declaration=declaration)


def _rollout(own: RolloutSettings, settings: Mapping[str, Any], said: str) -> RolloutSettings:
    from pydantic import ValidationError

    from rollcast.planner.base.errors import did_you_mean
    from rollcast.planner.declaration.models import RolloutSettings
    from rollcast.stacks.base.errors import StackError

    known = {field.alias or name for name, field in RolloutSettings.model_fields.items()}
    for key in settings.keys() - known:
        raise StackError(f"'{said}': a rollout has no setting '{key}'. {did_you_mean(key, known)}")
    cleared = {"stages": ()} if settings.keys() & {"percent", "strategy"} and "stages" not in settings else {}
    try:
        return RolloutSettings.model_validate({**own.model_dump(by_alias=True), **cleared, **settings})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise StackError(f"'{said}': {where}: {first['msg']}. {_FORM}.") from None


__all__ = ["AS_DECLARED", "Variant", "settings_in", "variant_of", "varied", "with_settings"]
