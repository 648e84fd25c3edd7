"""Bills of materials and attestations: of what served and why, checked by others' libraries, and no word changeable."""

from __future__ import annotations

import base64
import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from google.protobuf.json_format import Parse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1.statement_pb2 import Statement as StatementMessage
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

from rollcast.cli.main import main
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.ledger.attestation import signed, statement_of, verified
from rollcast.stacks.ledger.payloads import ROLLBACK, VERDICT, JudgedBody
from rollcast.stacks.ledger.rollouts import STARTED, ledger_of, load
from rollcast.stacks.project import Project

DECLARATION = """\
schema: rollcast/v1
pipeline: chat
artifacts:
  - {kind: dataset, name: docs, version: "1", source: "file:docs", license: CC-BY-4.0}
  - {kind: retrieval-index, name: kb, version: "1", source: "file:kb", derived_from: [docs@1]}
  - {kind: model-weights, name: bot, version: "1", source: "vendor:example/bot-2026-05-01", approved_by: ada}
components:
  index: {artifact: kb@1}
  generator: {artifact: bot@1, upstream: [index]}
environments:
  dev: {development: true}
"""


def openssl(*words: str, cwd: Path) -> None:
    subprocess.run(["openssl", *words], cwd=cwd, check=True, capture_output=True)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    openssl("genpkey", "-algorithm", "ed25519", "-out", "one.pem", cwd=folder)
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "two.pem", cwd=folder)
    for name in ("one", "two"):
        openssl("pkey", "-in", f"{name}.pem", "-pubout", "-out", f"{name}.pub", cwd=folder)
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that was applied."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("docs", "kb"):
        (folder / name).write_text(name, "utf-8")
    (folder / "rollcast.yaml").write_text(DECLARATION, "utf-8")
    assert main(["-C", str(folder), "lock"]) == 0
    assert main(["-C", str(folder), "apply", "--auto-approve"]) == 0
    return folder


@pytest.mark.engine
def test_a_bill_of_materials_has_all_that_serves_and_what_it_was_made_from(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["-C", str(project), "bom"]) == 0
    text = capsys.readouterr().out
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    said = json.loads(text)
    parts = {part["bom-ref"]: part for part in said["components"]}
    assert {name: part["type"] for name, part in parts.items()} == {
        "bot@1": "machine-learning-model", "docs@1": "data", "kb@1": "data",
    }  # fmt: skip
    properties = {one["name"]: one["value"] for one in parts["bot@1"]["properties"]}
    assert properties["rollcast:pinned"] == "by name, not by content"
    assert parts["docs@1"]["licenses"] == [{"license": {"id": "CC-BY-4.0"}}]
    assert {"ref": "kb@1", "dependsOn": ["docs@1"]} in said["dependencies"]
    assert main(["-C", str(project), "bom", "--at", "1"]) == 1


@pytest.mark.engine
@pytest.mark.parametrize("key", ["one", "two"])
def test_an_attestation_is_verified_by_its_key_alone(
    project: Path, keys: Path, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    file = project / f"{key}.json"
    assert main(["-C", str(project), "attest", "--key", str(keys / f"{key}.pem"), "--out", str(file)]) == 0
    capsys.readouterr()
    assert main(["-C", str(project), "verify", str(file), "--key", str(keys / f"{key}.pub"), "--ledger"]) == 0
    said = capsys.readouterr().out
    assert "promoted default: rel-" in said
    assert "generator: bot@1" in said
    assert "by name, not by content" in said
    other = "two" if key == "one" else "one"
    assert main(["-C", str(project), "verify", str(file), "--key", str(keys / f"{other}.pub")]) == 1
    statement = json.loads(base64.b64decode(json.loads(file.read_text("utf-8"))["payload"]))
    assert statement["predicate"]["artifacts"][0]["approved_by"] == "ada"
    assert len(statement["subject"][0]["digest"]["sha256"]) == 64
    accepted_by_tools_of_others(json.loads(file.read_text("utf-8")), keys / f"{key}.pub")


def accepted_by_tools_of_others(envelope: dict[str, Any], key: Path) -> None:
    """in-toto's own library finds the statement valid, and its verifier of envelopes the signature right."""
    statement = Parse(base64.b64decode(envelope["payload"]), StatementMessage())
    Statement.copy_from_pb(statement).validate()
    known = SSlibKey.from_crypto(load_pem_public_key(key.read_bytes()), keyid=envelope["signatures"][0]["keyid"])
    assert Envelope.from_dict(copy.deepcopy(envelope)).verify([known], 1)


@pytest.mark.engine
def test_an_attestation_holds_every_verdict_of_a_gate(project: Path) -> None:
    ledger = ledger_of(Project.open(project))
    records = ledger.records()
    [started] = [one for one in records if one.kind == STARTED]
    judged = [
        started.model_copy(update={"kind": kind, "body": JudgedBody(milestone=1, reason=kind).to_json()})
        for kind in (VERDICT, ROLLBACK)
    ]
    predicate = statement_of(load(ledger, started), [*records, *judged], "0")["predicate"]
    assert [one["reason"] for one in predicate["gates"]] == [VERDICT, ROLLBACK]


@pytest.mark.engine
def test_openssl_finds_the_same_signature_right(project: Path, keys: Path, tmp_path: Path) -> None:
    """Whoever does not trust rollcast can check it without."""
    file = project / "checked.json"
    assert main(["-C", str(project), "attest", "--key", str(keys / "two.pem"), "--out", str(file)]) == 0
    envelope = json.loads(file.read_text("utf-8"))
    payload, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"]
    (tmp_path / "data").write_bytes(f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload)
    (tmp_path / "sig").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    openssl("dgst", "-sha256", "-verify", str(keys / "two.pub"), "-signature", "sig", "data", cwd=tmp_path)


STATEMENT: dict[str, Any] = {
    "_type": "https://in-toto.io/Statement/v1", "predicateType": "urn:rollcast:release:v1", "subject": [],
    "predicate": {"rollout": "ro-1"},
}  # fmt: skip


@given(where=st.integers(0, 10_000), bit=st.integers(0, 7), part=st.sampled_from(["payload", "sig", "payloadType"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_no_bit_can_be_changed(keys: Path, where: int, bit: int, part: str) -> None:
    envelope = signed(STATEMENT, keys / "one.pem")
    assert verified(envelope, keys / "one.pub") == STATEMENT
    wrong = copy.deepcopy(envelope)
    if part == "payloadType":
        wrong[part] = wrong[part].replace("json", "xml")
    else:
        place = wrong if part == "payload" else wrong["signatures"][0]
        data = bytearray(base64.b64decode(place[part]))
        data[where % len(data)] ^= 1 << bit
        place[part] = base64.b64encode(bytes(data)).decode()
    with pytest.raises(StackError):
        verified(wrong, keys / "one.pub")


@pytest.mark.parametrize("wrong", [{}, [], 3, {"payload": "x", "payloadType": "y", "signatures": [{}]}])
def test_what_is_no_envelope_is_refused(keys: Path, wrong: Any) -> None:
    with pytest.raises(StackError, match="no DSSE envelope"):
        verified(wrong, keys / "one.pub")


def test_what_is_no_key_is_refused_with_how_to_make_one(keys: Path, tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("key", "utf-8")
    with pytest.raises(StackError, match="openssl genpkey"):
        signed(STATEMENT, tmp_path / "no.pem")
    with pytest.raises(StackError, match="can't be read"):
        signed(STATEMENT, tmp_path / "absent.pem")
    with pytest.raises(StackError, match="no public key"):
        verified(signed(STATEMENT, keys / "one.pem"), keys / "one.pem")


def test_without_a_ledger_there_is_nothing_to_attest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rollcast.yaml").write_text(DECLARATION, "utf-8")
    assert main(["-C", str(tmp_path), "bom"]) == 1
    assert "There is no ledger yet" in capsys.readouterr().err
