"""The TypeScript kit, built from its sources with the packages of its lock file; services on it as real processes."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.dataplane.releasing import put
from tests.dataplane.running import Running, until
from tests.stacks.site import free_port

ROOT = Path(__file__).parents[2]
KIT = ROOT / "dataplane" / "typescript"
EXAMPLE = KIT / "example"
SETUP = Path(__file__).parent / "setup.sh"


def built() -> Path:
    """A folder with the kit compiled (`dist/`), once for each state of its sources, and by one worker at a time."""
    with (Path(tempfile.gettempdir()) / f"rollcast-typescript-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(["sh", SETUP], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        packages = Path(done.stdout.strip())
        sources = [*sorted(KIT.glob("src/**/*.ts")), *sorted(KIT.glob("test/**/*.ts"))]
        files = [KIT / "package.json", KIT / "tsconfig.json", *sources]
        digest = hashlib.sha256(packages.name.encode())
        for each in files:
            digest.update(f"{each.relative_to(KIT)}\n".encode() + each.read_bytes())
        folder = Path(tempfile.gettempdir()) / f"rollcast-typescript-{os.getuid()}-{digest.hexdigest()[:16]}"
        if not (folder / ".ready").exists():
            _compile(folder, files, packages)
        return folder


def _compile(folder: Path, files: list[Path], packages: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for each in files:
        target = folder / each.relative_to(KIT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(each, target)
    (folder / "node_modules").symlink_to(packages / "node_modules")
    words = ["node", "node_modules/typescript/bin/tsc"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / ".ready").touch()


@contextmanager
def running_node(
    kit: Path,
    folder: Path,
    environment: dict[str, str] | None = None,
    flag: dict[str, Any] | None = None,
    **settings: Any,
) -> Iterator[Running]:
    """The Express service of these tests. `flag`: what its definition holds when it starts."""
    folder.mkdir(parents=True, exist_ok=True)
    if flag is not None:
        put(folder / "flags.json", flag)
    common = {
        "definition": str(folder / "flags.json"), "state": str(folder / "state"),
        "telemetry": str(folder / "telemetry"), "folder": str(folder), "pins_at": str(folder / "pins"),
    }  # fmt: skip
    port = free_port()
    variables = {**os.environ, "PORT": str(port), "DATAPLANE": json.dumps(common | settings), **(environment or {})}
    with (folder / "service.log").open("ab") as log:
        words = ["node", str(kit / "dist" / "test" / "apps" / "service.js")]
        process = subprocess.Popen(words, env=variables, stdout=log, stderr=log, cwd=folder)
    found = Running(folder, "express", port, process)
    try:
        until(lambda: found.client.get("/healthz").status_code == 200, 30, lambda: (folder / "service.log").read_text())
        yield found
    finally:
        stop(process)
        found.client.close()


def stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
