"""What each resource type does: plain functions of inputs, a context, and the world."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rollcast.stacks.provider.inputs import (
    DrainInputs,
    EvaluateInputs,
    FlagInputs,
    InstanceInputs,
    TargetInputs,
    WarmInputs,
)
from rollcast.stacks.targets import Placed, Target, target_of
from rollcast.stacks.targets.control import pause
from rollcast.stacks.targets.fleet import CONFIRM_S, Fleet

if TYPE_CHECKING:
    from rollcast.stacks.evaluators.results import SuiteResult

Plain = dict[str, Any]


@dataclass(frozen=True)
class Context:
    """What an operation may use: the project folder, its fencing token with its scope, how to say and notice things."""

    root: Path
    fence: int
    progress: Callable[[str], None]
    stopped: Callable[[], bool]
    scope: str = ""

    def target(self, inputs: TargetInputs) -> Target:
        return target_of(inputs.to_settings(), self.root, self.scope)


class Resource(Protocol):
    """One resource type."""

    def is_current(self, inputs: Plain, old: Plain, context: Context) -> bool:
        """Whether the world is already as `inputs` say. `old` is what Pulumi remembers of it."""

    def make(self, inputs: Plain, context: Context) -> Plain:
        """Makes it so, whatever was there before. Gives the outputs."""

    def remove(self, state: Plain, context: Context) -> None:
        """Takes it away; it may be gone already."""

    def read(self, state: Plain, context: Context) -> Plain | None:
        """The state as the world has it; None when it isn't there."""


class InstanceResource:
    """Content in a folder."""

    def is_current(self, inputs: Plain, old: Plain, context: Context) -> bool:
        wanted = InstanceInputs.model_validate(inputs)
        return is_placed(context.target(wanted.target).placed().get(wanted.folder), _placed(wanted))

    def make(self, inputs: Plain, context: Context) -> Plain:
        from rollcast.stacks.artifacts.building import materialize

        wanted = InstanceInputs.model_validate(inputs)
        target = context.target(wanted.target)
        for digest, body in json.loads(wanted.documents).items():
            target.put_document(context.fence, digest, body)
        if not is_placed(target.placed().get(wanted.folder), _placed(wanted)):
            recipe = json.loads(wanted.recipe)
            content = materialize(
                wanted.reference, recipe["definitions"], recipe["digests"], context.root,
                progress=context.progress, stopped=context.stopped, timeout_s=wanted.timeout_s,
            )  # fmt: skip
            target.put_instance(context.fence, _placed(wanted), content)
        return inputs

    def remove(self, state: Plain, context: Context) -> None:
        target = TargetInputs.model_validate(state["target"])
        context.target(target).remove_instance(context.fence, state["folder"], state.get("owner", ""))

    def read(self, state: Plain, context: Context) -> Plain | None:
        target = TargetInputs.model_validate(state["target"])
        found = context.target(target).placed().get(state["folder"])
        if found is None:
            return None
        return {**state, **found.model_dump(exclude={"folder"})}


def is_placed(found: Placed | None, wanted: Placed) -> bool:
    """Whether an instance is what is wanted. One that says no owner was made by an older version, and stays."""
    if found is None or (found.owner and wanted.owner):
        return found == wanted
    unmarked = {"owner": "", "pipeline": ""}
    return found.model_copy(update=unmarked) == wanted.model_copy(update=unmarked)


def _placed(inputs: InstanceInputs) -> Placed:
    return Placed(
        folder=inputs.folder,
        digest=inputs.digest,
        release=inputs.release,
        slot=inputs.slot,
        document=inputs.document,
        owner=inputs.owner,
        pipeline=inputs.pipeline,
    )


class FlagResource:
    """What the data plane evaluates."""

    def is_current(self, inputs: Plain, old: Plain, context: Context) -> bool:
        wanted = FlagInputs.model_validate(inputs)
        if context.target(wanted.target).flag(wanted.key) != json.loads(wanted.flag):
            return False
        return Fleet(wanted.endpoints).confirmed(wanted.key, wanted.content)

    def make(self, inputs: Plain, context: Context) -> Plain:
        wanted = FlagInputs.model_validate(inputs)
        target = context.target(wanted.target)
        for digest, body in json.loads(wanted.documents).items():
            target.put_document(context.fence, digest, body)
        target.put_flag(context.fence, wanted.key, json.loads(wanted.flag))
        self._await(wanted, context)
        return inputs

    @staticmethod
    def _await(wanted: FlagInputs, context: Context) -> None:
        """A shift is done when the data plane evaluates it: the drain and the stage that follow begin then."""
        most_s = min(CONFIRM_S, wanted.timeout_s / 2)  # what is late is said by name before the operation's own limit
        silent = Fleet(wanted.endpoints).confirm(wanted.key, wanted.content, context.stopped, most_s)
        if silent:
            context.progress(
                f"the data plane at {', '.join(silent)} does not report which definition it evaluates; it is "
                "taken to be current"
            )

    def remove(self, state: Plain, context: Context) -> None:
        target = TargetInputs.model_validate(state["target"])
        context.target(target).put_flag(context.fence, state["key"], None)

    def read(self, state: Plain, context: Context) -> Plain | None:
        target = TargetInputs.model_validate(state["target"])
        found = context.target(target).flag(state["key"])
        return None if found is None else {**state, "flag": json.dumps(found, sort_keys=True, separators=(",", ":"))}


class _Step:
    """Something that is done, and leaves nothing to take away. Done again only when another operation asks."""

    def is_current(self, inputs: Plain, old: Plain, context: Context) -> bool:
        return bool(old.get("run") == inputs["run"])

    def remove(self, state: Plain, context: Context) -> None:
        return None

    def read(self, state: Plain, context: Context) -> Plain | None:
        return state


class WarmResource(_Step):
    """An instance is loaded before the first user's request reaches it."""

    def make(self, inputs: Plain, context: Context) -> Plain:
        wanted = WarmInputs.model_validate(inputs)
        Fleet(wanted.endpoints).warm(wanted.instance, wanted.timeout_s, context.stopped)
        return inputs


class EvaluateResource(_Step):
    """A whole release against an evaluation suite; what was found before is not paid for again."""

    def make(self, inputs: Plain, context: Context) -> Plain:
        wanted = EvaluateInputs.model_validate(inputs)
        if wanted.known:
            context.progress(f"{wanted.suite} was run on this release before; its result is taken")
            return {**inputs, "result": wanted.known}
        found = self._run(wanted, context)
        return {**inputs, "result": json.dumps(found.to_json(), sort_keys=True)}

    @staticmethod
    def _run(wanted: EvaluateInputs, context: Context) -> SuiteResult:
        from rollcast.planner.declaration.models import Evaluator
        from rollcast.stacks.artifacts.building import materialize
        from rollcast.stacks.evaluators import evaluator_of
        from rollcast.stacks.evaluators.results import result_of

        recipe = json.loads(wanted.recipe)
        suite = materialize(
            wanted.suite, recipe["definitions"], recipe["digests"], context.root,
            progress=context.progress, stopped=context.stopped, timeout_s=wanted.timeout_s,
        )  # fmt: skip
        context.progress(f"evaluating on {wanted.suite}")
        release = json.loads(wanted.release)
        for component in release["components"].values() if wanted.instances else ():
            folder = context.root / wanted.instances / component["instance"]
            if folder.is_dir():
                component["content"] = str(folder.resolve())
        runner = evaluator_of(Evaluator.model_validate(json.loads(wanted.evaluator)), context.root)
        found = runner.evaluate(release, suite, wanted.endpoints, wanted.timeout_s, context.stopped)
        return result_of(found, wanted.suite)


class DrainResource(_Step):
    """Waits until nobody is on the old releases."""

    def make(self, inputs: Plain, context: Context) -> Plain:
        wanted = DrainInputs.model_validate(inputs)
        fleet = Fleet(wanted.endpoints)
        if fleet:
            fleet.drain(wanted.releases, wanted.least_s, wanted.timeout_s, context.stopped)
        else:
            pause(wanted.least_s, context.stopped)
        return inputs


RESOURCES: dict[str, Resource] = {
    "Instance": InstanceResource(),
    "Flag": FlagResource(),
    "Warm": WarmResource(),
    "Evaluate": EvaluateResource(),
    "Drain": DrainResource(),
}
