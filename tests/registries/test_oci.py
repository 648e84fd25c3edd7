"""OCI registries: a tag may move, its digest does not, and what is fetched is what was pinned."""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import zstandard

from rollcast.planner.declaration.models import SourcePin
from rollcast.stacks.artifacts import cache
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.registries.oci import OciRegistry
from rollcast.stacks.registries.sources import Registry
from rollcast.testing.registries import RegistryConformance
from tests.registries.locking import content, declare, locked, run
from tests.registries.oci_server import INDEX, OciServer, oci_server
from tests.registries.test_http import tar

TAR = "application/vnd.oci.image.layer.v1.tar"
CREATED = "org.opencontainers.image.created"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OciServer]:
    with oci_server(tmp_path_factory.mktemp("oci")) as running:
        yield running


@pytest.fixture
def repository(request: pytest.FixtureRequest) -> str:
    """A repository of this test's own."""
    return re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:60].strip("-")


def push(server: OciServer, name: str, folder: Path, text: str, **annotations: str) -> str:
    """One file under a tag."""
    (folder / "answer.txt").write_text(text, "utf-8")
    return server.push(name, folder, "answer.txt", **annotations)


class TestOci(RegistryConformance):
    mistaken = "//host/prompts"

    @pytest.fixture(autouse=True)
    def _server(self, server: OciServer, repository: str) -> None:
        self.server, self.repository = server, repository
        self.absent = f"//{server.host}/{repository}:absent"

    def make(self) -> Registry:
        return OciRegistry()

    def put(self, project: Path, text: str) -> str:
        push(self.server, f"{self.repository}:latest", project, text)
        return f"//{self.server.host}/{self.repository}:latest"


HEX = "0" * 64


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ("//ghcr.io/acme/prompts:v1", ""),
        (f"//ghcr.io/acme/prompts@sha256:{HEX}", ""),
        (f"//ghcr.io/acme/prompts:v1@sha256:{HEX}", ""),
        ("//localhost:5000/prompts:latest", ""),
        ("//[::1]:5000/prompts:latest", ""),
        ("//ghcr.io/acme/prompts", "names no tag and no digest"),
        ("//ghcr.io", "names no host and repository"),
        ("ghcr.io/acme/prompts:v1", "names no host and repository"),
        ("//ghcr.io/Acme/prompts:v1", "names no host and repository"),
        ("//ghcr.io/acme/../prompts:v1", "names no host and repository"),
        ("//ghcr.io/acme/prompts@sha256:12", "has 'sha256:12' for a digest"),
        (f"//ghcr.io/acme/prompts@md5:{HEX}", "has 'md5:"),
        ("//me:secret@ghcr.io/acme/prompts:v1", "holds a user or a password"),
    ],
)
def test_a_source_names_a_host_a_repository_and_a_tag_or_digest(rest: str, said: str) -> None:
    found = OciRegistry().mistake(rest)
    assert found.startswith(said) if said else found == ""


# ---- tags and digests ---------------------------------------------------------------------------


def test_a_tag_that_moves_is_shown_before_anyone_is_served_by_it(
    project: Path, server: OciServer, repository: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first = push(server, f"{repository}:latest", project, "one")
    source = f"oci://{server.host}/{repository}:latest"
    declare(project, source)
    assert run(project, "lock") == 0
    assert locked(project) == {
        "identity": f"oci://{server.host}/{repository}@{first}", "digest": first, "covers": "manifest", "size": 3,
    }  # fmt: skip
    made = (datetime.now(UTC) - timedelta(hours=2, minutes=1)).isoformat()
    second = push(server, f"{repository}:latest", project, "two", **{CREATED.replace(".", "__"): made})
    capsys.readouterr()
    assert run(project, "lock", "--check") == 1
    moved = f"a0@1: {first[:19]} -> {second[:19]}, pushed 2 h"
    assert moved in capsys.readouterr().err
    assert content(project) == {"answer.txt": b"one"}, "what is locked is what is used, wherever its tag leads"
    assert run(project, "lock") == 0
    assert moved in capsys.readouterr().out
    assert content(project) == {"answer.txt": b"two"}


def test_old_content_is_fetched_by_its_pin_after_its_tag_has_moved(
    project: Path, server: OciServer, repository: str
) -> None:
    first = push(server, f"{repository}:latest", project, "one")
    push(server, f"{repository}:latest", project, "two")
    declare(
        project, f"oci://{server.host}/{repository}@{first}", f"oci://{server.host}/{repository}:latest",
        f"oci://{server.host}/{repository}:latest@{first}",
    )  # fmt: skip
    assert run(project, "lock") == 0
    assert content(project) == {"answer.txt": b"one"}
    assert content(project, "a1@1") == {"answer.txt": b"two"}
    assert content(project, "a2@1") == {"answer.txt": b"one"}, "a digest counts, whatever its tag names"


def test_what_was_deleted_is_one_clear_error(
    project: Path, server: OciServer, repository: str, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = push(server, f"{repository}:v1", project, "one")
    declare(project, f"oci://{server.host}/{repository}:v1")
    assert run(project, "lock") == 0
    server.delete(repository, digest)
    with pytest.raises(StackError, match=rf"{server.host} has no {repository}@{digest}. It was deleted there"):
        content(project)
    assert cache.entries() == []
    capsys.readouterr()
    assert run(project, "lock") == 1
    said = capsys.readouterr().err
    assert "rollcast.yaml:4:" in said
    assert f"{server.host} has no {repository}:v1. Correct the name, or push it." in said


# ---- what artifacts are made of -----------------------------------------------------------------


def test_folders_and_files_that_oras_pushes_become_the_same_files(
    project: Path, server: OciServer, repository: str
) -> None:
    (project / "weights" / "deep").mkdir(parents=True)
    (project / "weights" / "deep" / "w.bin").write_bytes(bytes(range(256)) * 100)
    (project / "card.md").write_text("a card", "utf-8")
    server.push(f"{repository}:v1", project, "weights", "card.md")
    declare(project, f"oci://{server.host}/{repository}:v1")
    assert run(project, "lock") == 0
    assert content(project) == {"card.md": b"a card", "weights/deep/w.bin": bytes(range(256)) * 100}


def test_archives_become_their_files_and_all_else_stays_as_it_is(
    project: Path, server: OciServer, repository: str
) -> None:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w:") as archive:
        member = tarfile.TarInfo("c.txt")
        member.size = 1
        archive.addfile(member, io.BytesIO(b"c"))
    packed = zstandard.ZstdCompressor().compress(plain.getvalue())
    title = "org.opencontainers.image.title"
    layers = [
        {**server.blob(repository, tar("a.txt", b"a")), "mediaType": f"{TAR}+gzip"},
        {**server.blob(repository, packed), "mediaType": f"{TAR}+zstd"},
        {
            **server.blob(repository, tar("d/d.txt", b"d")),
            "annotations": {title: "d", "io.deis.oras.content.unpack": "true"},
        },
        {**server.blob(repository, b"no tar"), "mediaType": TAR, "annotations": {title: "deep/e.txt"}},
        server.blob(repository, b"untitled"),
    ]
    server.artifact(repository, "v1", *layers)
    declare(project, f"oci://{server.host}/{repository}:v1")
    assert run(project, "lock") == 0
    assert locked(project)["size"] == sum(layer["size"] for layer in layers)
    name = layers[-1]["digest"].replace(":", "-")
    assert content(project) == {
        "a.txt": b"a", "c.txt": b"c", "d/d.txt": b"d", "deep/e.txt": b"no tar", name: b"untitled",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "said"),
    [(".wh.a.txt", "takes away what another layer put there"), ("../a.txt", "leads out of its folder")],
)
def test_a_layer_that_does_more_than_add_files_is_refused(
    project: Path, server: OciServer, repository: str, name: str, said: str
) -> None:
    layers = [{**server.blob(repository, tar(each)), "mediaType": f"{TAR}+gzip"} for each in ("a.txt", name)]
    server.artifact(repository, "v1", *layers)
    declare(project, f"oci://{server.host}/{repository}:v1")
    assert run(project, "lock") == 0
    with pytest.raises(StackError, match=said):
        content(project)
    assert cache.entries() == []


def test_what_can_not_be_used_is_refused_when_it_is_locked(
    project: Path, server: OciServer, repository: str, capsys: pytest.CaptureFixture[str]
) -> None:
    layer = server.blob(repository, b"a")
    members = []
    for architecture in ("amd64", "arm64"):
        made = server.artifact(repository, "", layer, annotations={"for": architecture})
        members.append({**made, "platform": {"os": "linux", "architecture": architecture}})
    beside = {
        **server.artifact(repository, "", layer),
        "annotations": {"vnd.docker.reference.type": "attestation-manifest"},
    }
    server.manifest(repository, "many", {"mediaType": INDEX, "manifests": members})
    server.manifest(repository, "one", {"mediaType": INDEX, "manifests": [members[0], beside]})
    server.artifact(repository, "empty")
    declare(project, *(f"oci://{server.host}/{repository}:{tag}" for tag in ("many", "one", "empty")))
    assert run(project, "lock") == 1
    said = capsys.readouterr().err
    assert f"is an index of 2 manifests: linux/amd64 ({members[0]['digest']}), linux/arm64 (" in said
    assert "has no layers" in said
    assert said.count("rollcast.yaml:") == 2, "an index of one manifest, and what is said of that, is one artifact"
    declare(project, f"oci://{server.host}/{repository}:one")
    assert run(project, "lock") == 0
    assert list(content(project).values()) == [b"a"]


def test_two_layers_of_one_title_are_refused(project: Path, server: OciServer, repository: str) -> None:
    title = {"org.opencontainers.image.title": "a.txt"}
    server.artifact(
        repository, "v1", *({**server.blob(repository, body), "annotations": title} for body in (b"a", b"b"))
    )
    declare(project, f"oci://{server.host}/{repository}:v1")
    assert run(project, "lock") == 0
    with pytest.raises(StackError, match="2 of its layers are called"):
        content(project)


# ---- where it came from -------------------------------------------------------------------------


def test_what_annotations_say_that_it_was_made_from_is_its_lineage(
    project: Path, server: OciServer, repository: str, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = f"sha256:{'1' * 64}"
    said = {
        "org.opencontainers.image.base.name": "ghcr.io/acme/base:v3", "org.opencontainers.image.base.digest": digest,
        "rollcast.derived_from": "docs@2026-11, e5@2",
    }  # fmt: skip
    push(server, f"{repository}:v1", project, "one", **{key.replace(".", "__"): value for key, value in said.items()})
    declare(project, f"oci://{server.host}/{repository}:v1")
    assert run(project, "lock") == 0
    lock = json.loads((project / "rollcast.lock").read_text("utf-8"))
    assert lock["sources"]["a0@1"]["lineage"] == ["docs@2026-11", "e5@2", f"oci://ghcr.io/acme/base@{digest}"]
    capsys.readouterr()
    assert run(project, "lineage", "a0") == 0
    assert "docs@2026-11" in capsys.readouterr().out


def test_an_index_that_only_its_registry_says_another_embedder_made_is_blocked(
    project: Path, server: OciServer, repository: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for version in "12":
        (project / f"e{version}.txt").write_text(version, "utf-8")
    push(server, f"{repository}:v1", project, "vectors", rollcast__derived_from="e@1")
    (project / "rollcast.yaml").write_text(
        "pipeline: chat\nartifacts:\n"
        "  - {kind: embedding-model, name: e, version: '1', source: 'file:e1.txt', provides: {space: a}}\n"
        "  - {kind: embedding-model, name: e, version: '2', source: 'file:e2.txt', provides: {space: b}}\n"
        f"  - {{kind: retrieval-index, name: kb, version: '1', source: 'oci://{server.host}/{repository}:v1'}}\n"
        "components:\n  e: {artifact: e@2}\n  kb: {artifact: kb@1, upstream: [e]}\n",
        "utf-8",
    )
    assert run(project, "lock") == 0
    capsys.readouterr()
    assert run(project, "plan") == 3
    said = " ".join("".join(capsys.readouterr()).split())
    assert "kb@1 was derived from e@1, and e@2 embeds on channel default" in said
    assert "index kb@1 was built by e@1, and e@2 serves beside it" in said
    text = (project / "rollcast.yaml").read_text("utf-8")
    (project / "rollcast.yaml").write_text(text.replace("artifact: e@2", "artifact: e@1"), "utf-8")
    assert run(project, "plan") == 0


def test_a_pin_whose_two_digests_differ_is_refused(project: Path, server: OciServer, repository: str) -> None:
    digest = push(server, f"{repository}:v1", project, "one")
    pin = SourcePin(
        identity=f"oci://{server.host}/{repository}@{digest}", digest=f"sha256:{HEX}", covers="manifest", size=3
    )
    with pytest.raises(StackError, match="two digests"), cache.content_of(pin, "a0@1"):
        pass
