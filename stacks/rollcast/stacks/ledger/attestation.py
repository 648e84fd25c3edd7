"""An in-toto attestation of a rollout: what is promoted, made from what, measured how, judged by which gates, by whom.

A statement (https://github.com/in-toto/attestation/tree/main/spec/v1) in a DSSE envelope
(https://github.com/secure-systems-lab/dsse), signed with a PEM key of Ed25519 or ECDSA P-256, as `cosign
generate-key-pair` and `openssl genpkey` know them. Cosign's own encrypted form of a private key is not read.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollcast.planner.releases.releases import Release, canonical, digest_of
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.flags.definitions import document_of
from rollcast.stacks.ledger.evaluations import results_of
from rollcast.stacks.ledger.payloads import FinishedBody, JudgedBody, OrderedBody, StartedBody
from rollcast.stacks.ledger.records import Record
from rollcast.stacks.ledger.rollouts import FINISHED, STARTED, RolloutContext

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:rollcast:release:v1"
PAYLOAD = "application/vnd.in-toto+json"


def statement_of(context: RolloutContext, records: Sequence[Record], tool_version: str) -> dict[str, Any]:
    """What a rollout promoted, and why it might. Raises StackError where it promoted nothing."""
    own = [record for record in records if record.rollout == context.id]
    started = next(record for record in own if record.kind == STARTED).read(StartedBody)
    finished = [record.read(FinishedBody) for record in own if record.kind == FINISHED]
    if not finished or finished[-1].outcome != "promoted":
        how = finished[-1].outcome.replace("_", " ") if finished else "under way"
        raise StackError(f"{context.id} is {how}, so there is nothing to attest. Name one that was promoted.")
    releases = {name: context.plan.releases[name] for name in context.plan.to_release.values()}
    suites = [one for one in results_of(records) if one.body.release in releases]
    predicate = {
        "rollout": context.id,
        "pipeline": context.plan.pipeline,
        "environment": context.plan.environment,
        "from_release": context.plan.from_release,
        "to_release": context.plan.to_release,
        "plan_digest": started.plan_digest,
        "declaration_digest": started.binding.get("declaration_digest", ""),
        "policy_digest": started.binding.get("policy_digest", ""),
        "begun_by": started.by,
        "reason": started.reason,
        "artifacts": [part for release in releases.values() for part in _materials(release)],
        "evaluations": [
            {"suite": one.body.suite, "suite_digest": one.body.suite_digest, "release": one.body.release,
             "made_from": one.body.made_from, "measured_s": one.time_s, **one.body.result.known}
            for one in suites
        ],
        "gates": [record.read(JudgedBody).known for record in own if record.kind == "judged"],
        "orders": [record.read(OrderedBody).known for record in own if record.kind == "order"],
        "guardrails": list(context.plan.guardrails),
        "outcome": finished[-1].outcome,
        "tally": finished[-1].tally,
        "ledger": {"scope": own[-1].scope, "record": own[-1].hash},
        "rollcast": tool_version,
    }  # fmt: skip
    subjects = [
        {"name": name, "digest": {"sha256": digest_of(document_of(release)).removeprefix("sha256:")}}
        for name, release in sorted(releases.items())
    ]
    return {"_type": STATEMENT, "subject": subjects, "predicateType": PREDICATE, "predicate": predicate}


def _materials(release: Release) -> list[dict[str, Any]]:
    """Every artifact with its digest, and what that is of."""
    found = []
    for slot, version in sorted(release.slots.items()):
        artifact = version.artifact
        part: dict[str, Any] = {
            "release": release.id, "slot": slot, "artifact": version.reference, "kind": artifact.kind.value,
            "recipe_digest": version.digest, "derived_from": list(artifact.derived_from),
        }  # fmt: skip
        if artifact.pinned is not None:
            part["pinned"] = artifact.pinned.model_dump(mode="json", exclude_none=True)
        if artifact.by_name:
            part["by_name"] = artifact.source
        if artifact.approved_by:
            part["approved_by"] = artifact.approved_by
        found.append(part)
    return found


# ---- envelopes ----------------------------------------------------------------------------------


def signed(statement: Mapping[str, Any], key: Path, password: str | None = None) -> dict[str, Any]:
    """A DSSE envelope around a statement. Raises StackError: the key can't be used."""
    private = _private_key(key, password)
    payload = canonical(dict(statement)).encode()
    signature = _sign(private, _encoded(payload))
    return {
        "payloadType": PAYLOAD,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [{"keyid": _key_id(private.public_key()), "sig": base64.b64encode(signature).decode()}],
    }


def verified(envelope: Any, key: Path) -> dict[str, Any]:
    """The statement in an envelope that this key has signed. Raises StackError in every other case."""
    from cryptography.exceptions import InvalidSignature

    public = _public_key(key)
    try:
        payload = base64.b64decode(envelope["payload"], validate=True)
        kind = str(envelope["payloadType"])
        signatures = [base64.b64decode(one["sig"], validate=True) for one in envelope["signatures"]]
    except (KeyError, TypeError, ValueError):
        raise StackError("It is no signed attestation: no DSSE envelope. Name a file of 'rollcast attest'.") from None
    for signature in signatures:
        try:
            _verify(public, signature, _encoded(payload, kind))
        except InvalidSignature:
            continue
        statement = json.loads(payload)
        if kind != PAYLOAD or statement.get("_type") != STATEMENT or statement.get("predicateType") != PREDICATE:
            raise StackError("It is signed, and no attestation of a release. Name a file of 'rollcast attest'.")
        return dict(statement)
    raise StackError(f"It is not signed by {key}. Do not trust it: its content or its signature was changed.")


def _encoded(payload: bytes, kind: str = PAYLOAD) -> bytes:
    """DSSE's pre-authentication encoding: what is signed, so that the type can't be exchanged."""
    return b"DSSEv1 %d %b %d %b" % (len(kind.encode()), kind.encode(), len(payload), payload)


def _sign(key: Ed25519PrivateKey | EllipticCurvePrivateKey, data: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.hashes import SHA256

    return key.sign(data) if isinstance(key, Ed25519PrivateKey) else key.sign(data, ECDSA(SHA256()))


def _verify(key: Ed25519PublicKey | EllipticCurvePublicKey, signature: bytes, data: bytes) -> None:
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.hashes import SHA256

    if isinstance(key, Ed25519PublicKey):
        key.verify(signature, data)
    else:
        key.verify(signature, data, ECDSA(SHA256()))


def _private_key(path: Path, password: str | None) -> Ed25519PrivateKey | EllipticCurvePrivateKey:
    try:
        from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError:
        raise StackError("Signing needs the package 'cryptography': pip install 'rollcast[signing]'.") from None
    try:
        key = load_pem_private_key(path.read_bytes(), password.encode() if password else None)
    except OSError as error:
        raise StackError(f"{path} can't be read ({error.strerror}). Name a private key in PEM form.") from None
    except (TypeError, ValueError):
        raise StackError(
            f"{path} is no private key that can be used, or ROLLCAST_KEY_PASSWORD is not its password. "
            "Make one: openssl genpkey -algorithm ed25519 -out key.pem"
        ) from None
    if not isinstance(key, Ed25519PrivateKey | EllipticCurvePrivateKey):
        raise StackError(f"{path} is a key of another kind. Use Ed25519 or ECDSA P-256.")
    return key


def _public_key(path: Path) -> Ed25519PublicKey | EllipticCurvePublicKey:
    try:
        from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ImportError:
        raise StackError("Verifying needs the package 'cryptography': pip install 'rollcast[signing]'.") from None
    try:
        key = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise StackError(f"{path} can't be read ({error.strerror}). Name a public key in PEM form.") from None
    except ValueError:
        raise StackError(f"{path} is no public key in PEM form. Export it: openssl pkey -in key.pem -pubout") from None
    if not isinstance(key, Ed25519PublicKey | EllipticCurvePublicKey):
        raise StackError(f"{path} is a key of another kind. Use Ed25519 or ECDSA P-256.")
    return key


def _key_id(key: Ed25519PublicKey | EllipticCurvePublicKey) -> str:
    """The SHA-256 of the key itself, which distinguishes keys and proves nothing."""
    from hashlib import sha256

    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


__all__ = ["PREDICATE", "STATEMENT", "signed", "statement_of", "verified"]
