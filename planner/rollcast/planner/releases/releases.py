"""Releases: whole pipeline configurations, content-addressed, and the tracks of traffic that they serve.

A release id is the digest of what serves: every slot's artifact, digest, parameters and wiring, and the flags.
The same configuration always has the same id, whoever computes it. Contracts and profiles travel with a release, so
that a live state read back can be planned from, but they are not part of its id.

Long because a release, its slots and its tracks are digested together.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from pydantic import Field

from rollcast.planner.declaration.models import (
    ATTACHMENTS,
    Artifact,
    Component,
    ComponentOverride,
    Declaration,
    Json,
    Model,
    Pipeline,
    Requirement,
    RolloutSettings,
)

SHARED = "shared"  # where instances are that belong to no pipeline alone
ONCE = "in-place"  # the one folder of all versions of a slot; an instance id always has an '@'
Digests = Mapping[str, str]  # artifact reference -> sha256:…


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: the text that digests are taken of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest_of(value: Any) -> str:
    """`sha256:…` of a JSON value."""
    return "sha256:" + hashlib.sha256(canonical(value).encode()).hexdigest()


class SlotVersion(Model):
    """What fills one slot of a release: a pinned artifact and how it is wired and run."""

    artifact: Artifact
    digest: str
    upstream: tuple[str, ...] = ()
    independent_of: tuple[str, ...] = ()
    requires: dict[str, Requirement] = Field(default_factory=dict)
    provides: dict[str, str] = Field(default_factory=dict)
    parameters: dict[str, Json] = Field(default_factory=dict)
    in_place: bool = False
    shared: bool = False
    held_in: str | None = Field(None, description="its folder, where that is not its own: it took over another's")
    needs: dict[str, float] = Field(default_factory=dict)
    replicas: int = 1
    regions: tuple[str, ...] = ()
    timeout_s: float | None = None
    fallback: str | None = None

    @property
    def reference(self) -> str:
        return self.artifact.reference

    @property
    def demand(self) -> dict[str, float]:
        """Capacity that all replicas of one instance take together."""
        return {name: amount * self.replicas for name, amount in self.needs.items()}

    @cached_property
    def identity(self) -> str:
        """Digest of everything that decides how this slot behaves."""
        made_of = [self.artifact.kind, self.reference, self.digest, self.parameters, list(self.upstream), self.regions]
        return digest_of([*made_of, *self._run_as])

    @property
    def _run_as(self) -> list[Json]:
        """How it runs, as far as that is not the default: so ids do not depend on what nobody declared."""
        run_as: dict[str, Json] = {
            "fallback": self.fallback,
            "replicas": self.replicas,
            "needs": self.needs,
            "timeout_s": self.timeout_s,
        }
        usual: dict[str, Json] = {"fallback": None, "replicas": 1, "needs": {}, "timeout_s": None}
        return [{key: value} for key, value in run_as.items() if value != usual[key]]

    @property
    def contracts(self) -> dict[str, Any]:
        """What it says of itself to others: no part of what it is, so that it may be said later."""
        return {"provides": self.provides, "requires": self.requires, "independent_of": self.independent_of}

    @cached_property
    def instance_id(self) -> str:
        """Name of the running instance: `name@version-<8 hex of what it is made of>`."""
        made_of = [self.artifact.kind, self.reference, self.digest, self.parameters]
        placed = [{"regions": list(self.regions)}] if self.regions else []
        run_as = [part for part in self._run_as if "replicas" in part or "needs" in part]
        return f"{self.reference}-{digest_of([*made_of, *placed, *run_as])[7:15]}"


class Release(Model):
    """A whole pipeline configuration."""

    pipeline: str
    slots: dict[str, SlotVersion]
    flags: dict[str, Json] = Field(default_factory=dict)

    @cached_property
    def id(self) -> str:
        slots = {name: slot.identity for name, slot in self.slots.items()}
        return "rel-" + digest_of([self.pipeline, slots, self.flags])[7:19]

    @cached_property
    def folders(self) -> dict[str, str]:
        """Slot -> folder of the instance that serves it."""
        return {name: instance_path(self.pipeline, name, slot) for name, slot in self.slots.items()}

    @cached_property
    def instances(self) -> dict[str, tuple[str, str]]:
        """Folder -> (this release's id, slot)."""
        return {folder: (self.id, name) for name, folder in self.folders.items()}

    @cached_property
    def cache_keys(self) -> dict[str, str]:
        """Slot -> what its cached results are kept under: everything that can have made them.

        The slot, all that is upstream of it, and the flags. A result of one version is never served for another, and a
        slot whose upstream did not change keeps its warm cache in the next release.
        """
        keys: dict[str, str] = {}

        def key_of(name: str) -> str:
            if name not in keys:
                keys[name] = ""  # a circle ends here; declarations have none
                above = [key_of(up) for up in sorted(self.slots[name].upstream) if up in self.slots]
                keys[name] = (
                    "cache-" + digest_of([self.pipeline, name, self.slots[name].identity, above, self.flags])[7:19]
                )
            return keys[name]

        for name in self.slots:
            key_of(name)
        return keys

    def saying(self, other: Release) -> Release:
        """This release, with the contracts of another that is the same configuration."""
        if self.id != other.id or all(self.slots[n].contracts == s.contracts for n, s in other.slots.items()):
            return self
        slots = {name: slot.model_copy(update=other.slots[name].contracts) for name, slot in self.slots.items()}
        return self.model_copy(update={"slots": slots})

    def variant(self, channel: str) -> dict[str, Any]:
        """What the data plane receives for a request that this release serves."""
        components = {
            name: {
                "artifact": slot.reference,
                "kind": slot.artifact.kind.value,
                "digest": slot.digest,
                "instance": self.folders[name],
                "cache": self.cache_keys[name],
                "parameters": slot.parameters,
                **({"timeout_s": slot.timeout_s} if slot.timeout_s is not None else {}),
                **({"fallback": slot.fallback} if slot.fallback is not None else {}),
            }
            for name, slot in sorted(self.slots.items())
        }
        return {"release": self.id, "channel": channel, "components": components, "flags": self.flags}


def instance_path(pipeline: str, name: str, slot: SlotVersion) -> str:
    """Folder of an instance below the target's instances, unique to what it holds. No folder is within another.

    An in-place slot keeps one folder for all its versions; a shared one is not below its pipeline. What was overwritten
    for lack of room stays where the version before it was.
    """
    if slot.held_in is not None:
        return slot.held_in
    owner = SHARED if slot.shared else pipeline
    return f"{owner}/{name}/{ONCE if slot.in_place else slot.instance_id}"


class Track(Model):
    """A track of releases: one channel of one pipeline, the requests it takes, and its cadence."""

    id: str
    pipeline: str
    channel: str
    route: dict[str, Json] | None = Field(None, description="predicate of its requests; None takes all others")
    allowed_regions: tuple[str, ...] = ()
    rollout: RolloutSettings = RolloutSettings()
    place: int = Field(0, description="its turn among the tracks of its pipeline; those without a route come last")

    @property
    def turn(self) -> tuple[bool, int]:
        """Sorts the tracks of a pipeline as they are tried: the first whose route matches takes a request.

        The order is part of a track, and not that of a mapping, for stored mappings are sorted by name.
        """
        return self.route is None, self.place


def default_of(track: str) -> str:
    """The default channel of a track's pipeline."""
    pipeline, several, _ = track.rpartition("/")
    return f"{pipeline}/default" if several else "default"


def tracks_of(declaration: Declaration) -> dict[str, Track]:
    """Every track of a declaration by id, routed channels first, in the order in which routes are tried."""
    tracks: dict[str, Track] = {}
    several = bool(declaration.pipelines)
    for name, pipeline in declaration.each_pipeline().items():
        prefix = f"{name}/" if several else ""
        rollout = pipeline.rollout or declaration.rollout
        allowed = pipeline.allowed_regions or declaration.allowed_regions
        for place, (channel, rule) in enumerate(pipeline.channels.items()):
            tracks[prefix + channel] = Track(
                id=prefix + channel,
                pipeline=name,
                channel=channel,
                route=rule.route.root,
                allowed_regions=rule.allowed_regions or allowed,
                rollout=rule.rollout or rollout,
                place=place,
            )
        tracks[prefix + "default"] = Track(
            id=prefix + "default", pipeline=name, channel="default", allowed_regions=allowed, rollout=rollout,
            place=len(pipeline.channels),
        )  # fmt: skip
    return tracks


def releases_of(declaration: Declaration, digests: Digests | None = None) -> dict[str, Release]:
    """The declared release of every track. `digests` pins artifacts; otherwise their definitions are pinned."""
    artifacts = {artifact.reference: artifact for artifact in declaration.artifacts}
    several = bool(declaration.pipelines)
    releases: dict[str, Release] = {}
    for name, pipeline in declaration.each_pipeline().items():
        prefix = f"{name}/" if several else ""
        base = _release(name, pipeline, artifacts, digests or {}, None)
        releases[prefix + "default"] = base
        for channel in pipeline.channels:
            releases[prefix + channel] = _release(name, pipeline, artifacts, digests or {}, channel)
    return releases


def _release(
    name: str, pipeline: Pipeline, artifacts: Mapping[str, Artifact], digests: Digests, channel: str | None
) -> Release:
    overrides = pipeline.channels[channel].components if channel else {}
    slots: dict[str, SlotVersion] = {}
    for slot, component in pipeline.components.items():
        override = overrides.get(slot, ComponentOverride())
        attached: list[str] = []
        for attachment in ATTACHMENTS:
            reference = getattr(override, attachment) or getattr(component, attachment)
            if reference:
                attached.append(f"{slot}.{attachment}")
                slots[attached[-1]] = _attachment(artifacts[reference], component, override, digests)
        artifact = artifacts[override.artifact or component.artifact]
        slots[slot] = _slot(artifact, component, override, tuple(attached), digests)
    flags = {key: flag.value for key, flag in pipeline.flags.items()}
    if channel:
        flags.update(pipeline.channels[channel].flags)
    return Release(pipeline=name, slots=slots, flags=flags)


def pinned(artifact: Artifact, digests: Digests) -> str:
    """The digest that an artifact is pinned to: that of what it is made from, else that of its definition."""
    definition = artifact.model_dump(mode="json", include={"kind", "name", "version", "source", "build", "parameters"})
    if artifact.digest is not None:
        definition["digest"] = artifact.digest
    return digests.get(artifact.reference) or digest_of(definition)


def _attachment(artifact: Artifact, component: Component, override: ComponentOverride, digests: Digests) -> SlotVersion:
    return SlotVersion(
        artifact=artifact,
        digest=pinned(artifact, digests),
        requires=artifact.requires,
        provides=artifact.provides,
        parameters=artifact.parameters,
        regions=component.regions if override.regions is None else override.regions,
        needs=artifact.needs or {},
    )


def _slot(
    artifact: Artifact,
    component: Component,
    override: ComponentOverride,
    attached: tuple[str, ...],
    digests: Digests,
) -> SlotVersion:
    return SlotVersion(
        artifact=artifact,
        digest=pinned(artifact, digests),
        upstream=(*component.upstream, *attached),
        independent_of=component.independent_of,
        requires={**artifact.requires, **component.requires},
        provides={**artifact.provides, **component.provides},
        parameters={**artifact.parameters, **component.parameters, **(override.parameters or {})},
        in_place=component.in_place or component.shared,
        shared=component.shared,
        needs=artifact.needs if artifact.needs is not None else component.needs,
        replicas=component.replicas,
        regions=component.regions if override.regions is None else override.regions,
        timeout_s=component.timeout,
        fallback=component.fallback,
    )
