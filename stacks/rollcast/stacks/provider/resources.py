"""What each resource type does: plain functions of inputs, a context, and the world.

Long because it is one short class for each resource type.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rollcast.stacks.flags.definitions import content_digest
from rollcast.stacks.fleet.control import pause
from rollcast.stacks.fleet.fleet import CONFIRM_S, Fleet
from rollcast.stacks.instances import Instances, InstanceSpec, Placed, Provisioning
from rollcast.stacks.provider.inputs import (
    TARGET,
    AnyTarget,
    DrainInputs,
    EvaluateInputs,
    FlagInputs,
    InstanceInputs,
    SplitInputs,
    WarmInputs,
)
from rollcast.stacks.targets.addresses import addressed_flag, addressed_variant
from rollcast.stacks.targets.opening import short_target, split_target
from rollcast.stacks.targets.target import Target

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

    def target(self, inputs: AnyTarget) -> Target:
        if isinstance(inputs, SplitInputs):
            flags, instances = inputs.to_settings()
            return split_target(flags, instances, self.root, self.scope)
        return short_target(inputs.to_settings(), self.root, self.scope)

    def instances(self, inputs: InstanceInputs) -> Instances:
        """Those of the kind that an instance is of."""
        kind = json.loads(inputs.spec).get("kind", "")
        return self.target(inputs.target).instances_of(inputs.folder, inputs.slot, kind)


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

    def place(self, inputs: Plain, context: Context) -> str:
        """Names where it is: what moves to another place is made there before it is taken away here."""


class InstanceResource:
    """What a component runs as."""

    def is_current(self, inputs: Plain, old: Plain, context: Context) -> bool:
        wanted = InstanceInputs.model_validate(inputs)
        return _stands(context.instances(wanted), _placed(wanted))

    def make(self, inputs: Plain, context: Context) -> Plain:
        from rollcast.stacks.artifacts.building import materialize

        wanted = InstanceInputs.model_validate(inputs)
        target = context.target(wanted.target)
        for digest, body in json.loads(wanted.documents).items():
            target.put_document(context.fence, digest, body)
        instances = context.instances(wanted)
        if not _stands(instances, _placed(wanted)):
            recipe = json.loads(wanted.recipe)
            content = materialize(
                wanted.reference, recipe["definitions"], recipe["digests"], context.root,
                progress=context.progress, stopped=context.stopped, timeout_s=wanted.timeout_s,
            )  # fmt: skip
            watch = Provisioning(wanted.timeout_s, context.stopped, context.progress)
            spec = InstanceSpec.model_validate({"reference": wanted.reference, **json.loads(wanted.spec)})
            instances.put_instance(context.fence, _placed(wanted), content, spec, watch)
        return inputs

    def remove(self, state: Plain, context: Context) -> None:
        self._of(state, context).remove_instance(context.fence, state["folder"], state.get("owner", ""))

    def read(self, state: Plain, context: Context) -> Plain | None:
        found = self._of(state, context).placed().get(state["folder"])
        if found is None:
            return None
        return {**state, **found.model_dump(exclude={"folder", "address"})}

    def place(self, inputs: Plain, context: Context) -> str:
        return f"{self._of(inputs, context).place}/{inputs['folder']}"

    @staticmethod
    def _of(state: Plain, context: Context) -> Instances:
        """The instances that what Pulumi remembers is one of; what an older version remembered lacks newer inputs."""
        known = {name: value for name, value in state.items() if name in InstanceInputs.model_fields}
        return context.instances(InstanceInputs.model_validate(known))


def is_placed(found: Placed | None, wanted: Placed) -> bool:
    """Whether an instance is what is wanted. One that says no owner was made by an older version, and stays."""
    if found is None or (found.owner and wanted.owner):
        return found is not None and found.unaddressed == wanted
    unmarked = {"owner": "", "pipeline": "", "address": ""}
    return found.model_copy(update=unmarked) == wanted.model_copy(update=unmarked)


def _stands(instances: Instances, wanted: Placed) -> bool:
    """Whether an instance is what is wanted, and kept up."""
    return is_placed(instances.placed().get(wanted.folder), wanted) and wanted.folder not in instances.down()


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
        target = context.target(wanted.target)
        flag = addressed_flag(json.loads(wanted.flag), target, strict=False)
        if target.flag(wanted.key) != flag:
            return False
        return Fleet(wanted.endpoints).confirmed(wanted.key, content_digest(flag))

    def make(self, inputs: Plain, context: Context) -> Plain:
        wanted = FlagInputs.model_validate(inputs)
        target = context.target(wanted.target)
        for digest, body in json.loads(wanted.documents).items():
            target.put_document(context.fence, digest, body)
        flag = addressed_flag(json.loads(wanted.flag), target)
        target.put_flag(context.fence, wanted.key, flag)
        self._await(wanted, content_digest(flag), context)
        return inputs

    @staticmethod
    def _await(wanted: FlagInputs, content: str, context: Context) -> None:
        """A shift is done when the data plane evaluates it: the drain and the stage that follow begin then."""
        most_s = min(CONFIRM_S, wanted.timeout_s / 2)  # what is late is said by name before the operation's own limit
        silent = Fleet(wanted.endpoints).confirm(wanted.key, content, context.stopped, most_s)
        if silent:
            context.progress(
                f"the data plane at {', '.join(silent)} does not report which definition it evaluates; it is "
                "taken to be current"
            )

    def remove(self, state: Plain, context: Context) -> None:
        context.target(TARGET.validate_python(state["target"])).put_flag(context.fence, state["key"], None)

    def read(self, state: Plain, context: Context) -> Plain | None:
        found = context.target(TARGET.validate_python(state["target"])).flag(state["key"])
        return None if found is None else {**state, "flag": json.dumps(found, sort_keys=True, separators=(",", ":"))}

    def place(self, inputs: Plain, context: Context) -> str:
        return f"{context.target(TARGET.validate_python(inputs['target'])).places[0]}/{inputs['key']}"


class _Step:
    """Something that is done, and leaves nothing to take away. Done again only when another operation asks."""

    def is_current(self, inputs: Plain, old: Plain, context: Context) -> bool:
        return bool(old.get("run") == inputs["run"])

    def remove(self, state: Plain, context: Context) -> None:
        return None

    def read(self, state: Plain, context: Context) -> Plain | None:
        return state

    def place(self, inputs: Plain, context: Context) -> str:
        return ""


class WarmResource(_Step):
    """An instance is loaded before the first user's request reaches it."""

    def make(self, inputs: Plain, context: Context) -> Plain:
        wanted = WarmInputs.model_validate(inputs)
        Fleet(wanted.endpoints).warm(wanted.instance, wanted.timeout_s, context.stopped, context.progress)
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
        release = _with_content(release, wanted, context)
        runner = evaluator_of(Evaluator.model_validate(json.loads(wanted.evaluator)), context.root)
        found = runner.evaluate(release, suite, wanted.endpoints, wanted.timeout_s, context.stopped)
        return result_of(found, wanted.suite)


def _with_content(release: Plain, wanted: EvaluateInputs, context: Context) -> Plain:
    """A release with where each component's content is on this machine, and the address that it answers at."""
    target = context.target(wanted.target) if wanted.target is not None else None
    found = addressed_variant(release, target) if target is not None else release
    for component in found["components"].values():
        if target is not None:
            folder = target.content(component["instance"])
        else:
            beside = context.root / wanted.instances / component["instance"]
            folder = beside.resolve() if wanted.instances and beside.is_dir() else None
        if folder is not None:
            component["content"] = str(folder)
    return found


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
