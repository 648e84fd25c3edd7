"""Signatures of artifacts: whether what a plan is to serve was signed by the keys that its declaration names.

Content of an OCI registry has signatures beside it, as cosign makes them (https://docs.sigstore.dev/cosign/signing/):
the lock holds those that were there, so that they are verified without a network, each against the manifest's digest
that is locked. All else has a bundle of OpenSSF model-signing (https://github.com/sigstore/model-transparency), which
names every file with its digest; that library reads the content itself. Whoever holds the key is who signed: identities
of Sigstore's own services (keyless signing) are not verified.
"""

from __future__ import annotations

import contextlib
import json
from base64 import b64decode
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rollcast.planner.declaration.models import Artifact, SignedBy, SourcePin
from rollcast.planner.plan.models import Plan, SignatureFinding
from rollcast.stacks.artifacts import cache
from rollcast.stacks.artifacts.lock import Lock
from rollcast.stacks.artifacts.recipes import content_of
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.base.keys import dsse_encoded, is_signed, key_id, public_key
from rollcast.stacks.registries.sources import SigningRegistry, StoredSignature, remote_of
from rollcast.stacks.registries.trees import files_below, tree_digest, tree_of

if TYPE_CHECKING:
    from rollcast.stacks.base.keys import PublicKey

BUNDLE = "model.sig"
_IN_TOTO = "application/vnd.in-toto+json"
_MOST_BUNDLE_BYTES = 64 * 1024 * 1024


def findings_of(plan: Plan, locked: Lock | None, project: Path) -> tuple[SignatureFinding, ...]:
    """Every artifact of a plan's releases that declares a signature, and whether its content has it, in order of name.

    Content that is elsewhere and has a bundle is fetched where it is not in the cache.
    """
    slots = (version for name in plan.to_release.values() for version in plan.releases[name].slots.values())
    artifacts = {version.reference: version.artifact for version in slots}
    return tuple(
        verify(artifact, artifact.signature, locked or Lock({}), project)
        for _, artifact in sorted(artifacts.items())
        if artifact.signature is not None
    )


def verify(artifact: Artifact, wanted: SignedBy, locked: Lock, project: Path) -> SignatureFinding:
    """Whether the content of one artifact has the signature that it wants."""
    found = SignatureFinding(artifact=artifact.reference, key=wanted.key)
    try:
        file = _below(project, wanted.key, "key")
        key = public_key(file)
    except StackError as error:
        return found.model_copy(update={"problem": f"The key of {artifact.reference} can't be used: {error}",
                                        "remedy": "Correct 'signature: {key: …}'."})  # fmt: skip
    found = found.model_copy(update={"key_id": key_id(key)})
    if artifact.by_name or not artifact.source:
        what = (
            "a hosted model, of which there is no content" if artifact.by_name else "not in files: it has no 'source'"
        )
        return _wrong(found, f"{artifact.reference} is {what} to be signed.", "Remove 'signature'.")
    try:
        remote = remote_of(artifact.source)
        if wanted.bundle is None and remote is not None and isinstance(remote[0], SigningRegistry):
            return _in_registry(artifact, key, found, locked)
        return _in_bundle(artifact, wanted, file, found, project)
    except StackError as error:
        return _wrong(found, f"Whether {artifact.reference} is signed can't be seen: {error}", "")


def _wrong(found: SignatureFinding, problem: str, remedy: str) -> SignatureFinding:
    return found.model_copy(update={"problem": problem, "remedy": remedy})


def _below(project: Path, name: str, what: str) -> Path:
    path = (project / name).resolve()
    if not path.is_relative_to(project.resolve()):
        raise StackError(f"{what} '{name}' is outside the project. Move it below {project}.")
    return path


# ---- beside a manifest --------------------------------------------------------------------------


def _in_registry(artifact: Artifact, key: PublicKey, found: SignatureFinding, locked: Lock) -> SignatureFinding:
    """Held against what the lock says that its registry has signed of the manifest."""
    said = locked.sources.get(artifact.reference)
    if said is None or said.source != artifact.source:
        return _wrong(
            found, f"{artifact.reference} is not locked, so nothing of it is verified.", "Run 'rollcast lock'."
        )
    again = f"then run 'rollcast lock --update {artifact.name}'."
    found = found.model_copy(update={"form": "cosign"})
    own = [one for one in said.signatures if _is_by(key, one)]
    if any(said.pin.digest in _manifests(one) for one in own):
        return found.model_copy(update={"digest": said.pin.digest})
    where = f"{said.pin.identity.partition('@')[0]} ({said.pin.digest[:19]}…)"
    if own:
        return _wrong(
            found, f"{artifact.reference}: what {found.key} signed is not what {where} holds: it changed after that.",
            f"See who changed it. Sign what is there now, {again}",
        )  # fmt: skip
    if said.signatures:
        return _wrong(
            found, f"{artifact.reference}: {where} is signed by another key than {found.key}.",
            f"Name that key, or sign it: cosign sign --key …, {again}",
        )  # fmt: skip
    return _wrong(found, f"{artifact.reference}: {where} has no signature.", f"Sign it: cosign sign --key …, {again}")


def _is_by(key: PublicKey, one: StoredSignature) -> bool:
    return is_signed(
        key, one.signature, dsse_encoded(one.payload, one.payload_type) if one.payload_type else one.payload
    )


def _manifests(one: StoredSignature) -> set[str]:
    """The manifests that a signature is of, by digest."""
    try:
        said = json.loads(one.payload)
        if not one.payload_type:
            return {str(said["critical"]["image"]["docker-manifest-digest"])}
        if one.payload_type == _IN_TOTO:
            return {f"sha256:{subject['digest']['sha256']}" for subject in said["subject"]}
    except (KeyError, TypeError, ValueError):
        pass
    return set()


# ---- a bundle -----------------------------------------------------------------------------------


def _in_bundle(
    artifact: Artifact, wanted: SignedBy, key: Path, found: SignatureFinding, project: Path
) -> SignatureFinding:
    """Held against the files that a bundle of model-signing names."""
    found = found.model_copy(update={"form": "model-signing"})
    with _content(artifact, project) as content:
        bundle = _bundle_of(content, wanted, project)
        place = f"{artifact.source} ({wanted.bundle or BUNDLE})"
        sign = f"Sign it: model_signing sign key {artifact.name} --private_key … --signature …"
        if bundle is None:
            return _wrong(found, f"{artifact.reference}: {place} has no signature.", f"{sign}.")
        try:
            _verify(content, bundle, key)
        except _OtherKey:
            return _wrong(
                found, f"{artifact.reference}: {place} is signed by another key than {found.key}, or was changed.",
                f"Name that key, or have it signed again. {sign}.",
            )  # fmt: skip
        except _OtherContent as error:
            return _wrong(
                found, f"{artifact.reference}: {place} is not of this content, which changed since: {error}.",
                "See who changed it. If it is right, give it a new version and sign that.",
            )  # fmt: skip
        return found.model_copy(update={"digest": tree_digest(tree_of(content))})


@contextlib.contextmanager
def _content(artifact: Artifact, project: Path) -> Iterator[Path]:
    where = content_of(artifact.model_dump(mode="json", by_alias=True), project)
    if isinstance(where, SourcePin):
        with cache.content_of(where, artifact.reference) as files:
            yield files
    elif where is not None:
        yield where
    else:
        raise StackError("there is no content of it here.")


def _bundle_of(content: Path, wanted: SignedBy, project: Path) -> Path | None:
    """Where the bundle is: in the content, else in the project."""
    name = wanted.bundle or BUNDLE
    inside = (content / name).resolve()
    found = inside if content.is_dir() and inside.is_relative_to(content.resolve()) and inside.is_file() else None
    if found is None and wanted.bundle is not None:
        beside = _below(project, name, "bundle")
        found = beside if beside.is_file() else None
    if found is not None and found.stat().st_size > _MOST_BUNDLE_BYTES:
        raise StackError(
            f"{name} is larger than {_MOST_BUNDLE_BYTES // 2**20} MiB. Correct 'signature: {{bundle: …}}'."
        )
    return found


class _OtherKey(Exception):
    """The key did not sign what is there."""


class _OtherContent(Exception):
    """What is signed is not the content."""


def _verify(content: Path, bundle: Path, key: Path) -> None:
    """Raises _OtherKey, _OtherContent, or StackError where it is no bundle or can't be verified here."""
    try:
        from cryptography.exceptions import InvalidSignature
        from model_signing.verifying import Config
    except ImportError:
        raise StackError(
            "signatures of files need OpenSSF model-signing: pip install 'rollcast[model-signing]'."
        ) from None
    try:
        envelope = json.loads(bundle.read_text("utf-8"))["dsseEnvelope"]
        payload = json.loads(b64decode(envelope["payload"]))
        ignored = payload["predicate"]["serialization"].get("ignore_paths") or ()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise StackError(f"{bundle.name} is no bundle of model-signing. Correct 'signature: {{bundle: …}}'.") from None
    try:
        config = Config()  # type: ignore[no-untyped-call]
        config.use_elliptic_key_verifier(public_key=key)
        config.verify(content, bundle)
    except InvalidSignature:
        raise _OtherKey from None
    except Exception as error:  # of a library that reads what others wrote: ValueError, KeyError, its parser's own
        text = " ".join(str(error).split())[:300]
        if text.startswith("Key mismatch"):
            raise _OtherKey from None
        if text.startswith("Signature mismatch"):
            raise _OtherContent(text.partition(": ")[2]) from None
        raise StackError(f"{bundle.name} can't be verified ({text or type(error).__name__}). Sign again.") from None
    loose = _uncovered(content, bundle, ignored)
    if loose:
        raise _OtherContent(f"the signature leaves out {', '.join(loose[:4])}")


def _uncovered(content: Path, bundle: Path, ignored: Iterable[str]) -> list[str]:
    """Files that whoever signed left out, but for the bundle itself: they may be anything."""
    if not content.is_dir():
        return []
    paths = [Path(each) for each in ignored]
    return [
        name
        for name, file in files_below(content)
        if file.resolve() != bundle.resolve() and any(Path(name).is_relative_to(path) for path in paths)
    ]


__all__ = ["BUNDLE", "findings_of", "verify"]
