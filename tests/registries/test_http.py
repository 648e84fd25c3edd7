"""Files on a web server: by the digest that their source demands, or not at all."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from rollcast.stacks.artifacts import cache
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.registries.http import HttpRegistry
from rollcast.stacks.registries.sources import Registry
from rollcast.testing.registries import RegistryConformance
from tests.registries import web as behaviours
from tests.registries.locking import content, declare, locked, run
from tests.registries.web import Misbehaviour, Web


def source(web: Web, path: str, body: bytes) -> str:
    web.files[path] = body
    return f"{web.address}{path}#sha256={hashlib.sha256(body).hexdigest()}"


class TestHttp(RegistryConformance):
    mistaken = "//host/file"
    demands_digest = True

    @pytest.fixture(autouse=True)
    def _served(self, web: Web) -> None:
        self.web = web
        self.absent = f"{web.address.removeprefix('http:')}/absent#sha256={'0' * 64}"

    def make(self) -> Registry:
        return HttpRegistry()

    def put(self, project: Path, text: str) -> str:
        return source(self.web, "/prompt.txt", text.encode()).removeprefix("http:")


@pytest.mark.parametrize(
    "rest", ["//host/f", "//host/f#sha256=12", "host/f#sha256=" + "0" * 64, "//u:p@host/f#sha256=" + "0" * 64]
)
def test_a_source_without_a_digest_or_with_a_password_is_refused(rest: str) -> None:
    assert HttpRegistry().mistake(rest)


def test_what_is_locked_is_what_is_used(project: Path, web: Web) -> None:
    declare(project, source(web, "/answer.txt", b"answer"))
    assert run(project, "lock") == 0
    assert locked(project)["digest"] == f"sha256:{hashlib.sha256(b'answer').hexdigest()}"
    assert content(project) == {"answer.txt": b"answer"}


def test_offline_everything_that_is_locked_and_cached_works(project: Path, tmp_path: Path) -> None:
    with Web() as running:
        declare(project, source(running, "/answer.txt", b"answer"))
        assert run(project, "lock") == 0
        content(project)
    (tmp_path / "other").mkdir()
    for name in ("rollcast.yaml", "rollcast.lock"):
        (tmp_path / "other" / name).write_text((project / name).read_text("utf-8"), "utf-8")
    assert run(tmp_path / "other", "lock", "--check", "--offline") == 0
    assert run(tmp_path / "other", "plan") in (0, 3)
    assert content(tmp_path / "other") == {"answer.txt": b"answer"}


def test_what_is_not_locked_is_never_used(project: Path, web: Web, capsys: pytest.CaptureFixture[str]) -> None:
    declare(project, source(web, "/answer.txt", b"answer"))
    assert run(project, "plan") == 1
    assert "is not locked. Run 'rollcast lock'" in capsys.readouterr().err
    assert run(project, "lock") == 0
    declare(project, source(web, "/other.txt", b"other"))
    assert run(project, "plan") == 1, "the lock is of another source"


def test_a_download_goes_on_where_it_was_broken_off(project: Path, web: Web) -> None:
    body = bytes(range(256)) * 40_000
    declare(project, source(web, "/weights.bin", body))
    assert run(project, "lock") == 0
    broken = [0]

    def half_then_all(handler: behaviours.Handler, body: bytes) -> None:
        broken[0] += 1
        web.misbehaving.pop("/weights.bin")
        behaviours.truncated(handler, body)

    web.misbehaving["/weights.bin"] = half_then_all
    assert content(project) == {"weights.bin": body}
    assert broken == [1]
    ranges = [said for method, _, said in web.seen if method == "GET"]
    assert ranges[0] == ""
    assert int(ranges[1].removeprefix("bytes=").rstrip("-")) > 0, "the second half alone is requested"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (behaviours.swapped, "has the digest"),
        (behaviours.html, "more than the 6 bytes"),
        (behaviours.failing, "answered 500"),
        (behaviours.truncated, "broke off"),
        (behaviours.endless, "more than the 6 bytes"),
    ],
)
def test_what_a_server_does_wrong_is_said_and_nothing_is_left(
    project: Path, web: Web, wrong: Misbehaviour, said: str
) -> None:
    declare(project, source(web, "/answer.txt", b"answer"))
    assert run(project, "lock") == 0
    web.misbehaving["/answer.txt"] = wrong
    with pytest.raises(StackError, match=said):
        content(project)
    assert cache.entries() == []
    del web.misbehaving["/answer.txt"]
    assert content(project) == {"answer.txt": b"answer"}, "it goes on as soon as the server is right"


def test_credentials_are_those_of_netrc_for_their_host_alone(
    project: Path, web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    def guarded(handler: behaviours.Handler, body: bytes) -> None:
        seen.append(handler.headers.get("authorization", ""))
        handler.answer(200 if seen[-1] else 401, body if seen[-1] else b"who are you")

    declare(project, source(web, "/answer.txt", b"answer"))
    web.misbehaving["/answer.txt"] = guarded
    for host, code in (("elsewhere.example", 1), ("127.0.0.1", 0)):
        (tmp_path / "netrc").write_text(f"machine {host} login ada password secret\n", "utf-8")
        assert run(project, "lock") == code
    assert seen[0] == ""
    assert seen[-1].startswith("Basic ")
    assert "secret" not in (project / "rollcast.lock").read_text("utf-8")


def test_a_limit_holds_where_nobody_states_a_size(project: Path, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLCAST_MAX_BYTES", "1000")
    declare(project, source(web, "/big.bin", b"x" * 1001))
    assert run(project, "lock") == 0
    with pytest.raises(StackError, match="ROLLCAST_MAX_BYTES"):
        content(project)
    monkeypatch.setenv("ROLLCAST_MAX_BYTES", "many")
    with pytest.raises(StackError, match="no number above zero"):
        content(project)


# ---- archives -----------------------------------------------------------------------------------


def tar(name: str = "a.txt", body: bytes = b"a", **about: object) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(body)
        for key, value in about.items():
            setattr(member, key, value)
        archive.addfile(member, io.BytesIO(body))
    return packed.getvalue()


def zipped(name: str = "a.txt", body: bytes = b"a", link: bool = False) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        member = zipfile.ZipInfo(name)
        member.external_attr = (0o120777 if link else 0o100644) << 16
        member.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(member, body)
    return packed.getvalue()


@pytest.mark.parametrize("make", [tar, zipped])
def test_an_archive_becomes_its_files(project: Path, web: Web, make: Callable[..., bytes]) -> None:
    declare(project, source(web, "/all.packed", make("deep/a.txt", b"text")) + "&unpack")
    assert run(project, "lock") == 0
    assert content(project) == {"deep/a.txt": b"text"}


@pytest.mark.parametrize(
    ("packed", "said"),
    [
        (tar("../a.txt"), "leads out of its folder"),
        (tar("/etc/a.txt"), "leads out of its folder"),
        (zipped("../a.txt"), "leads out of its folder"),
        (tar(type=tarfile.SYMTYPE, linkname="/etc/passwd"), "a link to /etc/passwd"),
        (tar(type=tarfile.LNKTYPE, linkname="b.txt"), "a link to b.txt"),
        (zipped(link=True), "a link"),
        (tar(type=tarfile.FIFOTYPE), "no file and no folder"),
        (tar(body=bytes(70_000_000)), "ROLLCAST_MAX_EXPANSION"),
        (zipped(body=bytes(70_000_000)), "ROLLCAST_MAX_EXPANSION"),
        (tar()[:30], "no archive that can be read"),
        (b"text", "no archive that can be read"),
    ],
    ids=range(11),
)
def test_an_archive_that_could_do_harm_is_refused_by_name_and_nothing_is_left(
    project: Path, web: Web, packed: bytes, said: str
) -> None:
    declare(project, source(web, "/all.packed", packed) + "&unpack")
    assert run(project, "lock") == 0
    with pytest.raises(StackError, match=said):
        content(project)
    assert not [
        path for path in cache.root().rglob("*") if path.is_file() and not path.name.endswith((".lock", ".part"))
    ]
