"""What each resource type takes, checked before anything is done.

Long JSON travels as text: Pulumi's property maps drop nulls and turn integers into floats, and a flag or a definition
must arrive byte for byte as the planner wrote it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
)

from rollcast.planner.declaration.models import FlagsSettings, InstancesSettings, TargetSettings

_DIGEST = r"^sha256:[0-9a-f]{64}$"
_FOLDER = r"^[A-Za-z0-9][A-Za-z0-9._+@/-]*$"


def _json(text: str) -> str:
    try:
        json.loads(text or "null")
    except ValueError as error:
        raise ValueError(f"is not JSON: {error}") from None
    return text


def _inside(text: str) -> str:
    if ".." in text.split("/"):
        raise ValueError("may not lead out of the instances folder")
    return text


JsonText = Annotated[str, AfterValidator(_json)]
Address = Annotated[str, Field(pattern=r"^(relay\+)?https?://")]  # of a replica, or of a relay
Folder = Annotated[str, Field(pattern=_FOLDER), AfterValidator(_inside)]


class Inputs(BaseModel):
    """Shared by all types."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    timeout_s: float = Field(gt=0, description="after this many seconds the operation fails")


class TargetInputs(BaseModel):
    """Where to write, in the short form; paths are below the project folder. `settings`: what else it takes."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: str = Field(min_length=1)
    definition: str = Field(min_length=1)
    instances: str = Field(min_length=1)
    settings: JsonText = "{}"

    def to_settings(self) -> TargetSettings:
        """As they stand in a declaration."""
        shared = self.model_dump(include={"kind", "definition", "instances"})
        return TargetSettings.model_validate({**json.loads(self.settings), **shared})


class SplitInputs(BaseModel):
    """Where to write, with flags and instances each by itself, as they are declared. No secret is in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    flags: JsonText
    instances: JsonText

    def to_settings(self) -> tuple[FlagsSettings, InstancesSettings]:
        """As they stand in a declaration."""
        return FlagsSettings.model_validate_json(self.flags), InstancesSettings.model_validate_json(self.instances)


_SHORT, _SPLIT = "(short)", "(split)"  # which form of a target is meant; no part of a property's path


def _form(given: Any) -> str:
    split = isinstance(given, SplitInputs) or (isinstance(given, dict) and "flags" in given)
    return _SPLIT if split else _SHORT


AnyTarget = Annotated[Annotated[TargetInputs, Tag(_SHORT)] | Annotated[SplitInputs, Tag(_SPLIT)], Discriminator(_form)]
TARGET: TypeAdapter[AnyTarget] = TypeAdapter(AnyTarget)


class InstanceInputs(Inputs):
    """An instance: an artifact's content, and what it runs as."""

    target: AnyTarget
    folder: Folder
    reference: str = Field(min_length=1)
    digest: str = Field(pattern=_DIGEST)
    slot: str = Field(min_length=1)
    release: str = Field(min_length=1)
    document: str = Field(pattern=_DIGEST, description="digest of the release's full definition")
    owner: str = Field("", description="lineage of the ledger that it belongs to")
    pipeline: str = Field("", description="the pipeline that it was made for")
    documents: JsonText = Field("{}", description="definitions to store: digest -> canonical JSON")
    recipe: JsonText = Field(description="artifact definitions and digests: all that the content is made from")
    spec: JsonText = Field("{}", description="the slot as it is declared, for kinds that build from more than content")


class FlagInputs(Inputs):
    """A flag: what the data plane evaluates for one pipeline."""

    target: AnyTarget
    key: str = Field(min_length=1)
    flag: JsonText
    content: str = Field(pattern=_DIGEST, description="what the data plane says it evaluates, once it does")
    endpoints: tuple[Address, ...] = ()
    documents: JsonText = "{}"


class WarmInputs(Inputs):
    """An instance answers its first request warm."""

    endpoints: tuple[Address, ...] = Field((), description="without one there is nobody to wait for")
    run: str = Field(description="the rollout and operation that need it; another one does it again")
    instance: Folder


class EvaluateInputs(Inputs):
    """A whole release is tried on an evaluation suite. The result is an output; what it means is decided elsewhere."""

    endpoints: tuple[Address, ...] = ()
    evaluator: JsonText = Field("{}", description="who runs it, as declared; the data plane where it is empty")
    run: str
    release: JsonText
    suite: str = Field(min_length=1)
    recipe: JsonText
    thresholds: dict[str, float]
    instances: str = Field("", description="the target's folder of instances, for suites that run beside them")
    target: SplitInputs | None = Field(None, description="in place of `instances`, where flags have their own")
    known: JsonText = Field("", description="its result, where it was run before; it is not run again")


class DrainInputs(Inputs):
    """No request is on the drained releases any more."""

    endpoints: tuple[Address, ...] = Field((), description="without one the drain is the wait alone")
    run: str
    releases: tuple[str, ...]
    least_s: float = Field(ge=0)


Kind = Literal["Instance", "Flag", "Warm", "Evaluate", "Drain"]
MODELS: dict[str, type[Inputs]] = {
    "Instance": InstanceInputs,
    "Flag": FlagInputs,
    "Warm": WarmInputs,
    "Evaluate": EvaluateInputs,
    "Drain": DrainInputs,
}


def failures(kind: str, values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Every mistake in the inputs of a type: its property path, and what is wrong there."""
    model = MODELS.get(kind)
    if model is None:
        yield "", f"there is no resource type '{kind}'; known types: {', '.join(MODELS)}"
        return
    try:
        model.model_validate(values)
    except ValidationError as error:
        for item in error.errors():
            yield _path(item["loc"]), item["msg"]


def _path(location: tuple[str | int, ...]) -> str:
    text = ""
    for part in location:
        if part in (_SHORT, _SPLIT):
            continue
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
