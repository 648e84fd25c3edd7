"""The models of `rollcast.yaml`: what a user may write, and what each word means.

Only shape is checked here (types, closed sets, ranges). What the parts say of each other (names, cycles, contracts,
audiences) is checked in `checks`, and text with its line numbers is read in `loading`.

Long because it is the whole of what a user may write, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    field_validator,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema

from rollcast.planner.base.audiences import Predicate
from rollcast.planner.base.values import Number, Seconds, VersionText
from rollcast.planner.declaration.confirmations import Confirmation
from rollcast.planner.declaration.freezes import Freeze
from rollcast.planner.declaration.receivers import Receiver
from rollcast.planner.declaration.strict import Model
from rollcast.planner.gates.spec import GateSpec

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
SlotName = Annotated[str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,99}/)?[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
Address = Annotated[str, Field(pattern=r"^https?://")]
Reference = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*@[A-Za-z0-9][A-Za-z0-9._+-]*$")]
Json = Any


class ArtifactKind(StrEnum):
    """The kinds of versioned things a pipeline is made of."""

    MODEL_WEIGHTS = "model-weights"
    PROMPT_TEMPLATE = "prompt-template"
    TOOL_SCHEMA = "tool-schema"
    MEMORY_CUE_SET = "memory-cue-set"
    EMBEDDING_MODEL = "embedding-model"
    RETRIEVAL_INDEX = "retrieval-index"
    RERANKER = "reranker"
    SAFETY_POLICY = "safety-policy"
    POST_PROCESSING_RULE = "post-processing-rule"
    STYLE_ADAPTER = "style-adapter"
    DATASET = "dataset"
    EVALUATION_SUITE = "evaluation-suite"


class Requirement(Model):
    """A required contract value, and, where it isn't the nearest upstream that provides it, of which component."""

    value: VersionText
    of: Name | None = None


def _requirement(value: Any) -> Any:
    return {"value": value} if isinstance(value, str | int | float) else value


Requirements = dict[
    str,
    Annotated[Requirement, BeforeValidator(_requirement, json_schema_input_type=str | float | Requirement)],
]
Contracts = dict[str, VersionText]


class Counts(Model):
    """An evaluation result as counts: `failures` of `total` cases. Estimates keep their uncertainty."""

    failures: int = Field(ge=0)
    total: int = Field(gt=0)

    @model_validator(mode="after")
    def _possible(self) -> Counts:
        if self.failures > self.total:
            raise ValueError("'failures' can't exceed 'total'")
        return self


class Evaluation(Counts):
    """Counts of one metric, overall and for segments of the traffic."""

    segments: dict[str, Counts] = Field(default_factory=dict, description="counts by segment name")
    measured: str | None = Field(None, description="date of the evaluation, YYYY-MM-DD")


class Price(Model):
    """What one use costs, in US dollars."""

    usd_per_1k_input_tokens: float = Field(0.0, ge=0)
    usd_per_1k_output_tokens: float = Field(0.0, ge=0)
    usd_per_request: float = Field(0.0, ge=0)


class SourcePin(Model):
    """What a source in a registry stands for, for ever, as the lock says."""

    identity: str = Field(description="the source, written so that it can't come to mean something else")
    digest: str = Field(description="algorithm:hex of what `covers` names", pattern=r"^[a-z0-9-]+:[0-9a-f]{40,128}$")
    covers: Literal["files", "manifest"] = Field(
        "files", description="what the digest is of: all files, or the registry's list of them with their digests"
    )
    size: int | None = Field(None, ge=0, description="bytes of all files, where the registry says")


class SignedBy(Model):
    """Whose signature an artifact's content has."""

    key: str = Field(min_length=1, description="a public key in PEM form, by its path in the project")
    bundle: str | None = Field(
        None,
        min_length=1,
        description="a signature of OpenSSF model-signing, by its path in the content, else in the project; of content "
        "that is not in an OCI registry it is 'model.sig' in the content where left out",
    )


class Artifact(Model):
    """One immutable version of one thing, identified by kind, name, version and content digest."""

    kind: ArtifactKind
    name: Name
    version: VersionText = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")
    source: str | None = Field(None, description="where the content is: file:PATH, oci://…, or another registry's")
    build: tuple[str, ...] | None = Field(None, description="a program and its arguments that make the content")
    digest: str | None = Field(
        None,
        pattern=r"^sha256:[0-9a-f]{64}$",
        description="what the content of the source must have; refused otherwise",
    )
    derived_from: tuple[Reference, ...] = ()
    provides: Contracts = Field(default_factory=dict)
    requires: Requirements = Field(default_factory=dict)
    parameters: dict[str, Json] = Field(default_factory=dict)
    evaluations: dict[str, Evaluation] = Field(default_factory=dict)
    profile: dict[str, Json] | None = Field(None, description="performance: see the simulation guide")
    price: Price = Price()
    needs: dict[str, float] | None = Field(None, description="capacity one replica takes, e.g. {accelerators: 2}")
    approved_by: str | None = None
    license: str | None = Field(
        None, description="SPDX expression, e.g. Apache-2.0", exclude_if=lambda given: given is None
    )
    signature: SignedBy | None = Field(
        None, description="whose signature its content must have", exclude_if=lambda given: given is None
    )
    experimental: bool = False
    pin: SourcePin | None = Field(
        None,
        description="what its source stands for, whatever rollcast.lock says; 'rollcast audit --reproduce' writes it",
        exclude_if=lambda given: given is None,
    )
    pinned: SkipJsonSchema[SourcePin | None] = Field(
        None, exclude_if=lambda pin: pin is None, description="read from the lock, never declared"
    )
    made_from: SkipJsonSchema[tuple[str, ...]] = Field(
        (), exclude_if=lambda makers: not makers,
        description="references that its registry says it was made from; read from the lock, never declared",
    )  # fmt: skip

    @property
    def reference(self) -> str:
        return f"{self.name}@{self.version}"

    @property
    def makers(self) -> tuple[str, ...]:
        """References of all that it was made from: what is declared, then what its registry adds."""
        return tuple(dict.fromkeys((*self.derived_from, *self.made_from)))

    @property
    def by_name(self) -> bool:
        """A hosted model: what its vendor serves under this name is not seen, so only the name is pinned."""
        return self.source is not None and self.source.startswith("vendor:")


class Component(Model):
    """One slot of a pipeline. `upstream` is the way a request's data flows."""

    artifact: Reference
    prompt: Reference | None = None
    tools: Reference | None = None
    memory: Reference | None = None
    adapter: Reference | None = None
    upstream: tuple[Name, ...] = ()
    independent_of: tuple[Name, ...] = Field((), description="neighbours that no contract binds it to")
    requires: Requirements = Field(default_factory=dict)
    provides: Contracts = Field(default_factory=dict)
    parameters: dict[str, Json] = Field(default_factory=dict)
    in_place: bool = Field(False, description="the old and the new version can't run side by side")
    shared: bool = Field(False, description="one instance serves every pipeline that names it; implies in_place")
    needs: dict[str, float] = Field(default_factory=dict, description="capacity one replica takes")
    replicas: int = Field(1, ge=1)
    regions: tuple[Name, ...] = Field((), description="where it runs; everywhere when empty")
    timeout: Seconds | None = Field(None, description="the longest that it may take; drains last no less")
    fallback: Name | None = Field(None, description="a lighter component that answers when this one is late")
    variables: tuple[Name, ...] | None = Field(
        None, description="what it fills its prompt's template with; a template that wants more is refused",
        exclude_if=lambda given: given is None,
    )  # fmt: skip


ATTACHMENTS = ("prompt", "tools", "memory", "adapter")


class ComponentOverride(Model):
    """What a channel changes in one slot."""

    artifact: Reference | None = None
    prompt: Reference | None = None
    tools: Reference | None = None
    memory: Reference | None = None
    adapter: Reference | None = None
    parameters: dict[str, Json] | None = None
    regions: tuple[Name, ...] | None = None


class Strategy(StrEnum):
    """How traffic moves to a new release."""

    CANARY = "canary"
    STAGED = "staged"
    BLUE_GREEN = "blue-green"
    FLAG = "flag"
    ALL_AT_ONCE = "all-at-once"


class Bake(Model):
    """How long a stage lasts: never shorter than `min`; when `max` is over, `then` decides."""

    min: Seconds = 60.0
    max: Seconds = 7200.0
    then: Literal["hold", "rollback", "advance"] = "hold"

    @model_validator(mode="after")
    def _ordered(self) -> Bake:
        if self.max < self.min:
            raise ValueError("bake 'max' is shorter than 'min'")
        return self


class Stage(Model):
    """An audience and the percentages of it that the new release serves, one after another."""

    audience: Name = "everyone"
    percent: tuple[float, ...] = Field(min_length=1)
    bake: Bake | None = None
    min_sample: int | None = Field(None, ge=1)
    gates: tuple[GateSpec, ...] | None = Field(None, description="gates of this stage, in place of the rollout's")


class KindSettings(Model):
    """The settings of a kind: which one, and what that one takes.

    The fields of a subclass are words that several kinds share, with their defaults. What a kind really takes, it says
    itself with a model of its own, by which `loading` checks these settings.
    """

    model_config = ConfigDict(extra="allow", frozen=True, populate_by_name=True)

    outside: ClassVar[tuple[str, ...]] = ("kind",)  # words of every kind, which are no settings of its own
    kind: Name

    @model_validator(mode="wrap")
    @classmethod
    def _keep_own(cls, data: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        """A kind's own settings are kept, also where a reader ignores what it doesn't know, as of a saved plan."""
        made = read(data)
        if isinstance(data, Mapping) and cls.model_config.get("extra") == "allow":
            known = {word for name, field in cls.model_fields.items() for word in (name, field.alias)}
            own = {word: value for word, value in data.items() if word not in known}
            object.__setattr__(made, "__pydantic_extra__", own)
            made.__pydantic_fields_set__.update(own)
        return made

    def own(self, model: type[BaseModel]) -> dict[str, Any]:
        """What is given for a kind whose settings are `model`: without shared words that it does not have."""
        shared = type(self).model_fields
        return {
            name: value
            for name, value in self.model_dump(exclude=set(self.outside)).items()
            if name not in shared or (name in self.model_fields_set if name in model.model_fields else self._set(name))
        }

    def _set(self, name: str) -> bool:
        return bool(getattr(self, name) != type(self).model_fields[name].default)


class Evaluator(KindSettings):
    """Who runs an evaluation suite on a release: the data plane itself, unless another kind is named."""

    kind: Name = "dataplane"


class Evaluate(Model):
    """An evaluation suite that a new release must pass before any traffic reaches it."""

    suite: Reference
    thresholds: dict[str, float] = Field(description="the least value of each metric that the suite reports")
    evaluator: Evaluator | None = Field(
        None, description="who runs it; the data plane where left out", exclude_if=lambda given: given is None
    )


class OnOtherModel(StrEnum):
    """What is done while answers name another hosted model than is declared."""

    HOLD = "hold"
    PROCEED = "proceed"


class RolloutSettings(Model):
    """How a change reaches its users, and what it must prove on the way."""

    strategy: Strategy = Strategy.CANARY
    percent: tuple[float, ...] = Field((1, 5, 25, 100), description="the steps of a canary")
    stages: tuple[Stage, ...] = ()
    bake: Bake = Bake()
    min_sample: int = Field(50, ge=1)
    gates: tuple[GateSpec, ...] = ()
    error_rate: float = Field(0.05, gt=0, lt=1, description="false alarms allowed over the whole rollout")
    look_every: Seconds = Field(30.0, gt=0)
    timeout: Seconds = Field(30.0, description="the longest that one request may take")
    session: Seconds = Field(3600.0, description="the longest that one session may last")
    keep_warm: Seconds = Field(0.0, description="how long old instances stay ready after the last shift")
    salt: str = Field("", description="changes who is in which bucket; a change is a re-bucketing")
    ship_together: tuple[tuple[str, ...], ...] = Field((), description="components analysed as one change")
    maintenance_pause: bool = Field(False, description="a group that can't run twice may stop traffic for a moment")
    evaluate: tuple[Evaluate, ...] = ()
    confirm: tuple[Confirmation, ...] = Field(
        (), description="what is confirmed before milestones, in every environment", exclude_if=lambda given: not given
    )
    on_other_model: OnOtherModel = Field(
        OnOtherModel.HOLD,
        description="while answers of a hosted model name another one than is declared",
        exclude_if=lambda given: given == OnOtherModel.HOLD,
    )


class Channel(Model):
    """A named track of releases, the requests that it takes, and how it differs from the default one."""

    route: Predicate = Field(description="requests that this channel takes; the first channel that matches wins")
    components: dict[Name, ComponentOverride] = Field(default_factory=dict)
    flags: dict[Name, Json] = Field(default_factory=dict)
    allowed_regions: tuple[Name, ...] = Field((), description="residency: its requests never leave these regions")
    rollout: RolloutSettings | None = None


class Region(Model):
    """A place with its own capacity and the labels that residency rules speak of."""

    capacity: dict[str, float] = Field(default_factory=dict)
    labels: tuple[str, ...] = ()


class OnMissing(StrEnum):
    """What is done about a replica that the relays have not heard of for longer than its lease."""

    WAIT = "wait"
    HOLD = "hold"
    PROCEED = "proceed"


class FlagsSettings(KindSettings):
    """Where flags are kept that the data plane evaluates, and at which addresses it says what it evaluates."""

    outside: ClassVar[tuple[str, ...]] = ("kind", "endpoint", "relay", "on_missing_replica")
    kind: Name = "flagd"
    endpoint: Address | Annotated[tuple[Address, ...], Field(min_length=1)] | None = Field(
        None, description="the data plane's control endpoint, or a list with that of each replica"
    )
    relay: Address | Annotated[tuple[Address, ...], Field(min_length=1)] | None = Field(
        None,
        description="the relay, or a list of relays, to which every replica acknowledges",
        exclude_if=lambda given: given is None,
    )
    on_missing_replica: OnMissing = Field(
        OnMissing.WAIT,
        description="what to do about a replica that the relays have not heard of for longer than its lease: wait for "
        "it some seconds, then stop; hold at once; or proceed without it, though it may still serve what it last knew",
        exclude_if=lambda given: given is OnMissing.WAIT,
    )

    @field_validator("endpoint", "relay")
    @classmethod
    def _each_once(cls, endpoint: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        if isinstance(endpoint, tuple):
            twice = sorted({one for one in endpoint if endpoint.count(one) > 1})
            if twice:
                raise ValueError(f"{twice[0]} stands there twice: each address is one replica")
        return endpoint

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Every address to ask: of replicas, and `relay+URL#on-missing` of relays."""
        own = (self.endpoint,) if isinstance(self.endpoint, str) else self.endpoint or ()
        relays = (self.relay,) if isinstance(self.relay, str) else self.relay or ()
        return (*own, *(f"relay+{url}#{self.on_missing_replica}" for url in relays))


class TargetSettings(FlagsSettings):
    """The short form of `flags` and `instances`: the flag definition that the data plane reads, its instances."""

    definition: str = ".rollcast/live/flags.json"
    instances: str = ".rollcast/live/instances"


class InstanceSettings(KindSettings):
    """What a component runs as: a folder of content, unless another kind is named."""

    kind: Name = "folder"


class InstancesSettings(Model):
    """What components run as: one kind for each component, for each kind of artifact, and for all others."""

    default: InstanceSettings = InstanceSettings()
    components: dict[SlotName, InstanceSettings] = Field(
        default_factory=dict,
        description="by component, or 'pipeline/component'; 'chat.prompt' is the prompt of one",
    )
    kinds: dict[ArtifactKind, InstanceSettings] = Field(
        default_factory=dict, description="by kind of artifact, where its component is not named"
    )

    def of(self, pipeline: str, component: str, kind: str) -> InstanceSettings:
        """The settings for a component of a pipeline that holds an artifact of this kind."""
        named = self.components.get(f"{pipeline}/{component}") or self.components.get(component)
        return named or next((own for each, own in self.kinds.items() if each.value == kind), self.default)

    def each(self) -> Iterator[tuple[tuple[str, ...], InstanceSettings]]:
        """(path, settings) of all that is declared, the default first."""
        yield ("default",), self.default
        for component, settings in self.components.items():
            yield ("components", component), settings
        for kind, settings in self.kinds.items():
            yield ("kinds", kind.value), settings


class Telemetry(KindSettings):
    """Where live outcomes come from."""

    kind: Name = "jsonl"
    path: str = ".rollcast/live/telemetry"
    url: str | None = None


class Recording(Model):
    """What `rollcast record` may keep of the texts of requests, and what they go through before."""

    texts: tuple[Name, ...] = Field(min_length=1, description="fields of telemetry records, e.g. [question, answer]")
    redact: Annotated[str, Field(pattern=r"^[^:]+:[A-Za-z_]\w*$")] | Annotated[tuple[str, ...], Field(min_length=1)] = (
        Field(description="a function, FILE:NAME in the project, or a program and its arguments")
    )
    timeout: Seconds = Field(60.0, gt=0, description="the longest that it may take for all texts of a recording")


class Propagation(Model):
    """How long a new split takes until a replica routes by it, over all replicas: what a forecast reckons with."""

    p50: Seconds = Field(gt=0, description="half of all replicas follow within this time")
    p99: Seconds = Field(gt=0, description="99 of 100 do")
    replicas: int = Field(8, ge=1, le=10_000, description="how many there are")

    @model_validator(mode="after")
    def _ordered(self) -> Propagation:
        if self.p99 < self.p50:
            raise ValueError("propagation 'p99' is shorter than 'p50'")
        return self


class Hotfix(StrEnum):
    """Whether a release may enter an environment before it has served the one before."""

    REFUSED = "refused"
    ALLOWED = "allowed"


class After(Model):
    """What a release must have behind it before it is applied here: the environment before, and who agreed."""

    environment: Name = Field(description="the environment that it must have served, promoted to everybody there")
    for_: Seconds = Field(
        0.0, alias="for", description="how long it must have served everybody there without being rolled back"
    )
    approved_by: tuple[Annotated[str, Field(min_length=1, max_length=200)], ...] = Field(
        (), description="who may approve a plan of this environment, by the names of their accounts; nobody is needed "
        "where left out",
    )  # fmt: skip
    approvals: int = Field(1, ge=1, description="how many of them must approve, each for one")
    hotfix: Hotfix = Field(
        Hotfix.REFUSED,
        description="whether 'rollcast apply --hotfix REASON' may go before the time is over; approvals are needed all "
        "the same",
    )


class Environment(Model):
    """Where releases run: target, telemetry, regions, capacity, prices."""

    default: bool = False
    development: bool = False
    after: After | None = Field(
        None,
        description="the environment that a release must have served before; any may enter where left out",
        exclude_if=lambda given: given is None,
    )
    target: TargetSettings = TargetSettings()
    telemetry: Telemetry = Telemetry()
    recording: Recording | None = Field(
        None,
        description="texts that 'rollcast record --texts' may keep; none where left out",
        exclude_if=lambda given: given is None,
    )
    regions: dict[Name, Region] = Field(default_factory=dict)
    capacity: dict[str, float] = Field(default_factory=dict)
    prices_usd_per_hour: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(
        default_factory=dict,
        description="what one unit of a resource costs, e.g. {accelerators: 2.4}; forecasts say what a rollout costs",
    )
    propagation: Propagation | None = Field(
        None,
        description="how late replicas follow a change of split; left out, a forecast takes them to follow at once",
        exclude_if=lambda given: given is None,
    )
    flags: FlagsSettings | None = Field(
        None, description="where flags are kept; in place of `target`", exclude_if=lambda given: given is None
    )
    instances: InstancesSettings | None = Field(
        None, description="what components run as; in place of `target`", exclude_if=lambda given: given is None
    )
    notify: tuple[Receiver, ...] = Field(
        (), description="webhooks that hear of rollouts here", exclude_if=lambda given: not given
    )
    freezes: tuple[Freeze, ...] = Field(
        (), description="times in which no rollout begins or advances here", exclude_if=lambda given: not given
    )
    confirm: tuple[Confirmation, ...] = Field(
        (), description="what is confirmed before milestones of rollouts here", exclude_if=lambda given: not given
    )

    @field_validator("notify")
    @classmethod
    def _each_receiver_once(cls, receivers: tuple[Receiver, ...]) -> tuple[Receiver, ...]:
        places = [(one.url, one.format) for one in receivers]
        twice = [url for url, form in places if places.count((url, form)) > 1]
        if twice:
            raise ValueError(f"{twice[0]} stands there twice: name all its events at one place")
        return receivers

    @model_validator(mode="after")
    def _one_form(self) -> Environment:
        if self.is_split and self.target != TargetSettings():
            raise ValueError(
                "'target' is the short form of 'flags' and 'instances': give either, and write under 'flags' what "
                "'target' says of definition, endpoint and relay"
            )
        return self

    @property
    def is_split(self) -> bool:
        """Whether flags and instances are declared each by itself."""
        return self.flags is not None or self.instances is not None

    @property
    def flag_settings(self) -> FlagsSettings:
        """Where flags are kept, in the form that is declared."""
        return (self.flags or FlagsSettings()) if self.is_split else self.target

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Every address of the data plane to ask: of replicas, and `relay+URL#on-missing` of relays."""
        return self.flag_settings.endpoints

    @property
    def where(self) -> tuple[Model, ...]:
        """All that says where releases are put: two environments with the same are in one place."""
        return (
            (self.flags or FlagsSettings(), self.instances or InstancesSettings()) if self.is_split else (self.target,)
        )

    def reached_as(self, other: Environment) -> Environment:
        """This place, with the data plane's addresses and the freezes as another declaration has them."""
        given = other.flag_settings
        own = {"endpoint": given.endpoint, "relay": given.relay, "on_missing_replica": given.on_missing_replica}
        place = {"flags" if self.is_split else "target": self.flag_settings.model_copy(update=own)}
        return self.model_copy(update={**place, "freezes": other.freezes})


class Flag(Model):
    """A feature flag of the release: its value, and contracts that it needs to be switched on."""

    value: Json
    requires: Requirements = Field(default_factory=dict)


def _flag(value: Any) -> Any:
    written_out = isinstance(value, Flag) or (isinstance(value, Mapping) and "value" in value)
    return value if written_out else {"value": value}


_FlagInput = Flag | str | float | bool | list[Json] | dict[str, Json]
Flags = dict[Name, Annotated[Flag, BeforeValidator(_flag, json_schema_input_type=_FlagInput)]]


class Pipeline(Model):
    """Slots and how requests flow through them, with the channels and the cadence of this pipeline."""

    components: dict[Name, Component] = Field(min_length=1)
    flags: Flags = Field(default_factory=dict)
    channels: dict[Name, Channel] = Field(default_factory=dict)
    allowed_regions: tuple[Name, ...] = ()
    rollout: RolloutSettings | None = None


class Override(Model):
    """A guardrail switched off for a time, with the reason."""

    policy: str
    reason: str = Field(min_length=1)
    expires: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$")


class Declaration(Model):
    """The whole of `rollcast.yaml`: the desired release state of a pipeline, or of a platform of pipelines."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, title="rollcast declaration (rollcast/v1)"
    )

    schema_: Literal["rollcast/v1"] = Field("rollcast/v1", alias="schema")
    pipeline: Name
    include: tuple[str, ...] = Field((), description="files with more artifacts")
    artifacts: tuple[Artifact, ...] = ()
    components: dict[Name, Component] = Field(default_factory=dict)
    flags: Flags = Field(default_factory=dict)
    channels: dict[Name, Channel] = Field(default_factory=dict)
    pipelines: dict[Name, Pipeline] = Field(
        default_factory=dict, description="a platform of several pipelines, in place of `components`"
    )
    audiences: dict[Name, Predicate] = Field(default_factory=dict)
    allowed_regions: tuple[Name, ...] = ()
    environments: dict[Name, Environment] = Field(default_factory=lambda: {"default": Environment(default=True)})
    rollout: RolloutSettings = RolloutSettings()
    overrides: tuple[Override, ...] = ()

    @model_validator(mode="after")
    def _one_form(self) -> Declaration:
        if bool(self.components) == bool(self.pipelines):
            raise ValueError("give either 'components' (one pipeline) or 'pipelines' (a platform of several)")
        if self.pipelines and (self.channels or self.flags):
            raise ValueError("with 'pipelines', channels and flags belong to each pipeline")
        return self

    def each_pipeline(self) -> dict[str, Pipeline]:
        """Every pipeline by name; the short form is a platform of one."""
        if self.pipelines:
            return dict(self.pipelines)
        one = Pipeline(
            components=self.components,
            flags=self.flags,
            channels=self.channels,
            allowed_regions=self.allowed_regions,
        )
        return {self.pipeline: one}

    def each_rollout(self) -> dict[tuple[str, ...], RolloutSettings]:
        """Every way in which a change may reach its users, by its place: of all, of pipelines, and of channels."""
        found: dict[tuple[str, ...], RolloutSettings | None] = {("rollout",): self.rollout}
        inside: list[tuple[tuple[str, ...], Mapping[str, Channel]]] = [((), self.channels)]
        for name, pipeline in self.pipelines.items():
            found["pipelines", name, "rollout"] = pipeline.rollout
            inside.append((("pipelines", name), pipeline.channels))
        for place, channels in inside:
            found |= {(*place, "channels", name, "rollout"): channel.rollout for name, channel in channels.items()}
        return {place: own for place, own in found.items() if own is not None}

    def with_rollouts(self, change: Callable[[RolloutSettings], RolloutSettings]) -> Declaration:
        """The same declaration, with each of those changed so."""

        def changed(channels: Mapping[str, Channel]) -> dict[str, Channel]:
            return {
                name: channel.model_copy(update={"rollout": channel.rollout and change(channel.rollout)})
                for name, channel in channels.items()
            }

        pipelines = {
            name: pipeline.model_copy(
                update={
                    "rollout": pipeline.rollout and change(pipeline.rollout),
                    "channels": changed(pipeline.channels),
                }
            )
            for name, pipeline in self.pipelines.items()
        }
        update = {"rollout": change(self.rollout), "channels": changed(self.channels), "pipelines": pipelines}
        return self.model_copy(update=update)

    def environment(self, name: str | None = None) -> tuple[str, Environment]:
        """The named environment; else the only one, or the one marked default. Raises KeyError."""
        if name is not None:
            return name, self.environments[name]
        if len(self.environments) == 1:
            return next(iter(self.environments.items()))
        marked = [(key, value) for key, value in self.environments.items() if value.default]
        if len(marked) != 1:
            raise KeyError("default")
        return marked[0]

    def in_sequence(self) -> tuple[str, ...]:
        """Every environment after the one that it comes after, else in the order in which they are declared."""
        found: dict[str, None] = {}

        def put(name: str) -> None:
            after = self.environments[name].after
            if after is not None:
                put(after.environment)
            found.setdefault(name)

        for name in self.environments:
            put(name)
        return tuple(found)


__all__ = [
    "ATTACHMENTS",
    "After",
    "Artifact",
    "Component",
    "Declaration",
    "Environment",
    "Model",
    "Number",
    "Pipeline",
    "RolloutSettings",
]
