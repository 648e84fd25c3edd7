"""Signatures: what is signed is verified by its key, and what is not, by another key, or changed since, is named."""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from model_signing.signing import Config

from rollcast.planner.declaration.models import Artifact
from rollcast.planner.plan.models import SignatureFinding
from rollcast.stacks.artifacts import signatures
from rollcast.stacks.artifacts.lock import Lock
from rollcast.stacks.base.keys import dsse_encoded, sign
from tests.registries.locking import run
from tests.registries.oci_server import INDEX, OciServer, oci_server

PAYLOAD = "application/vnd.in-toto+json"
SIMPLE = "application/vnd.dev.cosign.simplesigning.v1+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OciServer]:
    with oci_server(tmp_path_factory.mktemp("oci")) as running:
        yield running


@pytest.fixture
def repository(request: pytest.FixtureRequest) -> str:
    """A repository of this test's own."""
    return re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:60].strip("-")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`ours`, `theirs`: ECDSA P-256; `ed`: Ed25519. Each a private (.pem) and a public key (.pub)."""
    folder = tmp_path_factory.mktemp("keys")
    made = {
        "ours": ec.generate_private_key(ec.SECP256R1()),
        "theirs": ec.generate_private_key(ec.SECP256R1()),
        "ed": Ed25519PrivateKey.generate(),
    }
    for name, key in made.items():
        private = key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption())
        public = key.public_key().public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo)
        (folder / f"{name}.pem").write_bytes(private)
        (folder / f"{name}.pub").write_bytes(public)
    return folder


def private(keys: Path, name: str) -> Any:
    return pem.load_pem_private_key((keys / f"{name}.pem").read_bytes(), None)


def declare(project: Path, keys: Path, source: str, key: str = "ours", bundle: str = "", policy: str = "") -> None:
    """A pipeline of one signed prompt, and the keys in the project."""
    shutil.copytree(keys, project / "keys", dirs_exist_ok=True)
    said = f"{{key: keys/{key}.pub{f', bundle: {bundle}' if bundle else ''}}}" if key else ""
    signed = f", signature: {said}" if said else ""
    text = (
        "schema: rollcast/v1\npipeline: chat\nartifacts:\n"
        f"  - {{kind: prompt-template, name: a0, version: '1', source: '{source}'{signed}}}\n"
        "components:\n  c0: {artifact: a0@1}\n"
    )
    (project / "rollcast.yaml").write_text(text, "utf-8")
    if policy:
        (project / "policies").mkdir(exist_ok=True)
        (project / "policies" / "signing.py").write_text(
            f"from rollcast.policies.library import signed\n{policy}\n", "utf-8"
        )


def sign_files(content: Path, keys: Path, key: str, bundle: Path) -> None:
    """What `model_signing sign key` does."""
    Config().use_elliptic_key_signer(private_key=keys / f"{key}.pem").sign(content, bundle)


def found_in(project: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, dict[str, Any]]:
    """Exit code of a plan, what it says in errors, and the plan."""
    capsys.readouterr()
    code = run(project, "plan", "--format", "json")
    said = capsys.readouterr()
    return code, said.err, json.loads(said.out)


def refused(project: Path, capsys: pytest.CaptureFixture[str], *expected: str) -> None:
    """The plan is blocked by one error, which names artifact, place and remedy."""
    code, said, plan = found_in(project, capsys)
    assert code == 3
    assert said.count("Guardrail 'signed' blocks") == 1
    assert "rollcast.yaml:4:" in said
    for text in expected:
        assert text in said
    assert plan["signatures"] == [] or plan["signatures"][0]["problem"]


# ---- files --------------------------------------------------------------------------------------


def test_files_that_were_signed_are_verified_and_the_plan_says_so(
    project: Path, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = project / "prompts"
    content.mkdir()
    (content / "answer.txt").write_text("Be kind.", "utf-8")
    sign_files(content, keys, "ours", project / "prompts.sig")
    declare(project, keys, "file:prompts", bundle="prompts.sig", policy="signed(['prompt-template'])")
    assert run(project, "lock") == 0
    code, _, plan = found_in(project, capsys)
    assert code == 0
    [found] = plan["signatures"]
    assert (found["artifact"], found["key"], found["form"], found["problem"]) == (
        "a0@1", "keys/ours.pub", "model-signing", "",
    )  # fmt: skip
    assert run(project, "plan") == 0
    assert "Signed: a0@1 is signed by keys/ours.pub (model-signing" in capsys.readouterr().out


def test_a_kind_that_must_be_signed_and_is_not_is_refused(
    project: Path, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "answer.txt").write_text("Be kind.", "utf-8")
    declare(project, keys, "file:answer.txt", key="", policy="signed(['prompt-template'])")
    assert run(project, "lock") == 0
    capsys.readouterr()
    assert run(project, "plan") == 3
    said = capsys.readouterr().err
    assert "a0@1 declares no signature, and a prompt-template must have one." in said
    assert "Sign it, and declare 'signature: {key: …}'" in said


def test_files_signed_by_another_key_or_by_none_are_refused(
    project: Path, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = project / "prompts"
    content.mkdir()
    (content / "answer.txt").write_text("Be kind.", "utf-8")
    declare(project, keys, "file:prompts")
    assert run(project, "lock") == 0
    refused(project, capsys, "a0@1: file:prompts (model.sig) has no signature.", "model_signing sign key a0")
    sign_files(content, keys, "theirs", content / "model.sig")
    assert run(project, "lock") == 0
    refused(project, capsys, "is signed by another key than keys/ours.pub", "have it signed again")


def test_a_key_that_is_declared_is_not_yet_a_key_that_is_trusted(
    project: Path, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "answer.txt").write_text("Be kind.", "utf-8")
    sign_files(project / "answer.txt", keys, "theirs", project / "answer.sig")
    declare(
        project, keys, "file:answer.txt", key="theirs", bundle="answer.sig", policy="signed(keys=['keys/ours.pub'])"
    )
    assert run(project, "lock") == 0
    capsys.readouterr()
    assert run(project, "plan") == 3
    assert "is signed by keys/theirs.pub" in (said := capsys.readouterr().err)
    assert "Have it signed by one of keys/ours.pub" in said


NAMES = st.sampled_from(["a.txt", "b.bin", "deep/c.txt", ".gitignore"])
FILES = st.dictionaries(NAMES, st.binary(max_size=40), min_size=1, max_size=3)


CHANGED = FILES.flatmap(lambda before: st.tuples(st.just(before), st.just(before) | FILES))


@given(CHANGED)
@settings(max_examples=25, deadline=None)
def test_files_are_signed_exactly_as_long_as_they_are_those_that_were_signed(
    keys: Path, tmp_path_factory: pytest.TempPathFactory, change: tuple[dict[str, bytes], dict[str, bytes]]
) -> None:
    before, after = change
    project = tmp_path_factory.mktemp("signed")
    shutil.copytree(keys, project / "keys")

    def put(files: dict[str, bytes]) -> None:
        shutil.rmtree(project / "content", ignore_errors=True)
        for name, data in files.items():
            (project / "content" / name).parent.mkdir(parents=True, exist_ok=True)
            (project / "content" / name).write_bytes(data)

    put(before)
    sign_files(project / "content", keys, "ours", project / "content.sig")
    put(after)
    found = verify(project, "file:content", {"key": "keys/ours.pub", "bundle": "content.sig"})
    hidden = ".gitignore" in after  # which model-signing leaves out, so that it might say anything
    assert (found.problem == "") == (before == after and not hidden)


def verify(project: Path, source: str, signature: dict[str, str], lock: Lock | None = None) -> SignatureFinding:
    said = {"kind": "dataset", "name": "a0", "version": "1", "source": source, "signature": signature}
    artifact = Artifact.model_validate(said)
    assert artifact.signature is not None
    return signatures.verify(artifact, artifact.signature, lock or Lock({}), project)


@pytest.mark.parametrize(
    ("signature", "problem"),
    [
        ({"key": "keys/none.pub"}, "can't be read"),
        ({"key": "keys/ours.pem"}, "is no public key"),
        ({"key": "../ours.pub"}, "is outside the project"),
        ({"key": "keys/ours.pub", "bundle": "../a.sig"}, "is outside the project"),
        ({"key": "keys/ours.pub", "bundle": "a.txt"}, "is no bundle of model-signing"),
        ({"key": "keys/ours.pub", "bundle": "none.sig"}, "has no signature"),
        ({"key": "keys/ed.pub", "bundle": "a.sig"}, "can't be verified"),
    ],
)
def test_what_can_not_be_verified_is_not_taken_for_signed(
    project: Path, keys: Path, signature: dict[str, str], problem: str
) -> None:
    shutil.copytree(keys, project / "keys")
    for name, text in {"a.txt": "one", "b.txt": "{}"}.items():
        (project / name).write_text(text, "utf-8")
    sign_files(project / "b.txt", keys, "ours", project / "a.sig")
    assert problem in verify(project, "file:b.txt", signature).problem


# ---- OCI ----------------------------------------------------------------------------------------


def push(server: OciServer, repository: str, project: Path, text: str) -> str:
    (project / "answer.txt").write_text(text, "utf-8")
    return server.push(f"{repository}:v1", project, "answer.txt")


def simple(keys: Path, key: str, digest: str) -> tuple[bytes, str]:
    """What `cosign sign` signs, and its signature."""
    said = {"identity": {"docker-reference": ""}, "image": {"docker-manifest-digest": digest},
            "type": "cosign container image signature"}  # fmt: skip
    payload = json.dumps({"critical": said, "optional": None}).encode()
    return payload, base64.b64encode(sign(private(keys, key), payload)).decode()


def put_simple(
    server: OciServer, repository: str, keys: Path, key: str, digest: str, of: str = "", tag: str = ""
) -> Any:
    payload, signature = simple(keys, key, of or digest)
    layer = {**server.blob(repository, payload), "mediaType": SIMPLE,
             "annotations": {"dev.cosignproject.cosign/signature": signature}}  # fmt: skip
    return server.artifact(repository, tag or f"{digest.replace(':', '-')}.sig", layer)


def put_bundle(server: OciServer, repository: str, keys: Path, key: str, digest: str) -> None:
    """A Sigstore bundle that refers to the manifest, as newer cosign writes it."""
    statement = {"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://sigstore.dev/cosign/sign/v1",
                 "subject": [{"digest": {"sha256": digest.removeprefix("sha256:")}}], "predicate": {}}  # fmt: skip
    payload = json.dumps(statement).encode()
    made = sign(private(keys, key), dsse_encoded(payload, PAYLOAD))
    envelope = {"payload": base64.b64encode(payload).decode(), "payloadType": PAYLOAD,
                "signatures": [{"sig": base64.b64encode(made).decode()}]}  # fmt: skip
    bundle = json.dumps({"mediaType": BUNDLE, "verificationMaterial": {}, "dsseEnvelope": envelope}).encode()
    layer = {**server.blob(repository, bundle), "mediaType": BUNDLE}
    refer(server, repository, digest, server.artifact(repository, "", layer, artifactType=BUNDLE), BUNDLE)


def refer(server: OciServer, repository: str, digest: str, to: dict[str, Any], kind: str) -> None:
    """By the tag that stands for the API of referrers where a registry has none."""
    listed = {"mediaType": INDEX, "manifests": [{**to, "artifactType": kind}]}
    server.manifest(repository, digest.replace(":", "-"), listed)


@pytest.mark.parametrize("key", ["ours", "ed"])
@pytest.mark.parametrize("form", ["tag", "referrer", "bundle"])
def test_a_signature_beside_a_manifest_is_found_and_verified_without_the_registry(
    project: Path, server: OciServer, repository: str, keys: Path, key: str, form: str,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    digest = push(server, repository, project, "one")
    put_simple(server, repository, keys, "theirs", digest) if form != "tag" else None
    if form == "tag":
        put_simple(server, repository, keys, key, digest)
    elif form == "referrer":
        kind = "application/vnd.dev.cosign.artifact.sig.v1+json"
        refer(server, repository, digest, put_simple(server, repository, keys, key, digest, tag="other"), kind)
    else:
        put_bundle(server, repository, keys, key, digest)
    declare(project, keys, f"oci://{server.host}/{repository}:v1", key)
    assert run(project, "lock") == 0
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    code, _, plan = found_in(project, capsys)
    assert code == 0
    [found] = plan["signatures"]
    assert (found["form"], found["digest"], found["problem"]) == ("cosign", digest, "")


def test_a_manifest_without_a_signature_of_this_key_or_with_one_of_other_content_is_refused(
    project: Path, server: OciServer, repository: str, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = push(server, repository, project, "one")
    place = f"oci://{server.host}/{repository}"
    declare(project, keys, f"{place}:v1")
    assert run(project, "lock") == 0
    refused(project, capsys, f"a0@1: {place} ({first[:19]}…) has no signature.", "rollcast lock --update a0")
    put_simple(server, repository, keys, "theirs", first)
    assert run(project, "lock", "--update", "a0") == 0
    refused(project, capsys, f"{place} ({first[:19]}…) is signed by another key than keys/ours.pub.")
    put_simple(server, repository, keys, "ours", first)
    assert run(project, "lock") == 0
    assert run(project, "plan") == 0
    second = push(server, repository, project, "two")
    put_simple(server, repository, keys, "ours", second, of=first)
    assert run(project, "lock") == 0
    refused(project, capsys, f"what keys/ours.pub signed is not what {place} ({second[:19]}…) holds")
