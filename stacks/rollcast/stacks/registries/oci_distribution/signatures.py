"""Signatures of a manifest, where cosign and its like put them: among what refers to it, and under a tag of its digest.

Three forms are read (https://github.com/sigstore/cosign/blob/main/specs/). A layer of 'simple signing' holds what is
signed, and its signature stands in an annotation; such layers lie under the tag `sha256-HEX.sig`, or in an artifact
that refers to the manifest. A Sigstore bundle refers to the manifest and holds a DSSE envelope. Nothing is verified
here: what is found is what somebody put there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from pydantic import ValidationError

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.registries.oci_distribution.manifests import Descriptor
from rollcast.stacks.registries.oci_distribution.repository import Repository
from rollcast.stacks.registries.sources import StoredSignature

SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE = "dev.cosignproject.cosign/signature"
_COSIGN = "application/vnd.dev.cosign.artifact.sig.v1+json"
_BUNDLE = "application/vnd.dev.sigstore.bundle."
_MOST = 64  # of one manifest
_MOST_BYTES = 1024 * 1024


def signatures_of(repository: Repository, digest: str) -> tuple[StoredSignature, ...]:
    """All signatures of a manifest that its registry has. Raises StackError."""
    found = list(_found(repository, digest))
    if len(found) > _MOST:
        raise StackError(
            f"{repository.reference.host} has {len(found)} signatures of {digest[:19]}…, more than {_MOST}. "
            "Remove those that nobody needs."
        )
    return tuple(dict.fromkeys(found))


def _found(repository: Repository, digest: str) -> Iterator[StoredSignature]:
    for each in repository.referrers(digest):
        if each.artifact_type == _COSIGN or each.artifact_type.startswith(_BUNDLE) or not each.artifact_type:
            layers = repository.manifest(repository.reference.at(each.digest))[1].layers
            yield from _in_layers(repository, layers)
    tagged = repository.tagged(f"{digest.replace(':', '-')}.sig")
    if tagged is not None:
        yield from _in_layers(repository, tagged.layers)


def _in_layers(repository: Repository, layers: tuple[Descriptor, ...]) -> Iterator[StoredSignature]:
    for layer in layers:
        is_bundle = layer.media_type.startswith(_BUNDLE)
        if not (is_bundle or (layer.media_type == SIMPLE_SIGNING and layer.annotation(SIGNATURE))):
            continue
        body = repository.blob(layer, _MOST_BYTES)
        try:
            if is_bundle:
                yield from _in_bundle(json.loads(body))
            else:
                yield _stored(_base64(body), layer.annotation(SIGNATURE))
        except (KeyError, TypeError, ValueError, ValidationError):
            continue  # what can't be read is no signature, and who demands one will miss it


def _in_bundle(bundle: dict[str, dict[str, object]]) -> Iterator[StoredSignature]:
    envelope = bundle["dsseEnvelope"]
    signatures = envelope["signatures"]
    for one in signatures if isinstance(signatures, list) else ():
        yield _stored(str(envelope["payload"]), one["sig"], str(envelope["payloadType"]))


def _stored(payload: str, signature: str, kind: str = "") -> StoredSignature:
    return StoredSignature.model_validate({"payload": payload, "signature": signature, "payload_type": kind})


def _base64(body: bytes) -> str:
    from base64 import b64encode

    return b64encode(body).decode()


__all__ = ["SIGNATURE", "SIMPLE_SIGNING", "signatures_of"]
