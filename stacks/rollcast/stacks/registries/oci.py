"""`oci://HOST/REPOSITORY:TAG`, `…@sha256:HEX`: content of an OCI registry, as ORAS, Docker and their like push it.

A tag is pinned to the digest of its manifest, which holds the digests of all layers. A layer becomes a file of its
title, or of its digest where it has none; an archive (tar, tar+gzip, tar+zstd) becomes its files, one layer over the
other. A layer that takes away what another one put there (an OCI whiteout) is refused, as is an index of several
platforms. Credentials are Docker's own. Plain HTTP is spoken to loopback addresses, `localhost` and `.local` alone.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from rollcast.planner.declaration.models import SourcePin
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.registries.oci_distribution.manifests import Descriptor
from rollcast.stacks.registries.oci_distribution.references import Reference, parse
from rollcast.stacks.registries.oci_distribution.repository import opened
from rollcast.stacks.registries.oci_distribution.signatures import signatures_of
from rollcast.stacks.registries.sources import Found, StoredSignature
from rollcast.stacks.registries.transfer import Transfer
from rollcast.stacks.registries.unpacking import unpack

_TITLE, _FILE_PATH = "org.opencontainers.image.title", "org.cncf.model.filepath"
_UNPACK = "io.deis.oras.content.unpack"
_PACKED = re.compile(r".*[.+]tar(?P<compressed>[.+](?:gzip|zstd))?")
_WHITEOUT = ".wh."


class OciRegistry:
    """Content of OCI registries."""

    def mistake(self, rest: str) -> str:
        found = parse(rest)
        return found if isinstance(found, str) else ""

    def resolve(self, rest: str, project: Path) -> Found:
        reference = _reference(rest)
        with opened(reference) as repository:
            digest, manifest = repository.manifest(reference)
        if not manifest.layers:
            raise StackError(f"{reference} has no layers, so there is no content in it. Push it with its files.")
        pinned = f"oci://{reference.at(digest)}"
        return Found(pinned, digest, manifest.size, manifest.created_s, manifest.lineage)

    def fetch(self, rest: str, pin: SourcePin, into: Path, transfer: Transfer) -> None:
        reference = _reference(rest)
        if reference.digest != pin.digest:
            raise StackError(f"{transfer.what}: the lock has two digests for {reference}. Run 'rollcast lock' again.")
        with opened(reference) as repository:
            _, manifest = repository.manifest(reference)
            for name, count in Counter(filter(None, map(_title, manifest.layers))).most_common(1):
                if count > 1:
                    raise StackError(f"{transfer.what}: {count} of its layers are called '{name}'. Push it again.")
            for layer in manifest.layers:
                packed = _is_packed(layer)
                digest = layer.digest.partition(":")[2]
                name = f"sha256-{digest}" if packed else _title(layer) or f"sha256-{digest}"
                path = into.parent / name if packed else transfer.place_for(into, name)
                url = repository.blob_url(layer.digest)
                transfer.download(repository.client, url, path, sha256=digest, size=layer.size)
                if packed:
                    unpack(path, into, transfer)
                    path.unlink()
                    _refuse_whiteouts(into, transfer)

    def signatures(self, rest: str) -> tuple[StoredSignature, ...]:
        reference = _reference(rest)
        if not reference.digest:
            raise StackError(f"'oci:{rest}' names no digest, and a signature is of one. Use what the lock says of it.")
        with opened(reference) as repository:
            return signatures_of(repository, reference.digest)


def _reference(rest: str) -> Reference:
    found = parse(rest)
    if isinstance(found, str):
        raise StackError(f"'oci:{rest}' {found}")
    return found


def _title(layer: Descriptor) -> str:
    """The file that a layer says it is."""
    return layer.annotation(_TITLE) or layer.annotation(_FILE_PATH)


def _is_packed(layer: Descriptor) -> bool:
    """Whether a layer is an archive to unpack: where it says so, else by its media type.

    ORAS gives a plain file with a title the media type of a tar, so that one alone says nothing of it.
    """
    said = layer.annotation(_UNPACK)
    if said:
        return said == "true"
    found = _PACKED.fullmatch(layer.media_type)
    return found is not None and (bool(found["compressed"]) or not layer.annotation(_TITLE))


def _refuse_whiteouts(into: Path, transfer: Transfer) -> None:
    for path in into.rglob(f"{_WHITEOUT}*"):
        raise StackError(
            f"{transfer.what}: '{path.relative_to(into)}' takes away what another layer put there. "
            "Push it as layers that only add."
        )


__all__ = ["OciRegistry"]
