"""The probe by which `rollcast dataplane check` asks a service of these tests."""

from __future__ import annotations

import json
from pathlib import Path

from tests.stacks.site import free_port


def probe_in(folder: Path, trusted: bool, onward: str = "/call") -> Path:
    """Writes the probe beside what the service reads. `onward`: the path at which it calls another service."""
    path, port = folder / "probe.json", free_port()
    path.write_text(json.dumps({
        "pipeline": "help-desk", "definition": "flags.json", "telemetry": "telemetry", "trusted": trusted,
        "request": {"path": "/chat", "json": {"user": "${key}", "message": "${unique}"}},
        "slow": {"path": "/chat", "json": {"user": "${key}", "takes_s": 1}},
        "stream": {"path": "/stream", "json": {"user": "${key}", "takes_s": 2}},
        "session": {"path": "/chat", "json": {"user": "${key}", "session": "${session}"}},
        "anonymous": {"path": "/chat", "json": {}},
        "onward": {"path": onward, "json": {"user": "${key}", "url": f"http://127.0.0.1:{port}/"},
                   "listen": f"127.0.0.1:{port}"},
        "answer": {"body_release": "/release", "components": "/components"},
    }))  # fmt: skip
    return path
