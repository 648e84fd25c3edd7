"""Whether a process can serve: looked at again and again until it does, ends, or is late.

What ends before it was ever ready is not waited for: its end is the answer. Messages quote the last lines of its log,
without the values of secrets.
"""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from rollcast.stacks.base import processes
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.instances import Provisioning
from rollcast.stacks.instances.process_settings import Ready

_LAST_LINES, _MOST_CHARACTERS = 5, 600
_CRASHES = 2  # that say that it will not come up
_LOOK_S = 2.0


@dataclass(frozen=True)
class Probed:
    """What is looked at: `command` is that of `ready`, with its variables replaced, run with this environment."""

    ready: Ready
    host: str
    port: int
    environment: Mapping[str, str]
    directory: Path
    command: tuple[str, ...] = ()


def wait_until_ready(folder: Path, probed: Probed, watch: Provisioning) -> None:
    """Returns once the process that a folder's supervisor runs can serve. Raises StackError, which says why not."""
    began_s, timeout_s = time.monotonic(), min(probed.ready.timeout, watch.timeout_s)
    seen, before = "", int(state_of(folder).get("restarts", 0))
    while time.monotonic() - began_s < timeout_s:
        if watch.stopped():
            raise StackError("was cancelled before it was ready")
        state = state_of(folder)
        child, crashes = state.get("child"), int(state.get("restarts", 0)) - before
        if crashes >= _CRASHES:
            raise StackError(f"ended {crashes} times before it was ready ({state.get('last_exit')})")
        if processes.is_alive(child):
            seen = _look(probed)
            if not seen and state_of(folder).get("child") == child and processes.is_alive(child):
                return
        time.sleep(probed.ready.every)
    raise StackError(f"was not ready within {timeout_s:g} s ({seen or 'it does not run'})")


def state_of(folder: Path) -> dict[str, Any]:
    """What a supervisor says of its program; empty where it has said nothing."""
    with suppress(OSError, ValueError):
        found = json.loads((folder / processes.STATE).read_text("utf-8"))
        return found if isinstance(found, dict) else {}
    return {}


def last_lines_of(log: Path, secrets: Sequence[str]) -> str:
    """The end of a log in one line, with the values of secrets taken out."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 8192))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return "it has no log"
    for secret in sorted({*secrets}, key=len, reverse=True):
        text = text.replace(secret, "***") if secret else text
    lines = [line.strip() for line in text.splitlines() if line.strip() and " rollcast: " not in line]
    return " | ".join(lines[-_LAST_LINES:])[-_MOST_CHARACTERS:] or "it said nothing"


def _look(probed: Probed) -> str:
    """Why it is not ready; empty where it is."""
    ready = probed.ready
    if ready.http is not None:
        url = f"http://{probed.host}:{probed.port}{ready.http}"
        try:
            with httpx.stream("GET", url, timeout=_LOOK_S, trust_env=False, verify=False) as answer:
                status = answer.status_code  # what it says besides is not waited for
        except httpx.HTTPError as error:
            return f"GET {ready.http}: {type(error).__name__}"
        return "" if status < 400 else f"GET {ready.http} answers {status}"
    if probed.command:
        try:
            done = subprocess.run(
                probed.command, cwd=probed.directory, env=dict(probed.environment), timeout=max(_LOOK_S, ready.every),
                stdin=subprocess.DEVNULL, capture_output=True, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"'{probed.command[0]}': {type(error).__name__}"
        return "" if done.returncode == 0 else f"'{probed.command[0]}' ends with status {done.returncode}"
    try:
        socket.create_connection((probed.host, probed.port), timeout=_LOOK_S).close()
    except OSError as error:
        return f"port {probed.port}: {error.strerror or type(error).__name__}"
    return ""


__all__ = ["Probed", "last_lines_of", "state_of", "wait_until_ready"]
