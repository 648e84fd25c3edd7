"""S3: a version is content, and a bucket without versions has what was locked or nothing."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import boto3
import pytest

from rollcast.planner.declaration.models import SourcePin
from rollcast.stacks.artifacts import cache
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.registries.s3 import S3Registry
from rollcast.stacks.registries.s3_upload import upload
from rollcast.stacks.registries.sources import Registry, source_mistake
from rollcast.testing.registries import RegistryConformance
from tests.registries.locking import content, declare, locked, run
from tests.registries.s3_server import s3_server
from tests.registries.web import Handler, Web

_NUMBERS = count()
AWS = {"AWS_ACCESS_KEY_ID": "AKIATESTS", "AWS_SECRET_ACCESS_KEY": "s3cret-of-the-tests", "AWS_REGION": "us-east-1"}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture(scope="module")
def client(address: str) -> Any:
    """boto3's own."""
    keys = {"aws_access_key_id": AWS["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": AWS["AWS_SECRET_ACCESS_KEY"]}
    return boto3.session.Session().client("s3", endpoint_url=address, region_name="us-east-1", **keys)


@pytest.fixture
def s3(address: str, client: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client, and the environment that the product finds the same server by."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {**AWS, "AWS_ENDPOINT_URL": address, "AWS_CONFIG_FILE": "/nonexistent"}.items():
        monkeypatch.setenv(name, value)
    return client


def bucket(s3: Any, *, versions: bool) -> str:
    name = f"tests-{next(_NUMBERS)}"
    s3.create_bucket(Bucket=name)
    if versions:
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


def put(s3: Any, name: str, key: str, text: str, **more: str) -> str:
    """The version of an object that was put; 'null' without."""
    return str(s3.put_object(Bucket=name, Key=key, Body=text.encode(), **more).get("VersionId", "null"))


class _Conformance(RegistryConformance):
    mistaken = "//bucket"
    versions, key, checksum = True, "prompts/answer.txt", ""

    @pytest.fixture(autouse=True)
    def _bucket(self, s3: Any) -> None:
        self.s3, self.bucket = s3, bucket(s3, versions=self.versions)
        self.absent = f"//{self.bucket}/absent"

    def make(self) -> Registry:
        return S3Registry()

    def put(self, project: Path, text: str) -> str:
        put(self.s3, self.bucket, "prompts/answer.txt", text, **self.more())
        return f"//{self.bucket}/{self.key}"

    def more(self) -> dict[str, str]:
        return {"ChecksumAlgorithm": self.checksum} if self.checksum else {}


class TestVersioned(_Conformance):
    pass


class TestVersionedWithChecksum(_Conformance):
    checksum = "SHA256"


class TestUnversioned(_Conformance):
    versions = False


class TestPrefix(_Conformance):
    key = "prompts/"


class TestUnversionedPrefix(_Conformance):
    versions, key = False, "prompts/"


LISTING = f"listing=sha256:{'0' * 64}&at=2026-11-27T01:02:03.000Z"


@pytest.mark.parametrize(
    ("rest", "right"),
    [
        ("//bucket/key", True),
        ("//bucket/deep/key%3F%23.txt", True),
        ("//bucket/key?versionId=a.B_c-1", True),
        ("//bucket/prefix/", True),
        (f"//bucket/prefix/#{LISTING}", True),
        ("//bucket/key#etag=0a1b-2", True),
        ("//bucket", False),
        ("//bucket/", False),
        ("//Bucket/key", False),
        ("//key:secret@bucket/key", False),
        ("//bucket/key?versionId=", False),
        ("//bucket/key?other=1", False),
        ("//bucket/prefix/?versionId=a", False),
        (f"//bucket/key#{LISTING}", False),
        ("//bucket/key#main", False),
    ],
)
def test_a_source_names_a_bucket_and_an_object_or_a_prefix(rest: str, right: bool) -> None:
    assert (S3Registry().mistake(rest) == "") == right


# ---- objects ------------------------------------------------------------------------------------


def test_an_object_that_is_overwritten_is_shown_and_its_old_version_is_still_used(
    project: Path, s3: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    name = bucket(s3, versions=True)
    first = put(s3, name, "a/answer.txt", "one")
    declare(project, f"s3://{name}/a/answer.txt")
    assert run(project, "lock") == 0
    assert locked(project)["identity"] == f"s3://{name}/a/answer.txt?versionId={first}"
    put(s3, name, "a/answer.txt", "two")
    for entry in cache.entries():
        assert run(project, "cache", "prune", "--unused-days", "0") == 0, entry
    assert cache.entries() == []
    assert content(project) == {"answer.txt": b"one"}
    capsys.readouterr()
    assert run(project, "lock", "--check") == 1
    assert "a0@1: sha256:" in capsys.readouterr().err
    assert run(project, "lock") == 0
    assert ", pushed " in capsys.readouterr().out
    assert content(project) == {"answer.txt": b"two"}


def test_a_version_may_be_named_and_a_checksum_of_all_of_it_is_its_digest(project: Path, s3: Any) -> None:
    name = bucket(s3, versions=True)
    first = put(s3, name, "answer.txt", "one", ChecksumAlgorithm="SHA256")
    put(s3, name, "answer.txt", "two", ChecksumAlgorithm="SHA256")
    declare(project, f"s3://{name}/answer.txt?versionId={first}", f"s3://{name}/answer.txt")
    assert run(project, "lock") == 0
    assert locked(project) == {
        "identity": f"s3://{name}/answer.txt?versionId={first}", "covers": "manifest", "size": 3,
        "digest": f"sha256:{hashlib.sha256(b'one').hexdigest()}",
    }  # fmt: skip
    assert cache.entries() == [], "nothing is fetched to lock what S3 states the digest of"
    assert content(project) == {"answer.txt": b"one"}
    assert content(project, "a1@1") == {"answer.txt": b"two"}


@pytest.mark.parametrize("checksum", [{}, {"ChecksumAlgorithm": "SHA256"}])
def test_without_versions_what_was_overwritten_is_refused(project: Path, s3: Any, checksum: dict[str, str]) -> None:
    name = bucket(s3, versions=False)
    put(s3, name, "answer.txt", "one", **checksum)
    declare(project, f"s3://{name}/answer.txt")
    assert run(project, "lock") == 0
    put(s3, name, "answer.txt", "two", **checksum)
    run(project, "cache", "prune", "--unused-days", "0")
    with pytest.raises(StackError, match="was overwritten since it was locked"):
        content(project)
    assert cache.entries() == []
    assert run(project, "lock") == 0
    assert content(project) == {"answer.txt": b"two"}


def test_an_object_in_parts_is_digested_when_it_is_locked(project: Path, s3: Any) -> None:
    name, size = bucket(s3, versions=True), 5 * 1024 * 1024
    begun = s3.create_multipart_upload(Bucket=name, Key="w.bin", ChecksumAlgorithm="SHA256")["UploadId"]
    about = {"Bucket": name, "Key": "w.bin", "UploadId": begun}
    parts = [
        s3.upload_part(**about, PartNumber=number, Body=bytes([number]) * size, ChecksumAlgorithm="SHA256")
        for number in (1, 2)
    ]
    listed = [{"PartNumber": number, "ETag": part["ETag"]} for number, part in enumerate(parts, 1)]
    s3.complete_multipart_upload(**about, MultipartUpload={"Parts": listed})
    declare(project, f"s3://{name}/w.bin")
    assert run(project, "lock") == 0
    assert locked(project)["covers"] == "files"
    assert content(project) == {"w.bin": b"\1" * size + b"\2" * size}


def test_a_key_is_any_text(project: Path, s3: Any) -> None:
    name = bucket(s3, versions=False)
    put(s3, name, "is it?/100%#1 ä.txt", "one")
    declare(project, f"s3://{name}/is%20it%3F/100%25%231%20%C3%A4.txt")
    assert run(project, "lock") == 0
    assert content(project) == {"100%#1 ä.txt": b"one"}


# ---- prefixes -----------------------------------------------------------------------------------


def test_what_is_below_a_prefix_stays_what_it_was(project: Path, s3: Any) -> None:
    name = bucket(s3, versions=True)
    for key in ("p/a.txt", "p/deep/b.txt", "p/gone.txt", "p/", "q/c.txt"):
        put(s3, name, key, key)
    s3.delete_object(Bucket=name, Key="p/gone.txt")
    declare(project, f"s3://{name}/p/")
    assert run(project, "lock") == 0
    before = {"a.txt": b"p/a.txt", "deep/b.txt": b"p/deep/b.txt"}
    assert content(project) == before
    time.sleep(1.1)  # a moment is a second to S3
    put(s3, name, "p/a.txt", "other")
    put(s3, name, "p/new.txt", "new")
    s3.delete_object(Bucket=name, Key="p/deep/b.txt")
    run(project, "cache", "prune", "--unused-days", "0")
    (project / ".rollcast" / "artifacts").rename(project / "old")
    assert content(project) == before
    assert run(project, "lock", "--check") == 1
    assert run(project, "lock") == 0
    assert content(project) == {"a.txt": b"other", "new.txt": b"new"}


def test_a_prefix_without_versions_that_has_changed_is_refused(project: Path, s3: Any) -> None:
    name = bucket(s3, versions=False)
    put(s3, name, "p/a.txt", "one")
    declare(project, f"s3://{name}/p/")
    assert run(project, "lock") == 0
    put(s3, name, "p/b.txt", "two")
    put(s3, name, "p/a.txt", "two")
    run(project, "cache", "prune", "--unused-days", "0")
    with pytest.raises(StackError, match="was changed since it was locked"):
        content(project)
    assert cache.entries() == []


@pytest.mark.parametrize("key", ["p/../../a.txt", "p//etc/a.txt"])
def test_a_key_that_leads_out_of_its_folder_is_refused(project: Path, s3: Any, key: str) -> None:
    name = bucket(s3, versions=True)
    put(s3, name, key, "one")
    declare(project, f"s3://{name}/p/")
    assert run(project, "lock") == 1
    assert cache.entries() == []


# ---- what goes wrong ----------------------------------------------------------------------------


def test_what_is_absent_is_said_for_each_and_nothing_is_written(
    project: Path, s3: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    name = bucket(s3, versions=True)
    version = put(s3, name, "gone", "one")
    s3.delete_object(Bucket=name, Key="gone", VersionId=version)
    declare(
        project, f"s3://{name}/absent", f"s3://{name}/gone?versionId={version}", f"s3://{name}/absent/",
        "s3://no-such-bucket-here/prefix/",
    )  # fmt: skip
    assert run(project, "lock") == 1
    said = capsys.readouterr().err
    for line, text in {4: "it isn't there", 5: "isn't there", 6: "no object below it", 7: "no such bucket"}.items():
        assert any(f"rollcast.yaml:{line}:" in each and text in each for each in said.splitlines()), said
    assert not (project / "rollcast.lock").exists()


def test_an_address_where_nothing_listens_and_no_credentials_are_said(
    project: Path, s3: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    declare(project, "s3://bucket/key")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert run(project, "lock") == 1
    assert "http://127.0.0.1:1/bucket/key can't be reached" in capsys.readouterr().err
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    assert run(project, "lock") == 1
    assert "there are no credentials. Set AWS_PROFILE" in capsys.readouterr().err
    monkeypatch.setenv("AWS_PROFILE", "absent")
    assert run(project, "lock") == 1
    assert "absent" in capsys.readouterr().err


def test_a_refusal_says_where_credentials_go_and_shows_none(
    project: Path, s3: Any, web: Web, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", web.address)
    web.files["/bucket/key"] = b""
    web.misbehaving["/bucket/key"] = lambda handler, body: handler.answer(403, b"")
    declare(project, "s3://bucket/key")
    assert run(project, "lock") == 1
    said = capsys.readouterr().err
    assert "access is refused (403)" in said
    assert "~/.aws/credentials" in said
    assert AWS["AWS_SECRET_ACCESS_KEY"] not in said


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_download_that_breaks_off_goes_on_where_it_was(
    project: Path, s3: Any, web: Web, monkeypatch: pytest.MonkeyPatch, goes_on: bool
) -> None:
    """A server that speaks S3 and breaks off once; one that knows no ranges sends all again."""
    body = os.urandom(3_000_000)
    about = {"etag": '"e1"', "last-modified": "Fri, 27 Nov 2026 01:00:00 GMT"}
    ranges: list[str] = []

    def half(handler: Handler, body: bytes) -> None:
        if handler.command == "HEAD":
            handler.answer(200, body, about)
            return
        ranges.append(handler.headers.get("range", ""))
        said = ranges[-1] if goes_on else ""
        begin = int(said.removeprefix("bytes=").rstrip("-") or 0)
        assert handler.headers["if-match"] == '"e1"'
        handler.send_response(206 if said else 200)
        where = {"content-range": f"bytes {begin}-{len(body) - 1}/{len(body)}"} if said else {}
        for name, value in {**about, **where, "content-length": str(len(body) - begin)}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body[begin:] if len(ranges) > 1 else body[: len(body) // 2])
        handler.close_connection = True

    web.files["/bucket/w.bin"] = body
    web.misbehaving["/bucket/w.bin"] = half
    monkeypatch.setenv("AWS_ENDPOINT_URL", web.address)
    declare(project, "s3://bucket/w.bin")
    assert run(project, "lock") == 0
    assert hashlib.sha256(content(project)["w.bin"]).hexdigest() == hashlib.sha256(body).hexdigest()
    assert ranges[0] == ""
    assert int(ranges[1].removeprefix("bytes=").rstrip("-")) > 1_000_000


def test_content_of_another_digest_is_refused(project: Path, s3: Any) -> None:
    name = bucket(s3, versions=True)
    version = put(s3, name, "answer.txt", "one")
    wrong = f"sha256:{'1' * 64}"
    pin = SourcePin(identity=f"s3://{name}/answer.txt?versionId={version}", digest=wrong, covers="manifest", size=3)
    with pytest.raises(StackError, match="has the digest"), cache.content_of(pin, "a0@1"):
        pass
    assert cache.entries() == []


def test_no_credentials_are_in_the_lock_or_the_cache(project: Path, s3: Any) -> None:
    name = bucket(s3, versions=True)
    put(s3, name, "answer.txt", "one")
    declare(project, f"s3://{name}/answer.txt")
    assert run(project, "lock") == 0
    content(project)
    for folder in (project, Path(os.environ["ROLLCAST_CACHE"])):
        for path in folder.rglob("*"):
            held = path.read_bytes() if path.is_file() else b""
            assert AWS["AWS_SECRET_ACCESS_KEY"].encode() not in held
            assert AWS["AWS_ACCESS_KEY_ID"].encode() not in held


def test_without_boto3_the_extra_that_brings_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("rollcast.stacks.registries.s3")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "boto3", None)
    said = source_mistake("s3://bucket/key")
    assert "can't be imported" in said
    assert "[s3]'" in said


@pytest.mark.parametrize("versions", [True, False])
def test_a_recording_is_a_new_version_that_locks_to_its_content_and_overwrites_nothing(
    s3: Any, versions: bool, tmp_path: Path
) -> None:
    name = bucket(s3, versions=versions)
    file = tmp_path / "requests.jsonl"
    file.write_text('{"time": 1}\n')
    source = upload(file, f"s3://{name}/production/2026 11.jsonl")
    assert ("?versionId=" in source) is versions
    assert source_mistake(source) == ""
    declare(tmp_path, source)
    assert run(tmp_path, "lock") == 0
    assert content(tmp_path) == {"2026 11.jsonl": b'{"time": 1}\n'}
    file.write_text("another\n")
    with pytest.raises(StackError, match="something is there already"):
        upload(file, f"s3://{name}/production/2026 11.jsonl")
    assert s3.get_object(Bucket=name, Key="production/2026 11.jsonl")["Body"].read() == b'{"time": 1}\n'


@pytest.mark.parametrize("url", ["s3://bucket", "s3://bucket/", "s3:///key", "https://h/k", "s3://b/k?versionId=1"])
def test_a_place_that_is_none_is_refused_before_anything_is_sent(url: str, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    with pytest.raises(StackError, match="Write s3://BUCKET/KEY"):
        upload(tmp_path / "f", url)


def test_a_bucket_that_is_not_there_is_one_clear_error(s3: Any, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    with pytest.raises(StackError, match="no such bucket"):
        upload(tmp_path / "f", "s3://nobody-has-this/key")
