"""Where content comes from, by the scheme of an artifact's `source`: `file:PATH`, `oci://…`, or a plugin's own.

A kind is an entry point in `rollcast.registries` whose name is the scheme: a class that is made without arguments. It
has no settings: a source is one line of text, and addresses and credentials are those of the registry's own tools.

Content on this machine is read wherever a project is (`LocalRegistry`). Content elsewhere is looked up by `rollcast
lock` alone, which pins what the source stands for (`RemoteRegistry.resolve`); all else fetches what is pinned.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from pydantic import Base64Bytes, BaseModel, ConfigDict

from rollcast.planner.base.errors import KindError, did_you_mean
from rollcast.planner.declaration.models import SourcePin
from rollcast.plugins.finding import kinds, load
from rollcast.plugins.seams import Seam
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.registries.transfer import Transfer

_HOSTED = "vendor"


@dataclass(frozen=True)
class Found:
    """What a registry says that a source stands for now.

    identity: the source, written so that it can't come to mean something else. digest: of the content, `covers` says of
    what (see `SourcePin`); empty where the registry states none, and then the files are fetched and digested at once.
    size: bytes of all files. pushed_s: when it was put there, seconds since 1970. Both None where that is not said.
    lineage: what the registry itself says that it was made from, as sources or names.
    """

    identity: str
    digest: str = ""
    size: int | None = None
    pushed_s: float | None = None
    lineage: tuple[str, ...] = ()


class Registry(Protocol):
    """One scheme. `rest` is what stands behind it and the colon."""

    def mistake(self, rest: str) -> str:
        """What is wrong with how a source is written, and what to do; empty where nothing is. Nothing is looked up."""


@runtime_checkable
class LocalRegistry(Registry, Protocol):
    """Content that is on this machine already."""

    def content(self, rest: str, project: Path) -> Path | None:
        """The file or folder that a source is now; None where it is pinned by its name alone.

        The same source gives the same content, or content whose digest differs. Raises StackError.
        """


@runtime_checkable
class RemoteRegistry(Registry, Protocol):
    """Content behind a network."""

    def resolve(self, rest: str, project: Path) -> Found:
        """What the source stands for now. Raises StackError: it is absent, or the registry can't be reached."""

    def fetch(self, rest: str, pin: SourcePin, into: Path, transfer: Transfer) -> None:
        """Writes all files of what is pinned below an empty folder, and nothing outside of it.

        `rest` is that of the pin's identity. Where the digest covers the manifest, every file is held against it. A
        fetch that was broken off may go on from what `transfer` kept. Raises StackError.
        """


class StoredSignature(BaseModel):
    """A signature that a registry keeps beside some content. payload, signature: base64 of what is signed, and of that.

    payload_type: empty where the payload itself is signed (cosign's own form), else the type in DSSE's encoding.
    """

    model_config = ConfigDict(frozen=True)
    payload: Base64Bytes
    signature: Base64Bytes
    payload_type: str = ""


@runtime_checkable
class SigningRegistry(RemoteRegistry, Protocol):
    """A registry that keeps signatures of its content."""

    def signatures(self, rest: str) -> tuple[StoredSignature, ...]:
        """All that is signed of the content with an identity; nothing is verified. Raises StackError."""


def registry_of(source: str) -> tuple[Registry, str]:
    """The registry of a source, and what stands behind its scheme. Raises StackError."""
    scheme, _, rest = source.partition(":")
    try:
        made: Registry = load(Seam.REGISTRIES, scheme)()
    except KindError as error:
        raise StackError(str(error)) from None
    return made, rest


def remote_of(source: str) -> tuple[RemoteRegistry, str] | None:
    """The registry of a source whose content is elsewhere; None for every other source. Raises StackError."""
    if not is_known(source):
        return None
    registry, rest = registry_of(source)
    return (registry, rest) if isinstance(registry, RemoteRegistry) else None


def is_known(source: str) -> bool:
    """Whether a registry is installed for a source. One without is refused where a project is read."""
    scheme, colon, _ = source.partition(":")
    return bool(colon) and scheme in kinds(Seam.REGISTRIES)


def source_mistake(source: str) -> str:
    """What is wrong with where content is, and what to do; empty where nothing is."""
    scheme, colon, _ = source.partition(":")
    known = kinds(Seam.REGISTRIES)
    if is_known(source):
        try:
            registry, rest = registry_of(source)
        except StackError as error:
            return f"source '{source}': {error}"
        said = registry.mistake(rest)
        return f"source '{source}' {said}" if said else ""
    what = "is of a kind that can't be read" if colon else "has no scheme"
    others = ", ".join(f"'{kind}:'" for kind in known if kind not in ("file", _HOSTED))
    near = did_you_mean(scheme, known) if colon else ""
    nearest = f" {near}" if near.startswith("Did you mean") else ""
    package = f" Another one is brought by a package, as '{scheme}' in '{Seam.REGISTRIES}'." if colon else ""
    return (
        f"source '{source}' {what}, so there is no content to pin.{nearest} Supported: 'file:PATH' below the project, "
        f"for a hosted model 'vendor:NAME' with a date in the name, and of registries {others}.{package}"
    )


__all__ = [
    "Found", "LocalRegistry", "Registry", "RemoteRegistry", "SigningRegistry", "StoredSignature", "is_known",
    "registry_of", "remote_of", "source_mistake",
]  # fmt: skip
