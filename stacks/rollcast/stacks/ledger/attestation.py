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
from typing import Any

from rollcast.planner.releases.releases import Release, canonical, digest_of
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.base.keys import dsse_encoded, is_signed, key_id, private_key, public_key, sign
from rollcast.stacks.flags.definitions import document_of
from rollcast.stacks.ledger.evaluations import results_of
from rollcast.stacks.ledger.payloads import ROLLBACK, VERDICT, FinishedBody, JudgedBody, OrderedBody, StartedBody
from rollcast.stacks.ledger.records import Record
from rollcast.stacks.ledger.rollouts import FINISHED, STARTED, RolloutContext

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
        "gates": [record.read(JudgedBody).known for record in own if record.kind in (VERDICT, ROLLBACK)],
        "orders": [record.read(OrderedBody).known for record in own if record.kind == "order"],
        "guardrails": list(context.plan.guardrails),
        "signatures": [one.model_dump(mode="json") for one in context.plan.signatures],
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
        if artifact.made_from:
            part["made_from"] = list(artifact.made_from)
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
    private = private_key(key, password)
    payload = canonical(dict(statement)).encode()
    signature = sign(private, dsse_encoded(payload, PAYLOAD))
    return {
        "payloadType": PAYLOAD,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [{"keyid": key_id(private.public_key()), "sig": base64.b64encode(signature).decode()}],
    }


def verified(envelope: Any, key: Path) -> dict[str, Any]:
    """The statement in an envelope that this key has signed. Raises StackError in every other case."""
    public = public_key(key)
    try:
        payload = base64.b64decode(envelope["payload"], validate=True)
        kind = str(envelope["payloadType"])
        signatures = [base64.b64decode(one["sig"], validate=True) for one in envelope["signatures"]]
        encoded = dsse_encoded(payload, kind)
    except (KeyError, TypeError, ValueError):
        raise StackError("It is no signed attestation: no DSSE envelope. Name a file of 'rollcast attest'.") from None
    if not any(is_signed(public, signature, encoded) for signature in signatures):
        raise StackError(f"It is not signed by {key}. Do not trust it: its content or its signature was changed.")
    statement = json.loads(payload) if kind == PAYLOAD else None
    named = statement if isinstance(statement, dict) else {}
    if named.get("_type") != STATEMENT or named.get("predicateType") != PREDICATE:
        raise StackError("It is signed, and no attestation of a release. Name a file of 'rollcast attest'.")
    return named


__all__ = ["PREDICATE", "STATEMENT", "signed", "statement_of", "verified"]
