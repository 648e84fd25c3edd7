"""The retrieval example as a running project: a fresh copy, its real service on a free port, the recorded load."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.commands import run_here

EXAMPLE = Path(__file__).parents[2] / "examples" / "rag-search"


@dataclass(frozen=True)
class System:
    """A project folder whose service runs at `endpoint`."""

    folder: Path
    endpoint: str

    def rollcast(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs the command in the project folder, as a user would."""
        return run_here(self.folder, *words)

    def records(self) -> list[dict[str, Any]]:
        """Every telemetry record so far."""
        path = self.folder / ".rollcast/live/telemetry/requests.jsonl"
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []

    def ask(self, key: str, query: str = "read the rows of a csv file") -> dict[str, Any]:
        """One question, answered."""
        body = json.dumps({"key": key, "query": query}).encode()
        request = urllib.request.Request(f"{self.endpoint}/query", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as reply:
            found: dict[str, Any] = json.load(reply)
            return found

    @contextmanager
    def load(self, speedup: float = 30) -> Iterator[None]:
        """The recorded trace against the service, until the block ends."""
        words = ["load.py", "--endpoint", self.endpoint, "--speedup", str(speedup), "--seconds", "900"]
        with _running(self.folder, words):
            yield


@contextmanager
def _running(folder: Path, words: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, *words], cwd=folder, stdout=subprocess.DEVNULL, stderr=None)
    try:
        yield process
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        if process.poll() is None:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def copied(example: Path, folder: Path) -> None:
    """A copy of an example, with what demos share in it, as a new project has it."""
    for source, target in ((example, folder), (example.parent / "demos", folder / "demos")):
        shutil.copytree(source, target, ignore=shutil.ignore_patterns(".rollcast", "__pycache__"))


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    """The example with short bakes, its service running and nothing released."""
    folder, port = tmp_path / "project", _free_port()
    copied(EXAMPLE, folder)
    for path in folder.glob("*.yaml"):
        text = path.read_text("utf-8").replace("127.0.0.1:8787", f"127.0.0.1:{port}")
        text = text.replace("percent: [10, 50, 100]", "percent: [10, 100]").replace("min: 5s", "min: 2s")
        path.write_text(text, "utf-8")
    with _running(folder, ["-m", "dataplane.service", "--port", str(port)]):
        _wait(f"http://127.0.0.1:{port}/healthz")
        yield System(folder, f"http://127.0.0.1:{port}")


def _wait(url: str) -> None:
    for _ in range(300):
        with suppress(OSError):
            urllib.request.urlopen(url, timeout=1).close()
            return
        time.sleep(0.1)
    raise AssertionError(f"{url} does not answer")


@pytest.fixture
def mixed() -> Callable[[list[dict[str, Any]]], int]:
    """Counts the requests whose components are not those that their release is made of."""

    def count(records: list[dict[str, Any]]) -> int:
        made_of: dict[str, str] = {}
        wrong = 0
        for record in records:
            if record["release"]:
                parts = json.dumps(record["components"], sort_keys=True)
                wrong += made_of.setdefault(record["release"], parts) != parts
        return wrong

    return count
