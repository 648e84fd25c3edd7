"""The provider as one process for all updates of a driver; the engine attaches to it.

Started by the engine, it would be started for each update, which is most of what an update costs: `make bench` prints
both. So the driver starts it, before the first update needs it. It is never shared between updates that may overlap: an
update that fails or is ended takes the provider with it, whatever that was doing, and the next update gets a new one.
It ends with its driver, and after a while without an update.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from rollcast.stacks.base.errors import EngineError
from rollcast.stacks.provider import ATTACHED

PROVIDERS = "PULUMI_DEBUG_PROVIDERS"  # where the engine looks for providers that run already: NAME:PORT
_PROGRAM = "pulumi-resource-rollcast"
_START_S = 60.0
_IDLE_S = 60.0


class ProviderProcess:
    """Starts and ends the provider. `environment` says whose writes they are; `log` takes its complaints."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self._environment, self._log = dict(environment), log
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._port: int | None = None
        self._idle: threading.Timer | None = None

    def start(self) -> None:
        """Starts it where it does not run, and does not wait for it. Raises EngineError."""
        with self._lock:
            self._awake()
            if self._process is not None and self._process.poll() is None:
                return
            program = Path(sys.executable).parent / _PROGRAM
            try:
                with open(os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as log:
                    self._process = subprocess.Popen(
                        [str(program), ATTACHED], env={**os.environ, **self._environment}, stdin=subprocess.DEVNULL,
                        stdout=subprocess.PIPE, stderr=log, start_new_session=True,
                    )  # fmt: skip
            except OSError as error:
                raise EngineError(f"{program} can't be started: {error.strerror}. Install rollcast again.") from None
            self._port = None

    def port(self) -> int:
        """Where it listens, as soon as it does. Raises EngineError with what it said where it ends instead."""
        self.start()
        process = self._process
        if self._port is None and process is not None and process.stdout is not None:
            ready, _, _ = select.select([process.stdout], [], [], _START_S)
            line = process.stdout.readline() if ready else b""
            if not line.strip().isdigit():
                self.end()
                raise EngineError(f"The provider did not start: {self._complaint()}. Run 'rollcast apply --resume'.")
            self._port = int(line)
        if self._port is None:
            raise EngineError("The provider was ended. Run 'rollcast apply --resume'.")
        return self._port

    def rest(self) -> None:
        """An update has ended well: the next one comes soon, or the provider ends."""
        with self._lock:
            self._awake()
            self._idle = threading.Timer(_IDLE_S, self.end)
            self._idle.daemon = True
            self._idle.start()

    def end(self) -> None:
        """Ends it at once, whatever it is doing."""
        with self._lock:
            self._awake()
            process, self._process, self._port = self._process, None, None
            if process is not None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                process.wait()
                if process.stdout is not None:
                    process.stdout.close()

    def _awake(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _complaint(self) -> str:
        try:
            lines = self._log.read_text("utf-8", "replace").split("\n")
        except OSError:
            lines = []
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


__all__ = ["PROVIDERS", "ProviderProcess"]
