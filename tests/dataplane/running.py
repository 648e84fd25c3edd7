"""Services on the kit as real processes: FastAPI under uvicorn, Flask under gunicorn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from tests.dataplane.releasing import both, put
from tests.stacks.site import free_port

ROOT = Path(__file__).parents[2]
KINDS = ("fastapi", "flask")


class Running:
    """One service of a test: its address, and what it writes."""

    def __init__(self, folder: Path, kind: str, port: int, process: subprocess.Popen[bytes]) -> None:
        self.folder, self.kind, self.process = folder, kind, process
        self.lying = False
        self.url = f"http://127.0.0.1:{port}"
        # A connection for each request: uvicorn ends one after an application's exception.
        fresh = httpx.Limits(max_keepalive_connections=0)
        self.client = httpx.Client(base_url=self.url, timeout=30, trust_env=False, limits=fresh)

    def post(self, path: str, body: dict[str, Any], **headers: str) -> httpx.Response:
        return self.client.post(path, json=body, headers=headers)

    def state(self) -> dict[str, Any]:
        """What the replica that answers says of itself."""
        found: dict[str, Any] = httpx.get(f"{self.url}/rollcast/inflight", trust_env=False).json()
        return found

    def records(self) -> list[dict[str, Any]]:
        """Every outcome so far, once no request is in flight."""
        until(lambda: self.state()["releases"] == {})
        path = self.folder / "telemetry" / "requests.jsonl"
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []

    @property
    def definition(self) -> Path:
        return self.folder / "flags.json"


@contextmanager
def running(
    folder: Path, kind: str = "fastapi", workers: int = 1, environment: dict[str, str] | None = None,
    flag: dict[str, Any] | None = None, preload: bool = False, lying: bool = False, **settings: Any,
) -> Iterator[Running]:  # fmt: skip
    """A service with these settings of its data plane. `flag`: what its definition holds when it starts.

    `lying`: the one that is written by hand, with its `lie` among the settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if flag is not None:
        put(folder / "flags.json", flag)
    common = {
        "definition": None if "relays" in settings else str(folder / "flags.json"), "state": str(folder / "state"),
        "telemetry": str(folder / "telemetry"), "folder": str(folder), "pins_at": str(folder / "pins.db"),
    }  # fmt: skip
    port = free_port()
    bind = f"127.0.0.1:{port}"
    if kind == "fastapi":
        words = [
            "uvicorn",
            f"tests.dataplane.apps.{'lying' if lying else 'fastapi'}_app:app",
            "--port",
            str(port),
            "--log-level",
            "warning",
        ]
        words += ["--workers", str(workers)] if workers > 1 else []
    else:
        words = ["gunicorn", "tests.dataplane.apps.flask_app:app", "-b", bind, "-w", str(workers), "--threads", "16"]
        words += ["--no-control-socket", *(["--preload"] if preload else [])]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    made = {**os.environ, "PYTHONPATH": path, "DATAPLANE": json.dumps(common | settings), **(environment or {})}
    with (folder / "service.log").open("ab") as log:
        process = subprocess.Popen([sys.executable, "-m", *words], env=made, stdout=log, stderr=log, cwd=folder)
    found = Running(folder, kind, port, process)
    found.lying = lying
    try:
        until(lambda: found.client.get("/healthz").status_code == 200, 30, lambda: (folder / "service.log").read_text())
        yield found
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        found.client.close()


def until(holds: Callable[[], object], seconds: float = 5, why: Callable[[], object] = lambda: "") -> float:
    """Waits until it holds. How long that took."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        with suppress(httpx.HTTPError):
            if holds():
                return time.monotonic() - began
        time.sleep(0.02)
    raise AssertionError(f"it did not come to be within {seconds} s. {why()}")


def asked_while_the_flag_flips(service: Running, requests: int = 200) -> list[tuple[int, str, str, dict[str, str]]]:
    """(status, release by header, release by body, components) of answers, while the flag changes all the time."""
    over = threading.Event()

    def flip() -> None:
        turn = 0
        while not over.wait(0.05):
            turn += 1
            put(service.definition, both((0, 100, 50)[turn % 3]))

    def ask(number: int) -> tuple[int, str, str, dict[str, str]]:
        with httpx.Client(base_url=service.url, trust_env=False, timeout=30) as client:
            reply = client.post("/chat", json={"user": f"u{number}", "takes_s": 0.15})
            data = reply.json()
            return reply.status_code, reply.headers["x-rollcast-release"], data["release"], data["components"]

    flipping = threading.Thread(target=flip)
    flipping.start()
    try:
        with ThreadPoolExecutor(16) as pool:
            return list(pool.map(ask, range(requests)))
    finally:
        over.set()
        flipping.join()
