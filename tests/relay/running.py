"""`rollcast relay` as a process, and a replica's acknowledgement."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.stacks.site import ROLLCAST, free_port


class Relay:
    """One relay of a test, at ports of its own for its whole life."""

    def __init__(self, definition: Path, *options: str, **environment: str) -> None:
        self.definition, self.options, self.environment = definition, options, environment
        self.port, self.grpc_port = free_port(), free_port()
        self.log = definition.parent / f"relay-{self.port}.log"
        self.process: subprocess.Popen[bytes] | None = None
        scheme = "https" if "--tls-cert" in options else "http"
        self.url = f"{scheme}://127.0.0.1:{self.port}"

    def start(self) -> None:
        words = [ROLLCAST, "relay", "--definition", str(self.definition), "--port", str(self.port)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*words, "--grpc-port", str(self.grpc_port), *self.options],
                env={**os.environ, **self.environment}, stdout=log, stderr=log,
            )  # fmt: skip
        until = time.monotonic() + 30
        while not re.search(r"Relay: http", self.said()):
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < until, self.said()
            time.sleep(0.02)

    def said(self) -> str:
        return self.log.read_text("utf-8") if self.log.exists() else ""

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(10)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return httpx.request(method, self.url + path, json=body, headers=headers, trust_env=False, timeout=30)

    def fleet(self) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", "/rollcast/v1/fleet").json()
        return found

    def acknowledge(self, replica: str, **state: Any) -> httpx.Response:
        return self.ask("POST", f"/rollcast/v1/replicas/{replica}", {"protocol": 1, **state})


@contextmanager
def relaying(definition: Path, *options: str, **environment: str) -> Iterator[Relay]:
    made = Relay(definition, *options, **environment)
    made.start()
    try:
        yield made
    finally:
        made.stop()
