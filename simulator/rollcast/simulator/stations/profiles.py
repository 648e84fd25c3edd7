"""Performance profiles: the `profile` of an artifact says which station serves it and how long one use takes.

`station` names the kind: `pool`, `remote`, `llm`, or one that a user has registered. All times are seconds, or text
such as `20ms`.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from rollcast.planner.base.errors import KindError
from rollcast.planner.base.values import Seconds
from rollcast.planner.declaration.models import Artifact, Json, Model
from rollcast.simulator.base.errors import ProfileError
from rollcast.simulator.stations.distributions import Distribution, Time
from rollcast.simulator.stations.kinds import profile_model


class Cache(Model):
    """Results kept by the query (`key: query`) of requests. A new version's cache is cold."""

    entries: int = Field(gt=0, description="the least recently used makes room")
    ttl_s: Seconds | None = Field(None, gt=0, description="how long a result may be used after it was made")
    hit_s: Seconds = Field(0.0, description="how long a hit takes")
    prefetch: int = Field(0, ge=0, description="entries that warming loads: the most frequent queries so far")


class Retries(Model):
    """What a client does when an attempt fails or is late. `budget` bounds retries to a fraction of requests."""

    attempts: int = Field(2, ge=1, le=10, description="attempts in all, the first included")
    backoff_s: Seconds = Field(0.1, description="before the second attempt; doubled for each one after")
    budget: float = Field(0.2, ge=0, le=1, description="retries for each request, over the whole station")


class Profile(Model):
    """What every kind of station has in common."""

    station: str
    start_s: Seconds = Field(0.0, description="from the order to provision until a replica answers")
    warm_s: Seconds = Field(0.0, description="how long warming takes after that")
    retries: Retries | None = None
    cache: Cache | None = None


class PoolProfile(Profile):
    """Replicas that serve `concurrency` requests each; the others wait in order of arrival."""

    station: Literal["pool"] = "pool"
    concurrency: int = Field(1, ge=1, le=100_000, description="requests that one replica serves at once")
    service_s: Time = Distribution(distribution="constant", mean=0.0)
    per_input_token_s: Seconds = 0.0
    per_output_token_s: Seconds = 0.0
    queue: int | None = Field(None, ge=0, description="requests that may wait; more are turned away")
    overhead_s: Seconds = Field(0.0, description="added to every request before it is queued; keeps no server busy")


class RemoteProfile(Profile):
    """Somebody else's service: a latency, and a rate that it allows. Requests beyond the rate wait for it."""

    station: Literal["remote"] = "remote"
    latency_s: Time
    first_token_s: Time | None = Field(None, description="to the first token, where answers are streamed")
    per_output_token_s: Seconds = 0.0
    requests_per_s: float | None = Field(None, gt=0, description="the rate that the contract allows")
    burst: int = Field(1, ge=1, description="requests that may come at once")


class StepTime(Model):
    """How long one iteration of the batch takes, fitted to the hardware.

    The greater of weights and token x all tokens of the step, for the weights are read while tokens are computed
    (the roofline of Williams, Waterman and Patterson 2009, https://doi.org/10.1145/1498765.1498785), and
    base + prefill_token x prompt tokens + decode_sequence x sequences that decode + kv_token x tokens that they attend
    to + prefill_attention x the sum over prompt tokens of the tokens before them. A figure that is 0 has no part in it.

    Under tensor parallelism the figures are those of all its accelerators together; a mixture of experts has the
    weights and the rate that its batches use.
    """

    weights_s: Seconds = Field(0.0, description="to read the weights once: the least that a step's arithmetic takes")
    token_s: Seconds = Field(0.0, description="to compute one token of a step, of a prompt or of an answer")
    base_s: Seconds = 0.0
    prefill_token_s: Seconds = 0.0
    decode_sequence_s: Seconds = 0.0
    kv_token_s: Seconds = 0.0
    prefill_attention_s: Seconds = 0.0

    @model_validator(mode="after")
    def _takes_time(self) -> StepTime:
        always_s = self.base_s + self.weights_s + self.token_s
        if always_s + self.decode_sequence_s <= 0 or always_s + self.prefill_token_s <= 0:
            raise ValueError("a step must take time: give 'base_s', or 'decode_sequence_s' and 'prefill_token_s'")
        return self


class LlmProfile(Profile):
    """Iteration-level continuous batching, as vLLM schedules it, in each replica."""

    station: Literal["llm"] = "llm"
    max_sequences: int = Field(256, ge=1)
    max_batched_tokens: int = Field(2048, ge=1, description="tokens of one step; longer prompts are cut into chunks")
    kv_tokens: int = Field(400_000, ge=1, description="tokens that fit into the key-value cache")
    step: StepTime
    overhead_s: Seconds = Field(0.0, description="added to every request before it is queued")
    prefix_tokens: int = Field(
        0, ge=0, description="tokens of finished prompts kept for reuse beside kv_tokens; 0 is no such cache"
    )
    prefix_caching: bool = Field(
        False, description="finished prompts stay in kv_tokens until their room is needed; prompts share their blocks"
    )
    whole_prompt: bool = Field(
        False, description="a prompt is admitted when the whole of it fits (vLLM's scheduler_reserve_full_isl)"
    )
    chunked_prefill: bool = Field(True, description="off: a prompt is computed in one step, or waits for one")
    balance: Literal["requests", "waiting", "turns"] = Field(
        "requests", description="to the replica with the fewest requests, or of 4 x waiting + running, or by turns"
    )

    @model_validator(mode="after")
    def _one_prefix_cache(self) -> LlmProfile:
        if self.prefix_tokens and self.prefix_caching:
            raise ValueError("'prefix_tokens' are kept beside 'kv_tokens', 'prefix_caching' keeps in them: give one")
        return self

    @model_validator(mode="after")
    def _every_sequence_moves(self) -> LlmProfile:
        if self.max_batched_tokens < self.max_sequences:
            raise ValueError("'max_batched_tokens' must be at least 'max_sequences', or some sequences never move")
        return self


COMPILED: tuple[type[Profile], ...] = (PoolProfile, RemoteProfile, LlmProfile)
"""Profiles that the compiled engine serves as well. Others, their subclasses included, are the reference engine's."""


def profile_of(artifact: Artifact) -> Profile | None:
    """The checked profile of an artifact; None where it has none. Raises ProfileError naming the artifact."""
    return None if artifact.profile is None else parse(artifact.profile, f"artifact {artifact.reference}")


def parse(data: dict[str, Json], place: str) -> Profile:
    """A profile from plain data. Raises ProfileError."""
    kind = data.get("station")
    try:
        found = profile_model(kind).model_validate(data)
    except KindError as error:
        raise ProfileError(f"{place}: profile 'station' is {kind!r}: {error}") from None
    except ValidationError as error:
        raise ProfileError(f"{place}: {'; '.join(map(_sentence, error.errors()))}. Correct its 'profile'.") from None
    if not isinstance(found, Profile):
        raise ProfileError(
            f"{place}: the profile of station '{kind}' is no Profile. Correct the package that brings it."
        )
    return found


def _sentence(error: Any) -> str:
    where = ".".join(str(part) for part in ("profile", *error["loc"]))
    if error["type"] == "extra_forbidden":
        return f"{where} is not known"
    return f"{where}: {error['msg'].removeprefix('Value error, ')}"
