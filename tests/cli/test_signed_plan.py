"""A signed plan is carried out as its signer saved it, where the policies trust the signer; or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcast.cli.inputs.guardrails import blocking, judged_again
from rollcast.cli.inputs.plans import read_plan
from rollcast.cli.inputs.saved import sealed
from rollcast.cli.main import main
from rollcast.stacks.base.errors import StaleError
from rollcast.stacks.base.keys import private_key
from rollcast.stacks.project import Project
from tests.cli.test_saved_plan import EXAMPLE, changed, leaves

pytest.importorskip("cryptography")


class Signed(NamedTuple):
    """A project that trusts one key, its plan signed by that, and the files of two keys."""

    project: Path
    plan: Path
    ours: Path
    theirs: Path


@contextmanager
def key_of(value: str) -> Iterator[None]:
    os.environ["ROLLCAST_SIGNING_KEY"] = value
    try:
        yield
    finally:
        del os.environ["ROLLCAST_SIGNING_KEY"]


def new_key(file: Path) -> str:
    """Writes a private key; the digest of its public half."""
    from cryptography.hazmat.primitives import serialization as forms
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    file.write_bytes(key.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.NoEncryption()))
    public = key.public_key().public_bytes(forms.Encoding.DER, forms.PublicFormat.SubjectPublicKeyInfo)
    return sha256(public).hexdigest()


def plan_into(signed: Signed, file: Path, key: Path) -> None:
    with key_of(str(key)):
        assert main(["-C", str(signed.project), "plan", "--from", "released.yaml", "--out", str(file), "--sign"]) == 0


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Signed:
    folder = tmp_path_factory.mktemp("signed")
    project = shutil.copytree(EXAMPLE, folder / "project", ignore=shutil.ignore_patterns(".rollcast"))
    made = Signed(project, folder / "plan.json", folder / "ours.pem", folder / "theirs.pem")
    trusted, _ = new_key(made.ours), new_key(made.theirs)
    (project / "policies").mkdir(exist_ok=True)
    (project / "policies" / "release.py").write_text(
        f"from rollcast.policies.library import require_signed_plans\n\nrequire_signed_plans(keys=['{trusted}'])\n",
        "utf-8",
    )
    plan_into(made, made.plan, made.ours)
    return made


def blocks(signed: Signed, file: Path) -> list[str]:
    """What of the guardrail would hold up `apply` of a saved plan."""
    found = judged_again(Project.open(signed.project), read_plan(file, approved=True))
    return [one.message for one in blocking(found, "apply") if one.policy == "require-signed-plans"]


@given(data=st.data())
def test_whatever_is_edited_in_a_signed_plan_is_seen_though_its_digest_is_right(
    signed: Signed, data: st.DataObject
) -> None:
    document = json.loads(signed.plan.read_text("utf-8"))
    place = data.draw(st.sampled_from([place for place in leaves(document) if place[0] != "file_digest"]))
    old: Any = document
    for key in place:
        old = old[key]
    new = data.draw(st.sampled_from([100.0, 0, "", "x", None, [], {}]).filter(lambda value: value != old))
    edited = signed.plan.with_name("edited.json")
    forged = changed(document, place, new)
    edited.write_text(json.dumps({**sealed(forged), "file_signature": forged["file_signature"]}), "utf-8")
    with pytest.raises(StaleError, match=r"edited\.json (is not signed|lacks its signature)"):
        read_plan(edited, approved=data.draw(st.booleans()))


def test_a_plan_of_a_trusted_key_may_go_on(signed: Signed, capsys: pytest.CaptureFixture[str]) -> None:
    trusted = sha256_of(signed.ours)
    assert blocks(signed, signed.plan) == []
    assert read_plan(signed.plan).signed_by == trusted
    plan_into(signed, signed.plan.with_name("again.json"), signed.ours)
    assert f"signed by key {trusted}" in capsys.readouterr().err


def test_a_plan_signed_by_somebody_else_is_held_up(signed: Signed) -> None:
    theirs = signed.plan.with_name("theirs.json")
    document = json.loads(signed.plan.read_text("utf-8"))
    document["signed_by"] = sha256_of(signed.theirs)
    theirs.write_text(json.dumps(sealed(document, private_key(signed.theirs))), "utf-8")
    assert blocks(signed, theirs) == [
        f"The plan is signed by key {sha256_of(signed.theirs)[:12]}, which is not trusted. "
        f"Have it signed by {sha256_of(signed.ours)[:12]}."
    ]


def test_a_plan_of_nobody_is_shown_and_not_carried_out(signed: Signed, capsys: pytest.CaptureFixture[str]) -> None:
    unsigned = signed.plan.with_name("unsigned.json")
    words = ["-C", str(signed.project), "plan", "--from", "released.yaml"]
    assert main([*words, "--out", str(unsigned)]) == 0, "it is held up where it would be carried out"
    [why] = blocks(signed, unsigned)
    assert "nobody signed this plan" in why
    capsys.readouterr()
    document = json.loads(unsigned.read_text("utf-8"))
    unsigned.write_text(json.dumps(sealed({**document, "signed_by": sha256_of(signed.ours)})), "utf-8")
    with pytest.raises(StaleError, match="lacks its signature"):
        read_plan(unsigned, approved=True)


def test_a_key_is_given_as_its_text_or_its_path_and_never_shown(
    signed: Signed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["-C", str(signed.project), "plan", "--from", "released.yaml", "--out", str(tmp_path / "p.json"), "--sign"]
    text = signed.ours.read_text("utf-8")
    with key_of(text):
        assert main(words) == 0
    assert blocks(signed, tmp_path / "p.json") == []
    damaged = ["secret\n" + text, text[:80] + "\n-----END PRIVATE KEY-----", "no/such/file"]
    capsys.readouterr()
    for value in damaged:
        with key_of(value):
            assert main(words) == 1
        said = capsys.readouterr().err
        assert "private key" in said
        assert text.splitlines()[1][:20] not in said
    assert main(words) == 1
    assert "set ROLLCAST_SIGNING_KEY" in capsys.readouterr().err
    assert main(["-C", str(signed.project), "plan", "--sign"]) == 1
    assert "Name the file" in capsys.readouterr().err


@pytest.mark.parametrize("keys", ["[]", "['keys/ours.pub']", "['12ab']"])
def test_what_is_no_key_to_trust_is_refused(
    signed: Signed, tmp_path: Path, keys: str, capsys: pytest.CaptureFixture[str]
) -> None:
    project = shutil.copytree(signed.project, tmp_path / "project")
    (project / "policies" / "release.py").write_text(
        f"from rollcast.policies.library import require_signed_plans\n\nrequire_signed_plans(keys={keys})\n", "utf-8"
    )
    assert main(["-C", str(project), "plan", "--from", "released.yaml"]) != 0
    assert "64 hexadecimal digits" in capsys.readouterr().err


def sha256_of(file: Path) -> str:
    from rollcast.stacks.base.keys import key_id

    return key_id(private_key(file).public_key())
