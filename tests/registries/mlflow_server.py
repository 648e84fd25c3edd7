"""A real MLflow 3 on loopback, in an environment of its own (`mlflow-setup.sh`), and what makes it misbehave."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from tests.registries.api import ApiServer, Asked, Reply

_HERE = Path(__file__).parent
_START_S = 120.0


class MlflowProcess:
    """The server and its client, for as long as the context lasts."""

    def __enter__(self) -> MlflowProcess:
        made = subprocess.run(["sh", str(_HERE / "mlflow-setup.sh")], stdout=subprocess.PIPE, text=True, check=True)
        python = str(Path(made.stdout.strip()) / "bin" / "python")
        self.folder = Path(tempfile.mkdtemp(prefix="mlflow-"))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "PYTHONPATH"))}
        self._environment = {
            **kept, "MLFLOW_TRACKING_URI": self.address, "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # seven more processes otherwise
        }  # fmt: skip
        self._log = (self.folder / "log").open("wb")
        self._server = subprocess.Popen(
            [
                python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
                "--backend-store-uri", f"sqlite:///{self.folder / 'store.db'}", "--serve-artifacts",
                "--artifacts-destination", str(self.folder / "artifacts"),
            ],
            stdout=self._log, stderr=self._log, env=self._environment, cwd=self.folder,
            start_new_session=True,
        )  # fmt: skip
        self._client = subprocess.Popen(
            [python, str(_HERE / "mlflow_client.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True, env=self._environment,
            cwd=self.folder,
        )  # fmt: skip
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *about: object) -> None:
        assert self._client.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._client.stdin.close()
        try:
            self._client.wait(30)
        except subprocess.TimeoutExpired:
            self._client.kill()
            self._client.wait(10)
        os.killpg(self._server.pid, signal.SIGTERM)
        try:
            self._server.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self._server.pid, signal.SIGKILL)
            self._server.wait(10)
        self._log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def do(self, order: str, **about: Any) -> dict[str, Any]:
        """Has MLflow's own client do something; see `mlflow_client` for what it can."""
        assert self._client.stdin is not None
        assert self._client.stdout is not None
        self._client.stdin.write(json.dumps({"do": order, **about}) + "\n")
        self._client.stdin.flush()
        answer = self._client.stdout.readline()
        assert answer, (self.folder / "log").read_text("utf-8", "replace")[-3000:]
        done: dict[str, Any] = json.loads(answer)
        return done

    def _wait(self) -> None:
        began = time.monotonic()
        while time.monotonic() - began < _START_S:
            assert self._server.poll() is None, (self.folder / "log").read_text("utf-8", "replace")[-3000:]
            try:
                if httpx.get(f"{self.address}/health", timeout=2).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
        raise AssertionError(f"MLflow did not start within {_START_S:g} s")


class Gateway(ApiServer):
    """Stands before an MLflow server, asks for credentials where `wanted` says so, and misbehaves."""

    def __init__(self, behind: str) -> None:
        super().__init__()
        self.behind, self.wanted = behind, ""

    def reply(self, asked: Asked) -> Reply:
        if self.wanted and asked.authorization != self.wanted:
            return Reply(401, b"You are not authenticated.")
        answer = httpx.request(asked.method, self.behind + asked.path, params=asked.query, timeout=30)
        return Reply(answer.status_code, answer.content, {"content-type": answer.headers["content-type"]})


__all__ = ["Gateway", "MlflowProcess"]
