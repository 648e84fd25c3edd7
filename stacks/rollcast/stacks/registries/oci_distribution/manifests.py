"""Manifests and indexes of OCI and of Docker: data of others, read strictly in what we use and no further."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.registries.oci_distribution.references import DIGEST, parse

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
ACCEPTED = ", ".join(
    (
        MANIFEST,
        INDEX,
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    )
)
_CREATED = "org.opencontainers.image.created"
_BASE_NAME, _BASE_DIGEST = "org.opencontainers.image.base.name", "org.opencontainers.image.base.digest"
_DERIVED_FROM = "rollcast.derived_from"
_BESIDE = "vnd.docker.reference.type"  # of an index's member that says something about another one


class Platform(BaseModel):
    """For which machines an image is."""

    model_config = ConfigDict(frozen=True)
    os: str = "unknown"
    architecture: str = "unknown"
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


class Descriptor(BaseModel):
    """What a manifest says of one content: kind, digest, bytes."""

    model_config = ConfigDict(frozen=True)
    media_type: str = Field("", alias="mediaType")
    digest: str = Field(pattern=DIGEST.pattern.join(("^", "$")))
    size: int = Field(ge=0)
    annotations: Mapping[str, str] | None = None
    artifact_type: str = Field("", alias="artifactType")
    platform: Platform | None = None

    def annotation(self, name: str) -> str:
        return (self.annotations or {}).get(name, "")


class Manifest(BaseModel):
    """One artifact: its layers, in order."""

    model_config = ConfigDict(frozen=True)
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str] | None = None

    @property
    def size(self) -> int:
        """Bytes of all layers, as they are transferred."""
        return sum(layer.size for layer in self.layers)

    @property
    def created_s(self) -> float | None:
        """When it was made, seconds since 1970; None where that is not said, or not in a form that can be read."""
        try:
            made = datetime.fromisoformat((self.annotations or {}).get(_CREATED, ""))
        except ValueError:
            return None
        return made.timestamp() if made.tzinfo else None

    @property
    def lineage(self) -> tuple[str, ...]:
        """What it was made from: what `rollcast.derived_from` lists, and the image that it is based on."""
        said = self.annotations or {}
        named = [part for part in re.split(r"[\s,]+", said.get(_DERIVED_FROM, "")) if part]
        base, digest = said.get(_BASE_NAME, ""), said.get(_BASE_DIGEST, "")
        if base and DIGEST.fullmatch(digest):
            found = parse(f"//{base}@{digest}" if "@" not in base else f"//{base}")
            base = str(found) if not isinstance(found, str) else f"{base}@{digest}"
        return tuple(dict.fromkeys([*named, *([f"oci://{base}"] if base else [])]))


class Index(BaseModel):
    """Several manifests under one name, such as one for each platform."""

    model_config = ConfigDict(frozen=True)
    manifests: tuple[Descriptor, ...]

    def members(self) -> list[Descriptor]:
        """Those that are content themselves, not a statement about another one."""
        return [each for each in self.manifests if not each.annotation(_BESIDE)]


def read(data: Any, what: str) -> Manifest | Index:
    """What a registry's answer is. Raises StackError: neither, or both in one, or without what we need of it."""
    kinds = [name for name in ("layers", "manifests") if isinstance(data, dict) and name in data]
    if len(kinds) != 1:
        kind = data.get("mediaType") if isinstance(data, dict) else None
        raise StackError(
            f"{what} is no manifest that can be read ({kind or 'it states no media type'}). "
            "Push it again as an OCI artifact, or as an image of Docker's schema 2."
        )
    try:
        return (Manifest if kinds == ["layers"] else Index).model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise StackError(
            f"{what} has a manifest that can't be used ({where}: {first['msg']}). Push it again."
        ) from None


__all__ = ["ACCEPTED", "INDEX", "Descriptor", "Index", "Manifest", "Platform", "read"]
