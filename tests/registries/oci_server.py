"""Debian's docker-registry, on a free port with a folder of its own, and what pushes to it: ORAS's client."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bcrypt
import httpx
import oras.client
import pytest

from tests.stacks.site import free_port

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


@dataclass(frozen=True)
class OciServer:
    """A registry that runs. user, password: empty where anybody may read and write."""

    host: str
    user: str = ""
    password: str = ""

    def push(self, name: str, folder: Path, *files: str, **annotations: str) -> str:
        """Pushes files or folders with ORAS's own client; gives the manifest's digest."""
        client = oras.client.OrasClient(hostname=self.host, insecure=True, auth_backend="basic")
        if self.user:
            client.auth.set_basic_auth(self.user, self.password)
        before = os.getcwd()
        os.chdir(folder)
        try:
            answer = client.push(
                f"{self.host}/{name}", files=list(files), quiet=True,
                manifest_annotations={key.replace("__", "."): said for key, said in annotations.items()} or None,
            )  # fmt: skip
        finally:
            os.chdir(before)
        return str(answer.headers["docker-content-digest"])

    def blob(self, repository: str, body: bytes) -> dict[str, Any]:
        """Puts one blob; gives its descriptor."""
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        begun = self._ask("POST", f"/v2/{repository}/blobs/uploads/")
        url = httpx.URL(begun.headers["location"]).copy_merge_params({"digest": digest})
        self._ask("PUT", str(url), content=body, headers={"content-type": "application/octet-stream"})
        return {"mediaType": "application/octet-stream", "digest": digest, "size": len(body)}

    def manifest(self, repository: str, tag: str, said: Mapping[str, Any]) -> dict[str, Any]:
        """Puts a manifest or an index under a tag or its digest; gives its descriptor."""
        body = json.dumps({"schemaVersion": 2, **said}).encode()
        kind = str(said.get("mediaType", MANIFEST))
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        self._ask("PUT", f"/v2/{repository}/manifests/{tag or digest}", content=body, headers={"content-type": kind})
        return {"mediaType": kind, "digest": digest, "size": len(body)}

    def artifact(self, repository: str, tag: str, *layers: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """Puts an artifact of blobs that are there."""
        config = {**self.blob(repository, b"{}"), "mediaType": "application/vnd.oci.empty.v1+json"}
        said = {"mediaType": MANIFEST, "config": config, "layers": list(layers), **more}
        return self.manifest(repository, tag, said)

    def delete(self, repository: str, digest: str) -> None:
        self._ask("DELETE", f"/v2/{repository}/manifests/{digest}")

    def _ask(self, method: str, url: str, **about: Any) -> httpx.Response:
        with httpx.Client(base_url=f"http://{self.host}", timeout=30) as client:
            answer = client.request(method, url, auth=(self.user, self.password) if self.user else None, **about)
            answer.raise_for_status()
            return answer


@contextmanager
def oci_server(
    folder: Path, user: str = "", password: str = "", auth: Mapping[str, Any] | None = None
) -> Iterator[OciServer]:
    """docker-registry until the block ends. With a user: by htpasswd; auth: as its configuration says it."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("docker-registry isn't installed; 'make test' installs it")
    port = free_port()
    config: dict[str, Any] = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "storage")}, "delete": {"enabled": True}},
        "http": {"addr": f"127.0.0.1:{port}", "secret": "of this test"},
    }
    if user:
        hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()
        (folder / "htpasswd").write_text(f"{user}:{hashed}\n", "utf-8")
        config["auth"] = {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}}
    if auth is not None:
        config["auth"] = auth
    (folder / "config.yml").write_text(json.dumps(config), "utf-8")
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen([program, "serve", str(folder / "config.yml")], cwd=folder, stdout=log, stderr=log)
        try:
            _await(port, folder / "server.log")
            yield OciServer(f"127.0.0.1:{port}", user, password)
        finally:
            process.kill()
            process.wait()


def _await(port: int, log: Path) -> None:
    for _ in range(150):
        try:
            httpx.get(f"http://127.0.0.1:{port}/v2/", timeout=1)
            return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(log.read_text("utf-8", "replace")[-2000:])


__all__ = ["INDEX", "MANIFEST", "OciServer", "oci_server"]
