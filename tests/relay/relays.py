"""A relay as its users run it: a process of its own, with its flag file, tokens and certificate."""

from __future__ import annotations

import json
import os
import queue
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.commands import ROLLCAST
from tests.stacks.site import free_port

_SAYS = re.compile(r"Relay: (https?)://[^ ]*:(\d+), flagd sync at [^ ]*:(\d+)")


class RunningRelay:
    """One relay on fixed ports, so that it can be killed and come back."""

    def __init__(self, definition: Path, words: tuple[str, ...] = (), **environment: str) -> None:
        self.definition, self._words, self._environment = definition, words, environment
        self.port, self.grpc_port = free_port(), free_port()
        self.lines: queue.Queue[str] = queue.Queue()
        self.said: list[str] = []
        self._process: subprocess.Popen[str] | None = None
        self.scheme = "https" if "--tls-cert" in words else "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://localhost:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        words = [ROLLCAST, "relay", "--definition", str(self.definition), "--port", str(self.port)]
        words += ["--grpc-port", str(self.grpc_port), *self._words]
        self._process = subprocess.Popen(
            words, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env={**os.environ, "NO_COLOR": "1", **self._environment},
        )  # fmt: skip
        threading.Thread(target=self._read, args=(self._process,), daemon=True).start()
        self.await_said("Relay:")

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            self.lines.put(line)

    def await_said(self, text: str, within_s: float = 20.0) -> str:
        """Returns once the relay has said this on its standard error."""
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            try:
                self.said.append(self.lines.get(timeout=0.1))
            except queue.Empty:
                assert self._process is not None
                assert self._process.poll() is None, "".join(self.said)
                continue
            if text in self.said[-1]:
                return self.said[-1]
        raise AssertionError(f"it never said {text!r}: {self.said}")

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """Ends it politely, where it runs; gives its exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(10)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return httpx.request(method, self.url + path, json=body, headers=headers, trust_env=False, timeout=30)

    def acknowledge(self, replica: str, **state: Any) -> httpx.Response:
        return acknowledge(self.url, replica, **state)

    def all_said(self) -> str:
        """Everything that it has said so far."""
        while not self.lines.empty():
            self.said.append(self.lines.get())
        return "".join(self.said)

    def fleet(self, **headers: str) -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(f"{self.url}/rollcast/v1/fleet", headers=headers, trust_env=False).json()
        return found


@contextmanager
def relaying(definition: Path, *words: str, **environment: str) -> Iterator[RunningRelay]:
    """A relay until the block ends."""
    running = RunningRelay(definition, words, **environment)
    running.start()
    try:
        yield running
    finally:
        running.kill()


def split_flag(percent: float = 50.0, other: str = "rel-new") -> dict[str, Any]:
    """A flag that divides people between two releases."""
    weight = round(percent * 1000)
    rule = {"fractional": [{"cat": ["s:", {"var": "targetingKey"}]}, [other, weight], ["rel-old", 100_000 - weight]]}
    variants = {name: {"release": name} for name in ("rel-old", other)}
    return {
        "state": "ENABLED",
        "variants": {**variants, "paused": {"release": None, "paused": True}},
        "defaultVariant": "paused",
        "targeting": rule,
        "metadata": {"rollcast_content": f"sha256:{other}-{weight}"},
    }


def definition_text(*, key: str = "rollcast-p", **flag: Any) -> str:
    return json.dumps({"flags": {key: split_flag(**flag)}})


def until(true: Callable[[], Any], within_s: float = 10.0) -> Any:
    """Waits for something; gives it."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        found = true()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it never came true")


def acknowledge(url: str, replica: str, headers: Mapping[str, str] | None = None, **state: Any) -> httpx.Response:
    """One acknowledgement."""
    body = {"protocol": 1, "releases": {}, "definitions": {}, "lease_s": 10, "leaving": False, **state}
    return httpx.post(f"{url}/rollcast/v1/replicas/{replica}", json=body, headers=headers or {}, trust_env=False)


__all__ = ["RunningRelay", "acknowledge", "definition_text", "relaying", "split_flag", "until"]
