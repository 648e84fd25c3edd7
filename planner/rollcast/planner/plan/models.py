"""The plan: data with several readers. Showing, simulating, checking and executing it add nothing to it.

A plan is a chain of milestones. A milestone is a complete, safe state of the data plane; its operations lead to it from
the one before. Within a milestone operations form a DAG (`after`), transitively reduced; between milestones everything
of the earlier one is done first. Each milestone has its rollback, itself a chain of milestones.

Long because it is the whole form of a plan, with the questions that its readers ask of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from pydantic import Field

from rollcast.planner.declaration.confirmations import Confirmation
from rollcast.planner.declaration.models import ArtifactKind, Environment, Evaluate, Evaluation, Json, Model
from rollcast.planner.releases.changes import Change
from rollcast.planner.releases.releases import Release, Track, default_of, digest_of

FORMAT_VERSION = "1.0"
OperationKind = Literal["provision", "warm", "evaluate", "shift", "flag", "drain", "retire"]
MilestoneKind = Literal["expand", "shift", "pause", "contract", "restore"]
EVERYONE = "everyone"


class Share(Model):
    """A part of a track's traffic: `percent` of an audience is served by a release.

    Shares of a track are tried in order: the first audience that matches decides, and its shares sum to 100.
    """

    line: str
    audience: str = EVERYONE
    percent: float
    release: str


Serving = dict[str, tuple[Share, ...]]


class Operation(Model):
    """One step that changes the world, why it is there, and what it waits for."""

    id: str
    kind: OperationKind
    milestone: int
    component: str | None = None
    artifact: str | None = None
    instance: str | None = Field(None, description="folder of the instance, below the target's instances")
    release: str | None = Field(None, description="the release that it provisions for, or shifts to")
    line: str | None = None
    in_place: bool = False
    wait_s: float = Field(0.0, description="a drain lasts at least this long")
    drained: tuple[str, ...] = Field((), description="releases that no request may still be on afterwards")
    evaluate: Evaluate | None = None
    after: tuple[str, ...] = ()
    why: str = ""


class Milestone(Model):
    """A state to reach, and what must be proved in it before the next one."""

    index: int
    title: str
    kind: MilestoneKind
    wave: int = Field(0, description="rollbacks lead to the start of the wave")
    step: str = Field("", description="the group under analysis")
    lines: tuple[str, ...] = ()
    audience: str | None = None
    percent: float | None = None
    stage: int | None = Field(None, description="place of its stage in the rollout's stages")
    serving: Serving = Field(default_factory=dict, description="shares of the tracks that this milestone changes")
    gates: tuple[str, ...] = ()
    bake_min_s: float = 0.0
    bake_max_s: float = 0.0
    bake_then: Literal["hold", "rollback", "advance"] = "hold"
    min_sample: int = 0
    point_of_no_return: bool = False
    confirm: tuple[Confirmation, ...] = Field(
        (), description="what must be confirmed before it is begun", exclude_if=lambda given: not given
    )


class Rollback(Model):
    """The rollback from a milestone to where its wave began."""

    from_milestone: int
    milestones: tuple[Milestone, ...]
    operations: tuple[Operation, ...]
    loses: tuple[str, ...] = Field((), description="what can't be taken back, such as state that sessions wrote")

    @cached_property
    def _by_milestone(self) -> dict[int, list[Operation]]:
        return _grouped(self.operations)

    def operations_of(self, milestone: int) -> list[Operation]:
        """The operations of one of this way's own milestones."""
        return list(self._by_milestone.get(milestone, ()))


class Binding(Model):
    """What a saved plan was made from. Apply refuses when any of it has moved."""

    lineage: str = ""
    serial: int = 0
    declaration_digest: str = ""
    lock_digest: str = ""
    policy_digest: str = ""
    tool_version: str = ""


@dataclass(frozen=True, slots=True)
class WorldState:
    """What serves and what exists at a point of a plan: instances by folder -> (release id, slot)."""

    serving: Serving
    instances: dict[str, tuple[str, str]]


class Reroute(Model):
    """Requests that another track takes from now on: which, from which track and release to which."""

    line: str = Field(
        "", description="the track that carries them to the release of their target; none: they go at once"
    )
    source: str = Field(description="the track that takes them now")
    target: str = Field(description="the track that takes them then")
    where: dict[str, Json] = Field(description="the predicate that selects them")
    from_release: str
    to_release: str
    moves: Literal["by stages", "with it", "at once"] = Field(
        "by stages", description="by stages and gates; with what the target does, whose release they have; or at once"
    )


class SuiteFinding(Model):
    """What a suite found on a whole release before the plan was made. stale: why it says nothing any more."""

    release: str
    suite: str
    measured: str = Field(description="the day, YYYY-MM-DD")
    judge: str = ""
    cases: int
    metrics: dict[str, float] = Field(default_factory=dict)
    counts: dict[str, Evaluation] = Field(default_factory=dict)
    stale: str = ""

    def __str__(self) -> str:
        """A sentence for people."""
        if self.stale:
            return f"{self.suite} was run on {self.release} on {self.measured}, and is stale: {self.stale}"
        counted = [f"{metric} {found.failures} of {found.total}" for metric, found in sorted(self.counts.items())]
        said = counted or [f"{metric} {value:.3g}" for metric, value in sorted(self.metrics.items())]
        judge = f", judged by {self.judge}" if self.judge else ""
        return f"{self.suite} was run on {self.release} on {self.measured}: {', '.join(said)}{judge}; not run again"


class SignatureFinding(Model):
    """Whether an artifact's content has the signature that it declares. problem: why not; empty where it has it."""

    artifact: str
    key: str = Field(description="the file of the public key, as it is declared")
    key_id: str = Field("", description="SHA-256 of the public key (DER of its SubjectPublicKeyInfo), in hex")
    form: Literal["model-signing", "cosign", ""] = Field("", description="what kind of signature that is")
    digest: str = Field("", description="what was found signed: the manifest in the registry, or the files")
    problem: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        """A sentence for people."""
        return self.problem or f"{self.artifact} is signed by {self.key} ({self.form}, key {self.key_id[:12]})"


class ContentChange(Model):
    """What changes inside an artifact: words of a text, or files; and what a caller of its tools can no longer do."""

    line: str = ""
    slot: str = ""
    kind: ArtifactKind
    before: str
    after: str
    words: tuple[tuple[str, str], ...] = Field((), description="runs of words: '=' kept, '-' taken out, '+' put in")
    cut: bool = Field(False, description="there are more words than these")
    files: tuple[str, ...] = Field((), description="files that are taken out (-), put in (+) or changed (~)")
    breaking: tuple[str, ...] = Field((), description="calls of tools that were right and are no more")
    note: str = ""


class Plan(Model):
    """What takes live to declared, with its rollback. Self-contained: everything needed to apply it is in it."""

    format_version: str = FORMAT_VERSION
    pipeline: str
    environment: str
    settings: Environment
    from_release: dict[str, str | None]
    to_release: dict[str, str]
    live_state_digest: str
    changes: tuple[Change, ...]
    groups: tuple[tuple[str, ...], ...]
    operations: tuple[Operation, ...]
    milestones: tuple[Milestone, ...]
    rollback: tuple[Rollback, ...]
    guardrails: tuple[dict[str, Json], ...] = ()
    evaluations: tuple[SuiteFinding, ...] = Field(
        (), description="what suites found on its releases before", exclude_if=lambda found: not found
    )
    signatures: tuple[SignatureFinding, ...] = Field(
        (), description="signatures of its content, verified when it was made", exclude_if=lambda found: not found
    )
    contents: tuple[ContentChange, ...] = Field(
        (), description="what changes inside prompts, policies and tools", exclude_if=lambda found: not found
    )
    signed_by: str = Field(
        "", description="SHA-256 of the public key of who signed its file (DER), in hex", exclude_if=lambda key: not key
    )
    notes: tuple[str, ...] = ()
    lines: dict[str, Track]
    audiences: dict[str, dict[str, Json]]
    releases: dict[str, Release]
    start: Serving
    start_instances: dict[str, tuple[str, str]]
    reroutes: tuple[Reroute, ...] = ()
    binding: Binding = Binding()

    @property
    def empty(self) -> bool:
        return not self.milestones

    @cached_property
    def digest(self) -> str:
        """Digest of what is done. What it was made from and who judged it are no part of it. A copy has its own.

        What was added to plans since 0.1.0 counts where it says something: a plan of before has the digest that it had.
        """
        beside = {"binding", "contents", "evaluations", "guardrails", "signatures", "signed_by"}
        done = self.model_dump(mode="json", by_alias=True, exclude=beside)
        if not self.reroutes:
            del done["reroutes"]
        for track in done["lines"].values():
            if not track["place"]:
                del track["place"]
        return digest_of(done)

    def counts_of(self, release: str, metric: str) -> dict[str, Evaluation]:
        """What is known of how often a release fails a metric, by what it was measured on; any of them may fail it.

        A suite that ran on the whole release says all; without one its artifacts are taken by themselves.
        """
        whole = [one for one in self.evaluations if one.release == release and not one.stale and metric in one.counts]
        if whole:
            return {f"{release} on {whole[-1].suite}": whole[-1].counts[metric]}
        slots = self.releases[release].slots.values()
        return {
            version.reference: version.artifact.evaluations[metric]
            for version in slots
            if metric in version.artifact.evaluations
        }

    @cached_property
    def _by_milestone(self) -> dict[int, list[Operation]]:
        return _grouped(self.operations)

    @cached_property
    def _rollbacks(self) -> dict[int, Rollback]:
        return {way.from_milestone: way for way in self.rollback}

    @cached_property
    def pipeline_of(self) -> dict[str, str]:
        """Track -> pipeline, of every track that is declared or there at the start; "" where nothing says it."""
        found = {track: own.pipeline for track, own in self.lines.items()}
        for track, shares in self.start.items():
            if track not in found:
                found[track] = self.releases[shares[0].release].pipeline if shares else ""
        return found

    @cached_property
    def _carriers(self) -> dict[str, Reroute]:
        return {reroute.line: reroute for reroute in self.reroutes if reroute.line}

    @property
    def before(self) -> Serving:
        """What serves before anything is done, by the tracks of this plan: those that carry requests included."""
        carried: Serving = {
            track: (Share(line=track, percent=100.0, release=reroute.from_release),)
            for track, reroute in self._carriers.items()
            if not self.start.get(track)
        }
        return {**self.start, **carried}

    @cached_property
    def _pipelines(self) -> set[str]:
        return {*self.pipeline_of.values()}

    def ends_of(self, track: str) -> tuple[str | None, str | None]:
        """The releases that a track comes from and goes to; one that ends goes to what takes its requests over."""
        if track not in self.to_release and track in self._carriers:
            return self._carriers[track].from_release, self._carriers[track].to_release
        if track in self.to_release or not self.start.get(track):
            return self.from_release.get(track), self.to_release.get(track)
        heir = default_of(track)
        return self.start[track][0].release, self.to_release.get(heir) if self.start.get(heir) else None

    def operations_of(self, milestone: int) -> list[Operation]:
        """The operations that lead to a milestone."""
        return list(self._by_milestone.get(milestone, ()))

    def state_at(self, milestone: int) -> WorldState:
        """The state once a milestone is reached; -1 is the start."""
        done = (operation for operation in self.operations if operation.milestone <= milestone)
        chain = (m for m in self.milestones if m.index <= milestone)
        return fold(WorldState(self.start, self.start_instances), chain, done)

    def rollback_of(self, milestone: int) -> Rollback | None:
        """The rollback from a milestone that was reached, or was being worked towards."""
        return self._rollbacks.get(milestone)

    def to_json(self) -> dict[str, Any]:
        """The public JSON form: servings by pipeline, and rollbacks as operation ids with their steps beside them.

        A milestone's `serving` is complete for the `pipelines` that it works on; in all others nothing moves, so that
        the form grows with what changes and not with its square.
        """
        data = self.model_dump(mode="json", by_alias=True)
        for milestone, serving in zip(data["milestones"], self.servings(), strict=True):
            own = self._worked_on(milestone["index"], milestone["serving"])
            shares = [s for track, found in serving.items() if self.pipeline_of[track] in own for s in found]
            milestone["pipelines"] = sorted(own)
            milestone["serving"] = [s.model_dump(mode="json") for s in shares]
        for entry in data["rollback"]:
            entry["steps"] = entry["operations"]
            entry["operations"] = [operation["id"] for operation in entry["steps"]]
        data["digest"] = self.digest
        return data

    def _worked_on(self, index: int, tracks: Iterable[str]) -> set[str]:
        """The pipelines whose tracks or instances a milestone changes; all where that can't be said."""
        operations = self.operations_of(index)
        found = {self.pipeline_of[track] for track in tracks}
        found |= {self.pipeline_of[o.line] for o in operations if o.line and o.line in self.pipeline_of}
        found |= {self.releases[o.release].pipeline for o in operations if o.release in self.releases}
        found |= {o.instance.split("/", 1)[0] for o in operations if o.instance}
        return found & self._pipelines or self._pipelines

    def servings(self) -> Iterator[Serving]:
        """The complete serving of every milestone, in order."""
        serving = dict(self.start)
        for milestone in self.milestones:
            serving = {**serving, **milestone.serving}
            yield serving

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Plan:
        """The plan in its public JSON form. Unknown fields are ignored.

        Raises ValueError on another major version, and on what is no plan.
        """
        if not isinstance(data, Mapping):
            raise ValueError("a plan is a JSON object")
        major = str(data.get("format_version", "")).split(".")[0]
        if major != FORMAT_VERSION.split(".")[0]:
            raise ValueError(f"plan format {data.get('format_version')!r} is not {FORMAT_VERSION}; plan again")
        known = {field.alias or name for name, field in cls.model_fields.items()}
        plain = {key: value for key, value in data.items() if key in known}
        try:
            plain["milestones"] = [{**m, "serving": _by_line(m["serving"])} for m in data["milestones"]]
            plain["rollback"] = [
                {**{k: v for k, v in entry.items() if k != "steps"}, "operations": entry["steps"]}
                for entry in data["rollback"]
            ]
            plan = cls.model_validate(plain, extra="ignore")
            return plan.model_copy(update={"milestones": tuple(plan._moves(data["milestones"]))})
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"a part of it is not as a plan has it ({type(error).__name__}: {error})") from None

    def _moves(self, form: Iterable[Mapping[str, Any]]) -> Iterator[Milestone]:
        """Milestones that were read with the servings of the public form, each with only the tracks that it changes."""
        now = dict(self.start)
        for milestone, shown in zip(self.milestones, form, strict=True):
            if unknown := sorted(milestone.serving.keys() - self.pipeline_of.keys()):
                raise ValueError(f"milestone {milestone.index} serves '{unknown[0]}', which is no channel")
            own = shown.get("pipelines", self._pipelines)
            ended: Serving = {track: () for track in now if self.pipeline_of[track] in own}
            moved = {
                track: shares for track, shares in {**ended, **milestone.serving}.items() if now.get(track) != shares
            }
            now.update(moved)
            yield milestone.model_copy(update={"serving": moved})


def _grouped(operations: Iterable[Operation]) -> dict[int, list[Operation]]:
    found: dict[int, list[Operation]] = {}
    for operation in operations:
        found.setdefault(operation.milestone, []).append(operation)
    return found


def _by_line(shares: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for share in shares:
        found.setdefault(share["line"], []).append(share)
    return found


def fold(state: WorldState, milestones: Iterable[Milestone], operations: Iterable[Operation]) -> WorldState:
    """The state after milestones and operations are done."""
    serving, instances = dict(state.serving), dict(state.instances)
    for milestone in milestones:
        serving.update(milestone.serving)
    for operation in operations:
        if operation.kind == "provision" and operation.instance and operation.release and operation.component:
            instances[operation.instance] = (operation.release, operation.component)
        elif operation.kind == "retire" and operation.instance:
            instances.pop(operation.instance, None)
    return WorldState(serving, instances)


class LiveState(Model):
    """What the data plane serves now, read back."""

    serving: Serving = Field(default_factory=dict)
    releases: dict[str, Release] = Field(default_factory=dict)
    instances: dict[str, tuple[str, str]] = Field(default_factory=dict)
    lines: dict[str, Track] = Field(default_factory=dict, description="as they are routed now, where that is known")
    serial: int = 0

    @property
    def digest(self) -> str:
        shares = {track: [s.model_dump(mode="json") for s in shares] for track, shares in self.serving.items()}
        return digest_of({"serving": shares, "releases": sorted(self.releases), "instances": self.instances})

    def release_of(self, track: str) -> Release | None:
        """The release that serves all of a track; None where nothing serves. Raises LookupError when it is split."""
        ids = {share.release for share in self.serving.get(track, ())}
        if len(ids) > 1:
            raise LookupError(track)
        return self.releases[next(iter(ids))] if ids else None
