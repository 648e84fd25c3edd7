"""Large content: it goes to disk in bounded memory, and what has arrived is not fetched twice."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rollcast.planner.declaration.models import SourcePin
from rollcast.stacks.artifacts import cache
from rollcast.stacks.base.errors import StackError
from tests.registries.locking import content, declare, locked, run
from tests.registries.web import Handler, Web

MIB = 1024 * 1024
SIZE, MOST_GROWTH = 320 * MIB, 64 * MIB

# A process of its own, so that nothing but the fetch is in its peak.
FETCH = """
import json, re, sys
from rollcast.planner.declaration.models import SourcePin
from rollcast.stacks.artifacts import cache
pins = [SourcePin.model_validate(pin) for pin in json.loads(sys.argv[1])]
peaks = []
for pin in pins:
    with cache.content_of(pin, pin.identity) as files:
        found = sum(path.stat().st_size for path in files.rglob("*") if path.is_file())
    with open("/proc/self/status") as file:
        peaks.append((found, int(re.search(r"VmHWM:\\s+(\\d+) kB", file.read())[1]) * 1024))
print(json.dumps(peaks))
"""


class Generated(Web):
    """A file of any size under `/w.bin`, made as it is sent: a mebibyte of bytes that tells where it is, and so on."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.files["/w.bin"] = b""
        self.misbehaving["/w.bin"] = self._send

    def piece(self, at: int) -> bytes:
        return at.to_bytes(8, "big") * (min(MIB, self.size - at) // 8)

    def digest(self) -> str:
        found = hashlib.sha256()
        for at in range(0, self.size, MIB):
            found.update(self.piece(at))
        return found.hexdigest()

    def _send(self, handler: Handler, body: bytes) -> None:
        handler.send_response(200)
        handler.send_header("content-length", str(self.size))
        handler.end_headers()
        if handler.command != "HEAD":
            for at in range(0, self.size, MIB):
                handler.wfile.write(self.piece(at))


def test_content_of_any_size_streams_in_bounded_memory() -> None:
    """A first small file warms everything up; then the peak may grow by what is in flight, not by what arrives."""
    with Generated(MIB) as small, Generated(SIZE) as large:
        pins = [
            {
                "identity": f"{one.address}/w.bin#sha256={one.digest()}", "digest": f"sha256:{one.digest()}",
                "covers": "manifest", "size": one.size,
            }
            for one in (small, large)
        ]  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", FETCH, json.dumps(pins)],
            check=True, capture_output=True, text=True, env=dict(os.environ),
        )  # fmt: skip
    (before, low), (fetched, high) = json.loads(done.stdout)
    assert (before, fetched) == (MIB, SIZE)
    assert high - low < MOST_GROWTH, f"{(high - low) / MIB:.0f} MiB more for {SIZE / MIB:.0f} MiB"


def test_a_file_that_is_whole_is_not_fetched_again_when_a_later_one_breaks_off(project: Path, web: Web) -> None:
    bodies = [bytes([number]) * 100_000 for number in range(3)]
    layers = []
    for body in bodies:
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        layers.append({"digest": digest, "size": len(body)})
        web.files[f"/v2/weights/blobs/{digest}"] = body
    manifest = json.dumps({"schemaVersion": 2, "layers": layers}).encode()
    for name in ("v1", f"sha256:{hashlib.sha256(manifest).hexdigest()}"):
        web.files[f"/v2/weights/manifests/{name}"] = manifest
    last = f"/v2/weights/blobs/{layers[-1]['digest']}"
    web.misbehaving[last] = lambda handler, body: handler.answer(404, b"gone")
    declare(project, f"oci://{web.address.removeprefix('http://')}/weights:v1")
    assert run(project, "lock") == 0
    pin = SourcePin.model_validate(locked(project))
    with pytest.raises(StackError, match="answered 404"), cache.content_of(pin, "a0@1"):
        pass
    assert cache.entries() == []
    del web.misbehaving[last]
    asked = len(web.seen)
    assert sorted(content(project).values()) == sorted(bodies)
    assert [path for _, path, _ in web.seen[asked:] if "/blobs/" in path] == [last]
    assert not list(cache.root().glob("parts/*")), "what was kept for it is gone with it"
