"""Programs that tests run as instances, and how they are looked at and ended."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from rollcast.stacks.base import processes
from rollcast.stacks.instances import InstanceSpec, Placed, Provisioning
from rollcast.stacks.instances.process import ProcessInstances
from rollcast.stacks.instances.process_settings import ProcessSettings

PYTHON = str(Path(sys.executable).resolve())
SERVER = """
import json, os, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

artifact, port = Path(sys.argv[1]), int(sys.argv[2])
print("begins with", os.environ.get("TOKEN", "no token"))
if (artifact / "broken.txt").exists():
    sys.exit((artifact / "broken.txt").read_text())
if (artifact / "slow.txt").exists():
    time.sleep(60)

class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/crash":
            os._exit(3)
        body = json.dumps({"pid": os.getpid(), "says": (artifact / "prompt.txt").read_text(), "env": dict(os.environ)})
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *words):
        pass

ThreadingHTTPServer(("127.0.0.1", port), Answer).serve_forever()
"""
TINY = (
    "-I",
    "-S",
    "-c",
    "import socket as s,sys,time;k=s.create_server(('127.0.0.1',int(sys.argv[1])));time.sleep(9e9)",
)


def ports(count: int = 4) -> str:
    """A range of ports that are free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        first = min(int(probe.getsockname()[1]), 65000 - count)
    return f"{first}-{first + count - 1}"


def settings(root: Path, **given: Any) -> ProcessSettings:
    """Of a server that answers with its content."""
    (root / "server.py").write_text(SERVER, "utf-8")
    own = {
        "command": [PYTHON, "server.py", "{artifact}", "{port}"], "ports": ports(), "stop": "2s", "restart": "50ms",
        "ready": {"http": "/", "timeout": "20s", "every": "20ms"}, **given,
    }  # fmt: skip
    return ProcessSettings.model_validate(own)


def content(root: Path, says: str, **files: str) -> Path:
    """An artifact's content as `apply` hands it over."""
    folder = root / "contents" / says
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {"prompt": says, **files}.items():
        (folder / f"{name}.txt").write_text(text, "utf-8")
    (folder / "manifest.json").write_text(json.dumps({"digest": f"sha256:{says}"}), "utf-8")
    return folder


def placed(says: str, number: int = 1, **given: Any) -> Placed:
    """An instance of that content."""
    own = {"release": f"rel-{number}", "slot": "bot", "owner": "mine", "pipeline": "chat", **given}
    return Placed(folder=f"chat/bot/{number}", digest=f"sha256:{says}", **own)


def put(made: ProcessInstances, root: Path, wanted: Placed, fence: int = 1, **files: str) -> str:
    """Its address, once it is ready."""
    says = wanted.digest.removeprefix("sha256:")
    made.put_instance(fence, wanted, content(root, says, **files), InstanceSpec(reference="bot@1"), Provisioning(30.0))
    return made.placed()[wanted.folder].address


def ask(address: str, path: str = "/") -> dict[str, Any]:
    """What an instance answers. Raises OSError."""
    with urllib.request.urlopen(f"{address}{path}", timeout=5) as reply:
        found: dict[str, Any] = json.load(reply)
        return found


def state(root: Path, folder: str) -> dict[str, Any]:
    """What an instance's supervisor says."""
    found: dict[str, Any] = json.loads((root / ".rollcast/live/processes" / folder / processes.STATE).read_text())
    return found


def eventually(holds: Callable[[], bool], most_s: float = 10.0) -> None:
    """Returns once something holds."""
    until = time.monotonic() + most_s
    while time.monotonic() < until:
        with suppress(OSError):
            if holds():
                return
        time.sleep(0.02)
    raise AssertionError("it never came to hold")


def end_all(root: Path) -> None:
    """Ends whatever a test left below a folder."""
    for file in root.rglob(processes.STATE):
        with suppress(OSError, ValueError):
            found = json.loads(file.read_text())
            for name in ("supervisor", "child"):
                if processes.is_alive(found[name]):
                    os.killpg(found[name]["pid"], signal.SIGKILL)
