"""Who may read an OCI registry: credentials are Docker's, and reach the registry that they belong to alone."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.registries.oci_distribution.credentials import credentials_of
from rollcast.stacks.registries.oci_distribution.references import is_near
from tests.registries.locking import content, declare, run
from tests.registries.oci_server import MANIFEST, OciServer, oci_server
from tests.registries.test_oci import push
from tests.registries.token_server import TokenServer
from tests.registries.web import Handler, Misbehaviour, Web

USER, PASSWORD = "reader", "pass-wörd:of-the-tests"
BASIC = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OciServer]:
    """A registry that wants a password."""
    with oci_server(tmp_path_factory.mktemp("closed"), USER, PASSWORD) as running:
        yield running


@pytest.fixture(autouse=True)
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for Docker's configuration, and nobody's own."""
    folder = tmp_path / "docker"
    folder.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    return folder


def login(docker: Path, host: str, basic: str = BASIC, **more: object) -> None:
    (docker / "config.json").write_text(json.dumps({"auths": {host: {"auth": basic}}, **more}), "utf-8")


def helper(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A credential helper `docker-credential-tests` on PATH."""
    program = folder / "docker-credential-tests"
    program.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def is_nowhere(secret: str, *folders: Path) -> bool:
    return not [
        path
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and secret.encode() in path.read_bytes()
    ]


# ---- a password ---------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["{}", "https://{}", "http://{}/v2/"])
def test_what_docker_login_wrote_opens_a_registry_and_is_nowhere_else(
    project: Path, docker: Path, closed: OciServer, key: str, caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    push(closed, "prompts:v1", project, "one")
    login(docker, key.format(closed.host))
    declare(project, f"oci://{closed.host}/prompts:v1")
    caplog.clear()
    assert run(project, "lock") == 0
    assert content(project) == {"answer.txt": b"one"}
    said = caplog.text + "".join(capsys.readouterr())
    for secret in (PASSWORD, BASIC):
        assert secret not in said
        assert is_nowhere(secret, project, Path(os.environ["ROLLCAST_CACHE"]))


@pytest.mark.parametrize("basic", ["", base64.b64encode(b"reader:wrong").decode()])
def test_a_refusal_names_where_credentials_go(
    project: Path, docker: Path, closed: OciServer, basic: str, capsys: pytest.CaptureFixture[str]
) -> None:
    push(closed, "prompts:v1", project, "one")
    if basic:
        login(docker, closed.host, basic)
    declare(project, f"oci://{closed.host}/prompts:v1")
    assert run(project, "lock") == 1
    said = capsys.readouterr().err
    assert f"{closed.host} wants credentials" in said
    assert f"'docker login {closed.host}', which writes them to {docker / 'config.json'}" in said
    assert "wrong" not in said


def test_a_credential_helper_is_asked_for_this_registry_alone(
    project: Path, docker: Path, tmp_path: Path, closed: OciServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(closed, "prompts:v1", project, "one")
    answer = json.dumps({"ServerURL": closed.host, "Username": USER, "Secret": PASSWORD})
    helper(tmp_path, monkeypatch, f"cat >> {tmp_path}/asked; echo '{answer}'")
    login(docker, "elsewhere", credHelpers={closed.host: "tests"})
    declare(project, f"oci://{closed.host}/prompts:v1")
    assert run(project, "lock") == 0
    assert (tmp_path / "asked").read_text("utf-8") == closed.host


def test_a_helper_that_knows_nothing_leaves_it_to_the_file(
    docker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper(tmp_path, monkeypatch, "echo 'credentials not found in native keychain'; exit 1")
    login(docker, "host", credsStore="tests")
    found = credentials_of("host")
    assert found is not None
    assert (found.user, found.password) == (USER, PASSWORD)
    assert PASSWORD not in repr(found)
    assert credentials_of("other") is None


@pytest.mark.parametrize(
    ("script", "said"),
    [("echo s3cret; exit 3", "failed for 'host' \\(exit code 3\\)"), ("echo s3cret", "gave no user and secret")],
)
def test_a_helper_that_fails_is_named_and_what_it_wrote_is_not_shown(
    docker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    helper(tmp_path, monkeypatch, script)
    login(docker, "host", credsStore="tests")
    with pytest.raises(StackError, match=said) as caught:
        credentials_of("host")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "can't be read as JSON"),
        ("[]", "no object of JSON"),
        ('{"auths": {"host": {"auth": "s3cret!"}}}', "is no base64"),
        ('{"credsStore": "../evil"}', "is no name"),
        ('{"credsStore": "absent-of-all"}', "not on PATH"),
    ],
)
def test_a_configuration_that_can_not_be_used_is_named(docker: Path, text: str, said: str) -> None:
    (docker / "config.json").write_text(text, "utf-8")
    with pytest.raises(StackError, match=said) as caught:
        credentials_of("host")
    assert "s3cret" not in str(caught.value)


def test_tokens_and_the_hub_are_found_as_docker_writes_them(docker: Path) -> None:
    entries = {
        "https://index.docker.io/v1/": {"auth": BASIC}, "a": {"identitytoken": "id", "auth": BASIC},
        "b": {"registrytoken": "bearer"}, "c": {},
    }  # fmt: skip
    (docker / "config.json").write_text(json.dumps({"auths": entries}), "utf-8")
    hub, refresh, bearer = (credentials_of(host) for host in ("docker.io", "a", "b"))
    assert hub is not None
    assert refresh is not None
    assert bearer is not None
    assert (hub.user, refresh.refresh, bearer.bearer) == (USER, "id", "bearer")
    assert credentials_of("c") is None


# ---- tokens -------------------------------------------------------------------------------------


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    with TokenServer(USER, PASSWORD) as running:
        yield running


def test_a_token_is_got_for_one_repository(project: Path, docker: Path, tmp_path: Path, tokens: TokenServer) -> None:
    """docker-registry verifies it."""
    (tmp_path / "open").mkdir()
    (tmp_path / "closed").mkdir()
    with oci_server(tmp_path / "open") as unlocked:
        push(unlocked, "prompts:v1", project, "one")
    (tmp_path / "open" / "storage").rename(tmp_path / "closed" / "storage")
    with oci_server(tmp_path / "closed", auth=tokens.auth(tmp_path)) as server:
        declare(project, f"oci://{server.host}/prompts:v1")
        assert run(project, "lock") == 1, "nobody is let in without a password"
        login(docker, server.host)
        assert run(project, "lock") == 0
        assert content(project) == {"answer.txt": b"one"}
        assert tokens.given[-1] == tokens.basic


def test_a_token_that_runs_out_is_replaced_in_the_middle_of_a_fetch(project: Path, docker: Path, web: Web) -> None:
    source, seen = serve(web, b"answer")
    [blob] = [path for path in web.files if "/blobs/" in path]
    web.files["/token"] = b'{"access_token": "first"}'

    def only(token: str, otherwise: Misbehaviour) -> Misbehaviour:
        def answer(handler: Handler, body: bytes) -> None:
            seen.append(handler.headers.get("authorization", ""))
            if seen[-1] == f"Bearer {token}":
                otherwise(handler, body)
                return
            web.files["/token"] = json.dumps({"token": token}).encode()
            where = f'Bearer realm="{web.address}/token",service="s",scope="repository:prompts:pull"'
            handler.answer(401, b"{}", {"www-authenticate": where})

        return answer

    for path, ordinary in list(web.misbehaving.items()):
        web.misbehaving[path] = only("first", ordinary)
    web.misbehaving[blob] = only("second", lambda handler, body: handler.answer(200, body))
    declare(project, source)
    assert run(project, "lock") == 0
    assert list(content(project).values()) == [b"answer"]
    assert seen[-2:] == ["Bearer first", "Bearer second"]
    assert "scope=repository%3Aprompts%3Apull" in next(path for _, path, _ in web.seen if path.startswith("/token"))


def test_a_token_server_is_given_nothing_over_plain_http_elsewhere(
    project: Path, docker: Path, web: Web, capsys: pytest.CaptureFixture[str]
) -> None:
    def challenge(handler: Handler, body: bytes) -> None:
        handler.answer(401, b"", {"www-authenticate": 'Bearer realm="http://tokens.example/token",service="s"'})

    host = web.address.removeprefix("http://")
    login(docker, host)
    web.files["/v2/prompts/manifests/v1"] = b""
    web.misbehaving["/v2/prompts/manifests/v1"] = challenge
    declare(project, f"oci://{host}/prompts:v1")
    assert run(project, "lock") == 1
    assert "names 'http://tokens.example/token' for its token server, and that is no https address" in (
        capsys.readouterr().err
    )


# ---- registries that do what they should not ----------------------------------------------------


def serve(web: Web, body: bytes, *, digest: str = "", guarded: bool = False) -> tuple[str, list[str]]:
    """A manifest of one layer, spoken as registries do; gives its source, and the authorizations that came with it."""
    layer = {"mediaType": "text/plain", "digest": f"sha256:{hashlib.sha256(body).hexdigest()}", "size": len(body)}
    said = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "layers": [layer]}).encode()
    seen: list[str] = []

    def manifest(handler: Handler, body: bytes) -> None:
        given = handler.headers.get("authorization", "")
        seen.append(given)
        if guarded and not given:
            handler.answer(401, b"", {"www-authenticate": 'Basic realm="r"'})
            return
        about = {"content-type": MANIFEST, **({"docker-content-digest": digest} if digest else {})}
        handler.answer(200, said, about)

    true = f"sha256:{hashlib.sha256(said).hexdigest()}"
    for name in ("v1", true):
        web.files[f"/v2/prompts/manifests/{name}"] = said
        web.misbehaving[f"/v2/prompts/manifests/{name}"] = manifest
    web.files[f"/v2/prompts/blobs/{layer['digest']}"] = body
    return f"oci://{web.address.removeprefix('http://')}/prompts:v1", seen


def test_credentials_are_not_sent_on_to_where_a_registry_redirects(project: Path, docker: Path, web: Web) -> None:
    with Web() as storage:
        given: list[str | None] = []

        def stored(handler: Handler, body: bytes) -> None:
            given.append(handler.headers.get("authorization"))
            handler.answer(200, body)

        source, seen = serve(web, b"answer", guarded=True)
        [blob] = [path for path in web.files if "/blobs/" in path]
        storage.files["/stored"] = b"answer"
        storage.misbehaving["/stored"] = stored
        login(docker, web.address.removeprefix("http://"))

        def redirect(handler: Handler, body: bytes) -> None:
            seen.append(handler.headers.get("authorization", ""))
            handler.answer(307, b"", {"location": f"{storage.address}/stored"})

        web.misbehaving[blob] = redirect
        declare(project, source)
        assert run(project, "lock") == 0
        assert list(content(project).values()) == [b"answer"]
        assert seen[-1] == f"Basic {BASIC}", "the registry itself gets them"
        assert given == [None]

        def demanding(handler: Handler, body: bytes) -> None:
            given.append(handler.headers.get("authorization"))
            handler.answer(401, b"", {"www-authenticate": f'Bearer realm="{storage.address}/token",service="s"'})

        storage.misbehaving["/stored"] = demanding
        source, _ = serve(web, b"other", guarded=True)
        [blob] = [path for path in web.files if path.endswith(hashlib.sha256(b"other").hexdigest())]
        web.misbehaving[blob] = redirect
        declare(project, source)
        assert run(project, "lock") == 0
        with pytest.raises(StackError, match="answered 401"):
            content(project)
        assert given == [None, None], "nor when it asks for them"
        assert not [path for _, path, _ in storage.seen if path.startswith("/token")], (
            "nor by a token server of its own"
        )


def test_a_registry_that_gives_other_content_is_refused(
    project: Path, web: Web, capsys: pytest.CaptureFixture[str]
) -> None:
    source, _ = serve(web, b"answer", digest=f"sha256:{'0' * 64}")
    declare(project, source)
    assert run(project, "lock") == 1
    assert "gave other content for" in capsys.readouterr().err
    source, _ = serve(web, b"answer")
    assert run(project, "lock") == 0
    pinned = json.loads((project / "rollcast.lock").read_text("utf-8"))["sources"]["a0@1"]["pin"]["digest"]
    path = f"/v2/prompts/manifests/{pinned}"
    del web.misbehaving[path]
    web.files[path] = web.files[path].replace(b"text/plain", b"text/other")
    with pytest.raises(StackError, match="gave other content for"):
        content(project)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b"<html>please log in</html>", "that is no JSON"),
        (200, b'{"schemaVersion": 1, "fsLayers": []}', "no manifest that can be read"),
        (200, b'{"layers": [], "manifests": []}', "no manifest that can be read"),
        (200, b'{"layers": [{"digest": "sha512:12", "size": 1}]}', "layers.0.digest"),
        (200, b'{"layers": [{"digest": "sha256:' + b"0" * 64 + b'", "size": -1}]}', "layers.0.size"),
        (200, b" " * 33_000_000, "more than 33.6 MB"),
        (403, b"{}", "refused access: it answered 403. Ask for the right to read there"),
        (418, b"{}", "answered 418"),
    ],
    ids=range(8),
)
def test_an_answer_that_can_not_be_used_is_one_clear_error(
    project: Path, web: Web, status: int, body: bytes, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = "/v2/prompts/manifests/v1"
    web.files[path] = body if len(body) < 1000 else body * 2
    web.misbehaving[path] = lambda handler, body: handler.answer(status, body, {"content-type": "text/html"})
    declare(project, f"oci://{web.address.removeprefix('http://')}/prompts:v1")
    assert run(project, "lock") == 1
    error = capsys.readouterr().err
    assert said in error
    assert "rollcast.yaml:4:" in error


def test_a_refusal_without_end_is_not_read(project: Path, docker: Path, web: Web) -> None:
    source, _ = serve(web, b"answer")
    ordinary = web.misbehaving["/v2/prompts/manifests/v1"]
    sent = [0]

    def refusing(handler: Handler, said: bytes) -> None:
        if handler.headers.get("authorization"):
            ordinary(handler, said)
            return
        handler.send_response(401)
        handler.send_header("www-authenticate", 'Basic realm="r"')
        handler.end_headers()
        handler.close_connection = True
        try:
            for _ in range(200):
                handler.wfile.write(b"x" * 1_000_000)
                sent[0] += 1
        except OSError:
            pass

    web.misbehaving["/v2/prompts/manifests/v1"] = refusing
    login(docker, web.address.removeprefix("http://"))
    declare(project, source)
    assert run(project, "lock") == 0
    assert sent[0] < 100, "no more of it than the network holds"


@pytest.mark.parametrize(
    ("host", "near"),
    [
        ("127.0.0.1:5000", True), ("127.9.9.9", True), ("[::1]:5000", True), ("localhost", True),
        ("a.localhost:1", True), ("registry.local:5000", True), ("ghcr.io", False), ("10.0.0.1:5000", False),
        ("localhost.evil.example", False), ("127.0.0.1.evil.example", False), ("evil-local", False),
    ],
)  # fmt: skip
def test_plain_http_is_for_this_machine_and_local_names(host: str, near: bool) -> None:
    assert is_near(host) == near
