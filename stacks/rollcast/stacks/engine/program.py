"""A milestone as a Pulumi program: what must exist once it is reached, and in which order it is made so.

What exists at a milestone is declared in full: instances, flags and the steps of its own operations. What the milestone
retires is left out, so the engine deletes it, and it does that last: after the flag has moved and the drain is over.
`depends_on` is the operations' `after`. A pipeline's flag waits for whatever its shifts wait for.

Long because all resources of a milestone wait for one another.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, assert_never

from rollcast.planner.declaration.models import Environment, InstancesSettings
from rollcast.planner.plan.models import Operation, WorldState
from rollcast.planner.releases.releases import Release, SlotVersion, Track, canonical, digest_of
from rollcast.planner.routing.split import flag_key
from rollcast.stacks.artifacts.building import BUILD_TIMEOUT_S
from rollcast.stacks.artifacts.recipes import Definitions, recipe_of
from rollcast.stacks.flags.definitions import Audiences, compiled, content_digest, document_of
from rollcast.stacks.instances import InstanceSpec

_WRITE_S = 60.0
_WARM_S = 600.0
EVALUATE_S = 3600.0
_DRAIN_S = 900.0  # beyond the wait that is requested


def most_s() -> float:
    """The longest that any one operation may take: ROLLCAST_TIMEOUT_S, or each kind's own limit."""
    return float(os.environ.get("ROLLCAST_TIMEOUT_S", "inf"))


@dataclass(frozen=True)
class ResourceNode:
    """One resource: its type, name and inputs, and the names of those that it waits for."""

    kind: str
    name: str
    inputs: Mapping[str, Any]
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class DesiredState:
    """The world that a milestone asks for, and the operations that lead to it.

    results: of evaluations that were run before, by operation id; they are not run again.
    """

    rollout: str
    settings: Environment
    state: WorldState
    operations: Sequence[Operation]
    releases: Mapping[str, Release]
    lines: Mapping[str, Track]
    audiences: Audiences
    live_flags: Mapping[str, Mapping[str, Any]]
    definitions: Definitions
    digests: Mapping[str, str]
    owner: str = ""
    results: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def nodes_of(goal: DesiredState) -> list[ResourceNode]:
    """The resources of a milestone, each after all that it waits for."""
    return _Builder(goal).all()


@dataclass
class _Builder:
    goal: DesiredState
    nodes: dict[str, ResourceNode] = field(default_factory=dict)

    def all(self) -> list[ResourceNode]:
        for folder in self.goal.state.instances:
            self._instance(folder)
        for operation in self.goal.operations:
            self._operation(operation)
        for pipeline in self._pipelines():
            self._flag(pipeline)
        return list(self.nodes.values())

    def _pipelines(self) -> list[str]:
        serving = {self.goal.lines[track].pipeline for track, shares in self.goal.state.serving.items() if shares}
        return sorted({*serving, *self.goal.live_flags})

    def _gone(self, pipeline: str) -> bool:
        """Whether nothing of a pipeline is left: no track serves and no instance exists. In a pause they do."""
        goal = self.goal
        own = [
            track for track, rules in goal.lines.items() if rules.pipeline == pipeline and track in goal.state.serving
        ]
        if not own or any(goal.state.serving[track] for track in own):
            return False
        return all(goal.releases[release].pipeline != pipeline for release, _ in goal.state.instances.values())

    def _add(self, kind: str, name: str, inputs: Mapping[str, Any], after: Sequence[str] = ()) -> str:
        timeout_s = min(inputs["timeout_s"], most_s())
        self.nodes[name] = ResourceNode(kind, name, {**inputs, "timeout_s": timeout_s}, tuple(dict.fromkeys(after)))
        return name

    def _target(self) -> dict[str, str]:
        if self.goal.settings.is_split:
            return self._split()
        target = self.goal.settings.target
        own = target.model_extra or {}
        shared: dict[str, str] = target.model_dump(include={"kind", "definition", "instances"})
        return {**shared, **({"settings": canonical(own)} if own else {})}

    def _split(self) -> dict[str, str]:
        """Flags and instances as they are declared; addresses of replicas go with each operation."""
        settings = self.goal.settings
        flags = settings.flag_settings
        instances = settings.instances or InstancesSettings()
        own = flags.model_dump(mode="json", exclude={*flags.outside} - {"kind"})
        return {"flags": canonical(own), "instances": canonical(instances.model_dump(mode="json"))}

    # ---- operations ---------------------------------------------------------------------------

    def _waits(self, operations: Sequence[Operation]) -> list[str]:
        """The resources that must come first. Operations of earlier milestones are done, these are done together."""
        together = {operation.id for operation in operations}
        own = {operation.id: operation for operation in self.goal.operations if operation.id not in together}
        found = (self._operation(own[name]) for operation in operations for name in operation.after if name in own)
        return [name for name in found if name]

    def _operation(self, operation: Operation) -> str:
        """The resource that carries an operation out; empty for a retirement, which is the absence of one."""
        match operation.kind:
            case "retire":
                return ""
            case "provision":
                return self._instance(operation.instance or "")
            case "shift" | "flag":
                return self._flag(self._pipeline_of(operation))
            case "warm":
                return self._step(operation, self._warm)
            case "evaluate":
                return self._step(operation, self._evaluate)
            case "drain":
                return self._step(operation, self._drain)
            case _:
                assert_never(operation.kind)

    def _step(self, operation: Operation, inputs_of: Callable[[Operation], dict[str, Any]]) -> str:
        """A resource of the operation's own, made once."""
        name = f"{operation.kind}:{operation.id}"
        if name in self.nodes:
            return name
        inputs = inputs_of(operation)
        run = {"run": f"{self.goal.rollout}/{operation.id}", "endpoints": list(self.goal.settings.endpoints)}
        return self._add(operation.kind.capitalize(), name, {**run, **inputs}, self._waits([operation]))

    def _pipeline_of(self, operation: Operation) -> str:
        return self.goal.lines[operation.line or ""].pipeline

    def _warm(self, operation: Operation) -> dict[str, Any]:
        return {"instance": operation.instance, "timeout_s": _WARM_S}

    def _evaluate(self, operation: Operation) -> dict[str, Any]:
        assert operation.evaluate is not None
        channel = self.goal.lines[operation.line or ""].channel
        runner = operation.evaluate.evaluator
        return {
            **({"evaluator": canonical(runner.model_dump(mode="json"))} if runner is not None else {}),
            "release": canonical(self.goal.releases[operation.release or ""].variant(channel)),
            "suite": operation.evaluate.suite,
            "thresholds": operation.evaluate.thresholds,
            **(
                {"target": self._split()}
                if self.goal.settings.is_split
                else {"instances": self.goal.settings.target.instances}
            ),
            **({"known": canonical(known)} if (known := self.goal.results.get(operation.id)) is not None else {}),
            "recipe": canonical(recipe_of([operation.evaluate.suite], self.goal.definitions, self.goal.digests)),
            "timeout_s": EVALUATE_S,
        }

    def _drain(self, operation: Operation) -> dict[str, Any]:
        return {
            "releases": list(operation.drained),
            "least_s": operation.wait_s,
            "timeout_s": operation.wait_s + _DRAIN_S,
        }

    # ---- what lasts ---------------------------------------------------------------------------

    def _instance(self, folder: str) -> str:
        name = f"instance:{folder}"
        if name in self.nodes:
            return name
        release, slot = self.goal.state.instances[folder]
        version = self.goal.releases[release].slots[slot]
        document = document_of(self.goal.releases[release])
        inputs = {
            "target": self._target(),
            "folder": folder,
            "reference": version.reference,
            "digest": version.digest,
            "slot": slot,
            "release": release,
            "document": digest_of(document),
            "owner": self.goal.owner,
            "pipeline": self.goal.releases[release].pipeline,
            "documents": canonical({digest_of(document): canonical(document)}),
            "recipe": canonical(self._recipe(version.reference, release)),
            **({"spec": canonical(_spec(version))} if self.goal.settings.is_split else {}),
            "timeout_s": float(BUILD_TIMEOUT_S),
        }
        makes = [op for op in self.goal.operations if op.kind == "provision" and op.instance == folder]
        return self._add("Instance", name, inputs, self._waits(makes))

    def _recipe(self, reference: str, release: str) -> dict[str, Any]:
        """What an artifact is made from: as declared, else, for an old release, as far as the release itself says."""
        versions = {slot.reference: slot for slot in self.goal.releases[release].slots.values()}
        wanted = versions[reference]
        if self.goal.digests.get(reference) == wanted.digest:
            return recipe_of([reference], self.goal.definitions, self.goal.digests)
        definition = wanted.artifact.model_dump(mode="json", by_alias=True)
        return {"definitions": {reference: definition}, "digests": {reference: wanted.digest}}

    def _named(self, pipeline: str) -> list[str]:
        """The instances that a flag names and that no operation makes: what is put back runs before it is named."""
        if not self.goal.settings.is_split:
            return []
        made = {operation.instance for operation in self.goal.operations if operation.kind == "provision"}
        served = {
            share.release
            for line, shares in self.goal.state.serving.items()
            if self.goal.lines[line].pipeline == pipeline
            for share in shares
        }
        folders = [folder for name in sorted(served) for folder in self.goal.releases[name].folders.values()]
        return [self._instance(each) for each in folders if each in self.goal.state.instances and each not in made]

    def _flag(self, pipeline: str) -> str:
        name = f"flag:{pipeline}"
        if name in self.nodes:
            return name
        shifts = [
            op for op in self.goal.operations if op.kind in ("shift", "flag") and self._pipeline_of(op) == pipeline
        ]
        if self._gone(pipeline):
            return ""  # its flag is no part of the program, so the engine deletes it
        waits = [*self._waits(shifts), *self._named(pipeline)]
        if shifts or pipeline not in self.goal.live_flags:
            goal = self.goal
            flag, documents = compiled(
                pipeline, goal.lines, goal.state.serving, goal.releases, goal.audiences, goal.owner
            )
        else:
            flag, documents = dict(self.goal.live_flags[pipeline]), {}
        inputs = {
            "target": self._target(),
            "key": flag_key(pipeline),
            "flag": canonical(flag),
            "content": content_digest(flag),
            "endpoints": list(self.goal.settings.endpoints),
            "documents": canonical(documents),
            "timeout_s": _WRITE_S,
        }
        return self._add("Flag", name, inputs, waits)


def _spec(version: SlotVersion) -> dict[str, Any]:
    """What kinds of instances may build from, beside content."""
    own = InstanceSpec(
        reference=version.reference, kind=version.artifact.kind.value, parameters=version.parameters,
        replicas=version.replicas, needs=version.needs, regions=version.regions,
    )  # fmt: skip
    return own.model_dump(mode="json")


def program_of(nodes: Sequence[ResourceNode]) -> Callable[[], None]:
    """The inline program that declares these resources."""
    import pulumi

    class _Resource(pulumi.CustomResource):
        def __init__(self, node: ResourceNode, after: list[pulumi.Resource]) -> None:
            options = pulumi.ResourceOptions(depends_on=after)
            super().__init__(f"rollcast:live:{node.kind}", node.name, dict(node.inputs), options)

    def program() -> None:
        made: dict[str, pulumi.Resource] = {}
        for node in nodes:
            made[node.name] = _Resource(node, [made[name] for name in node.after])

    return program
