"""A running system for tests: the retrieval example with short bakes, its real service, the real engine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from rollcast.cli.output.rollout import finite
from rollcast.stacks.project import Project
from rollcast.stacks.rollout.status import status
from tests.commands import ROLLCAST, run_apart, run_here

EXAMPLE = Path(__file__).parents[2] / "examples" / "rag-search"
PIPELINE = "rag-search"

CANARY = "strategy: canary\n  percent: [50, 100]"  # how this begins
ROLLOUT = """
rollout:
  strategy: canary
  percent: [50, 100]
  bake: {min: 200ms, max: 60s, then: rollback}
  min_sample: 5
  look_every: 200ms
  timeout: 200ms
  ship_together: [[generator, safety]]
  gates:
    - {metric: error_rate, margin: 0.6, min_samples: 5}
overrides:
  - {policy: max-exposure, reason: a test has few users and little time, expires: "2999-01-01"}
"""

PATIENT = ROLLOUT.replace("min: 200ms, max: 60s", "min: 10m, max: 20m")  # stays at each stage until a person goes on


def declaration(
    port: int, safety: int = 1, prompt: int = 1, search: int = 1, rollout: str = ROLLOUT, in_place: bool = False
) -> str:
    """The example's declaration with these versions, quick stages, and the service on a port.

    `search` 2 is another embedder with the index and the reranker that belong to it; `in_place`: the safety policy
    can't run twice.
    """
    text = (EXAMPLE / "released.yaml").read_text("utf-8").replace("127.0.0.1:8787", f"127.0.0.1:{port}")
    text = text.replace("no-code-execution@1", f"no-code-execution@{safety}").replace("answer@1", f"answer@{prompt}")
    if search == 2:
        text = text.replace("hashed@1", "svd@1").replace("stdlib@1", "stdlib@2").replace("bm25@1", "bm25@2")
    if in_place:
        text = text.replace("upstream: [generator]}", "upstream: [generator], in_place: true}")
    return text[: text.index("rollout:")] + rollout.lstrip()


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Requests:
    """What served live requests."""

    statuses: Counter[int | str] = field(default_factory=Counter)
    made_of: dict[str, set[str]] = field(default_factory=dict)
    last_s: dict[str, float] = field(default_factory=dict)

    @property
    def served(self) -> int:
        return self.statuses[200]

    @property
    def failed(self) -> int:
        return sum(count for status, count in self.statuses.items() if status != 200)

    @property
    def mixed(self) -> int:
        """Releases that served more than one mix of versions."""
        return sum(len(mixes) - 1 for mixes in self.made_of.values())


def injected(faults: Path) -> dict[str, str]:
    """The environment in which every Python breaks where `faults.json` in this folder says so."""
    hooked = Path(__file__).parents[1] / "faults" / "injected"
    path = os.pathsep.join([str(hooked), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {"ROLLCAST_FAULTS": str(faults), "PYTHONPATH": path}


def left_at_work(folder: Path) -> dict[int, str]:
    """Engines and providers of a project folder that run: number -> command."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            environ = (entry / "environ").read_bytes()
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            if f"ROLLCAST_WORLD={folder.resolve()}|".encode() in environ and int(entry.name) != os.getpid():
                found[int(entry.name)] = command
    return found


class Site:
    """A project folder and its service."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.faults = folder / "faults"
        shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns(".rollcast", "__pycache__", "traffic"))
        self.faults.mkdir()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._serving: subprocess.Popen[bytes] | None = None
        self._kept = folder.with_name(f"{folder.name}.kept")

    def keep(self) -> None:
        """Remembers the folder as it is now."""
        shutil.copytree(self.folder, self._kept, symlinks=True)

    @property
    def is_kept(self) -> bool:
        """Whether what `keep` remembers is still there: pytest takes folders of tests away."""
        return self._kept.exists()

    def restore(self) -> None:
        """The folder as it was kept, without an engine or a provider of before; the service starts in it again."""
        for number in left_at_work(self.folder):
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        serving = self._serving is not None
        self._stop()
        shutil.rmtree(self.folder)
        shutil.copytree(self._kept, self.folder, symlinks=True)
        if serving:
            self._start({})

    def declare(self, name: str = "rollcast.yaml", **versions: Any) -> None:
        (self.folder / name).write_text(declaration(self.port, **versions), "utf-8")

    def rollcast(
        self, *words: str, faults: Mapping[Any, str] | None = None, timeout_s: float = 240, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command as a user would; with `faults` it is broken at these failpoints.

        It runs in this process, if it isn't to be broken.
        """
        if faults is not None:
            (self.faults / "faults.json").write_text(json.dumps({str(k): v for k, v in faults.items()}))
            (self.faults / "passed").write_text("")
            environment |= injected(self.faults)
            return run_apart(self.folder, *words, environment=environment, timeout_s=timeout_s)
        return run_here(self.folder, *words, environment=environment)

    @contextmanager
    def background(self, *words: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
        """A command that runs while the block does; it is killed at its end."""
        process = subprocess.Popen(
            [ROLLCAST, *words], cwd=self.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "NO_COLOR": "1", **environment},
        )  # fmt: skip
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()

    def await_milestone(self, index: int) -> None:
        """Returns once the rollout under way stands at a milestone."""
        until = time.monotonic() + 120
        while time.monotonic() < until:
            rollout = self.status()["rollout"]
            if rollout is not None and rollout["outcome"] is None and rollout["milestone"] >= index:
                return
            time.sleep(0.2)
        raise AssertionError(f"milestone {index} was not reached: {rollout}")

    def await_held(self, beginning: str) -> None:
        """Returns once the rollout under way stays where it is, for a reason that begins so."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            rollout = self.status()["rollout"]
            if rollout is not None and (rollout.get("held") or "").startswith(beginning):
                return
            time.sleep(0.2)
        raise AssertionError(f"it is not held, {beginning}: {rollout}")

    def passed(self) -> list[str]:
        """The boundaries that the last run with faults passed."""
        return (self.faults / "passed").read_text("utf-8").splitlines()

    def status(self) -> dict[str, Any]:
        """What `rollcast status --format json` gives; read here, for a command takes longer than many a stage."""
        found: dict[str, Any] = json.loads(json.dumps(finite(status(Project.open(self.folder)))))
        return found

    def components(self) -> dict[str, str]:
        """What serves a request now."""
        body = json.dumps({"key": "someone", "query": "read a file"}).encode()
        request = urllib.request.Request(f"{self.endpoint}/query", body)
        with urllib.request.urlopen(request, timeout=10) as reply:
            found: dict[str, str] = json.load(reply)["components"]
            return found

    def other_version(self) -> int:
        """The version of the safety policy that does not serve."""
        return 2 if self.components()["safety"].endswith("@1") else 1

    @contextmanager
    def replica(self, port: int, definition: Path | None = None) -> Iterator[None]:
        """Another process of the data plane, with its own telemetry file, and perhaps with flags of its own."""
        words = [sys.executable, "-m", "dataplane.service", "--port", str(port)]
        words += ["--definition", str(definition)] if definition else []
        process = subprocess.Popen(words, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self._await(port)
            yield
        finally:
            process.kill()
            process.wait()

    @contextmanager
    def service(self, **environment: str) -> Iterator[None]:
        """The data plane, until the block ends."""
        self._start(environment)
        try:
            yield
        finally:
            self._stop()

    def _start(self, environment: Mapping[str, str]) -> None:
        words = [sys.executable, "-m", "dataplane.service", "--port", str(self.port)]
        with (self.folder / "service.log").open("ab") as log:
            self._serving = subprocess.Popen(
                words, cwd=self.folder, stdout=log, stderr=log, env={**os.environ, **environment}
            )
        try:
            self._await()
        except BaseException:
            self._stop()
            raise

    def _stop(self) -> None:
        if self._serving is not None:
            self._serving.kill()
            self._serving.wait()
            self._serving = None

    def _await(self, port: int | None = None) -> None:
        for _ in range(300):
            with suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port or self.port}/healthz", timeout=1).close()
                return
            time.sleep(0.1)
        raise AssertionError((self.folder / "service.log").read_text("utf-8"))

    @contextmanager
    def requests(self, per_second: float = 50.0) -> Iterator[Requests]:
        """Live requests of ever new users, until the block ends."""
        found, over = Requests(), threading.Event()
        thread = threading.Thread(target=self._ask, args=(found, over, per_second), daemon=True)
        thread.start()
        try:
            yield found
        finally:
            over.set()
            thread.join(20)

    def _ask(self, found: Requests, over: threading.Event, per_second: float) -> None:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        number = 0
        while not over.wait(1 / per_second):
            number += 1
            body = json.dumps({"key": f"user-{number}-{time.time_ns()}", "query": "how to open and read a csv file"})
            try:
                connection.request("POST", "/query", body)
                reply = connection.getresponse()
                data = json.loads(reply.read())
            except (OSError, HTTPException, ValueError) as error:
                found.statuses[type(error).__name__] += 1
                connection.close()
                continue
            found.statuses[reply.status] += 1
            if reply.status == 200:
                parts = json.dumps(data["components"], sort_keys=True)
                found.made_of.setdefault(data["release"], set()).add(parts)
                found.last_s[data["release"]] = time.time()


@contextmanager
def first_released(folder: Path, environment: Mapping[str, str] | None = None, **declared: Any) -> Iterator[Site]:
    """A site whose service runs, and where version 1 of everything serves, declared so; `restore` leads back here.

    It is released once in a process, where nothing special is wanted: later ones are the same folder, restored.
    """
    plain = not environment and not declared
    made = _released.pop() if plain and _released else None
    if made is not None and made.is_kept:
        made.restore()
        with made.service():
            yield made
    else:
        made = Site(folder)
        made.declare(**declared)
        with made.service(**(environment or {})):
            first = made.rollcast("apply", "--auto-approve", **(environment or {}))
            assert first.returncode == 0, first.stderr
            made.keep()
            yield made
    if plain:
        _released.append(made)


_released: list[Site] = []  # of this process, and not in use
