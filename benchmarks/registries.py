"""How long `rollcast lock` takes for 100 references to a registry, and how fast large content reaches the cache.

Against Debian's docker-registry on loopback, which shares the machine. Each reference is a repository of its own, so
that nothing is looked up once for many. The second lock finds what it knows, the third that all tags have moved.

Run: python benchmarks/registries.py [REFERENCES [MEBIBYTES]]
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from rollcast.planner.declaration.models import SourcePin
from rollcast.stacks.artifacts import cache
from tests.registries.locking import declare, locked, run
from tests.registries.oci_server import OciServer, oci_server

REFERENCES, MEBIBYTES = 100, 512
MIB = 1024 * 1024


def main(references: int, mebibytes: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ROLLCAST_CACHE"] = f"{folder}/cache"
        (Path(folder) / "server").mkdir()
        with oci_server(Path(folder) / "server") as server:
            locks(server, Path(folder) / "locks", references)
            fetch(server, Path(folder) / "fetch", mebibytes)


def locks(server: OciServer, project: Path, references: int) -> None:
    project.mkdir()
    for number in range(references):
        server.artifact(f"a{number}", "latest", server.blob(f"a{number}", b"one"))
    declare(project, *(f"oci://{server.host}/a{number}:latest" for number in range(references)))
    timed(f"lock {references} references", project, "lock")
    timed("lock them again", project, "lock")
    for number in range(references):
        server.artifact(f"a{number}", "latest", server.blob(f"a{number}", b"two"))
    timed("lock them when all have moved", project, "lock")


def timed(what: str, project: Path, *arguments: str) -> None:
    began = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        assert run(project, *arguments) == 0
    print(f"{what}: {time.perf_counter() - began:.2f} s")


def fetch(server: OciServer, project: Path, mebibytes: int) -> None:
    project.mkdir()
    server.artifact("weights", "v1", *(server.blob("weights", os.urandom(64 * MIB)) for _ in range(mebibytes // 64)))
    declare(project, f"oci://{server.host}/weights:v1")
    with contextlib.redirect_stdout(io.StringIO()):
        assert run(project, "lock") == 0
    pin = SourcePin.model_validate(locked(project))
    began = time.perf_counter()
    with cache.content_of(pin, "weights"):
        took = time.perf_counter() - began
    print(f"fetch {mebibytes} MiB: {took:.2f} s, {mebibytes / took:.0f} MiB/s")
    began = time.perf_counter()
    with cache.content_of(pin, "weights"):
        print(f"use it again, every file held against its digest: {time.perf_counter() - began:.2f} s")


if __name__ == "__main__":
    said = [int(each) for each in sys.argv[1:]]
    main(*said, *(REFERENCES, MEBIBYTES)[len(said) :])
