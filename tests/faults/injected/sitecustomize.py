"""Breaks a rollout at its failpoints: imported by every Python that has this folder on its path, before anything else.

ROLLCAST_FAULTS names a folder. Every process of a rollout (driver, provider) writes each failpoint that it passes into
`passed` there, one line each, and at those that `faults.json` names (`{"<number>": "<action>"}`, or
`"<name>#<how often it was passed>"`, or a name for all of its kind) does what it says:

- kill: this process dies at once (SIGKILL), and what it started lives on for a while;
- kill-engine: the engine dies and its provider is left behind (in the driver: as kill);
- kill-all: everything of the rollout dies at once, as when a machine loses power;
- fail: the call fails with an I/O error; nothing was done;
- full: as `fail`, because the disk is full;
- lose: as `fail`, at the failpoint after the call: it was done, and its answer is lost;
- hang: the call does not return for an hour;
- pause-all: everything of the rollout stops (SIGSTOP) until it is continued.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import time
from pathlib import Path

FAULTS = "ROLLCAST_FAULTS"
DRIVER = "ROLLCAST_DRIVER"
_HANG_S = 3600.0


class InjectedFault(OSError):
    """A fault that a test set."""


def _pass(folder: Path, name: str) -> None:
    with (folder / "passed").open("a+", encoding="utf-8") as passed:
        fcntl.flock(passed, fcntl.LOCK_EX)
        passed.seek(0)
        names = [line.strip() for line in passed]
        passed.write(f"{name}\n")
        passed.flush()
    wanted = json.loads((folder / "faults.json").read_text("utf-8"))
    keys = (str(len(names)), f"{name}#{names.count(name)}", name)
    action = next((wanted[key] for key in keys if key in wanted), None)
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "kill-engine":
        os.kill(_engine() if os.environ.get(DRIVER) else os.getpid(), signal.SIGKILL)
        time.sleep(2.0)
    elif action == "kill-all":
        _signal_all(signal.SIGKILL)
    elif action in ("fail", "lose"):
        raise InjectedFault(5, "injected fault", name)
    elif action == "full":
        raise InjectedFault(errno.ENOSPC, "no space left on device", name)
    elif action == "pause-all":
        _signal_all(signal.SIGSTOP)
    elif action == "hang":
        time.sleep(_HANG_S)


def _engine() -> int:
    """The engine of this provider's driver."""
    mark = f"{DRIVER}={os.environ[DRIVER]}".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if b"/pulumi\0" in (entry / "cmdline").read_bytes() and mark in (entry / "environ").read_bytes().split(
                b"\0"
            ):
                return int(entry.name)
        except OSError:
            continue
    return os.getpid()


def _signal_all(number: signal.Signals) -> None:
    """The driver first, so that nothing can react; then its engines and providers, this process last."""
    driver = os.environ.get(DRIVER) or str(os.getpid())
    others = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            environ = (entry / "environ").read_bytes()
        except OSError:
            continue
        if f"{DRIVER}={driver}".encode() in environ.split(b"\0"):
            others.append(int(entry.name))
    own = os.getpid()
    first = [] if int(driver) == own else [int(driver)]
    for pid in [*first, *(pid for pid in others if pid != own), own]:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def _install(folder: Path) -> None:
    from rollcast.stacks.base import failpoints

    failpoints.install(lambda name: _pass(folder, name))


if os.environ.get(FAULTS):
    _install(Path(os.environ[FAULTS]))
