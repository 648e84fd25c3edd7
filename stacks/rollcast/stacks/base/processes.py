"""Processes by their identity, and a supervisor that keeps one program running.

The standard library alone, for it is also run by its path: `python processes.py FOLDER` supervises what the folder's
`spec.json` says, until it is sent SIGTERM. Whoever started the supervisor may end. The program writes to its log file
itself, so it goes on when the supervisor is killed, and the next supervisor takes it over as it runs. `state.json` says
what runs. No promise beyond one machine: after a restart of it nothing runs until somebody starts a supervisor.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, TypedDict

SPEC, STATE, LOCK = "spec.json", "state.json", "supervisor.lock"
_POLL_S = 0.2  # of a program that another supervisor started
_LOOK_S = 5.0
_STEADY_S = 60.0  # after which a crash counts as the first again
_MOST_S = 30.0
_LOG_BYTES = 10 * 1024 * 1024


class Identity(TypedDict):
    """A process; a later one with the same number has begun at another time, or after another start of the machine."""

    pid: int
    began: str
    boot: str


def boot_of() -> str:
    """Which start of this machine it is; empty where that is not known."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def began(pid: int) -> str | None:
    """When a process began, in clock ticks since the machine did; None when there is none, or only its remains."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in ("Z", "X") else fields[19]


def identity_of(pid: int) -> Identity:
    """The identity of a process that runs."""
    return {"pid": pid, "began": began(pid) or "", "boot": boot_of()}


def is_alive(one: Identity | None) -> bool:
    """Whether this very process runs."""
    return one is not None and one["boot"] == boot_of() and bool(one["began"]) and began(one["pid"]) == one["began"]


def end_group(one: Identity, stop_s: float) -> None:
    """Ends a program and all that it started: asked to first, killed after `stop_s`."""
    for number, patience_s in ((signal.SIGTERM, stop_s), (signal.SIGKILL, 5.0)):
        if not is_alive(one):
            break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(one["pid"], number)
        until = time.monotonic() + patience_s
        while is_alive(one) and time.monotonic() < until:
            time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(one["pid"], signal.SIGKILL)  # what it left behind


class Supervisor:
    """Keeps one program running: restarts it with ever longer pauses, ends it when it is asked to end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spec: dict[str, Any] = json.loads((folder / SPEC).read_text("utf-8"))
        self.log = Path(self.spec["log"])
        self.program: subprocess.Popen[bytes] | None = None
        self.child: Identity | None = None
        self.restarts, self.last_exit = 0, ""
        self.stopping = False
        self._woken, wake = os.pipe()
        for end in (self._woken, wake):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)

    def _stop(self, number: int, frame: object) -> None:
        self.stopping = True

    def run(self) -> None:
        """Returns once the program has ended on request."""
        self._take_over()
        pause_s = first_s = float(self.spec["restart_s"])
        while not self.stopping:
            if self.child is None:
                self._start()
            began_s = time.monotonic()
            while not self.stopping and self._runs():
                self._wait(_LOOK_S if self.program is not None else _POLL_S)
                self._cut_log()
            if self.stopping:
                break
            if time.monotonic() - began_s > _STEADY_S:
                pause_s = first_s
            self._note(f"ended ({self.last_exit or 'unseen'}), and is started again in {pause_s:g} s")
            self.child, self.restarts = None, self.restarts + 1
            self._save()
            self._sleep(pause_s)
            pause_s = min(2 * pause_s, max(_MOST_S, first_s))
        if self.child is not None:
            end_group(self.child, float(self.spec["stop_s"]))
            if self.program is not None:
                self.program.wait()
            self.child = None
        self._note("ended, on request")
        self._save()

    def _take_over(self) -> None:
        with contextlib.suppress(OSError, ValueError, KeyError):
            found = json.loads((self.folder / STATE).read_text("utf-8"))
            if is_alive(found["child"]):
                self.child, self.restarts = found["child"], int(found["restarts"])
                self._note("goes on under another supervisor")
        self._save()

    def _start(self) -> None:
        try:
            with self.log.open("ab") as log:
                self.program = subprocess.Popen(
                    self.spec["command"], cwd=self.spec["directory"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    start_new_session=True,
                )  # fmt: skip
        except OSError as error:
            self.program, self.child = None, None
            self.last_exit = f"it can't be run: {error.strerror}"
        else:
            self.child = identity_of(self.program.pid)
        self._save()

    def _runs(self) -> bool:
        if self.program is None:
            return is_alive(self.child)
        code = self.program.poll()
        if code is None:
            return True
        self.last_exit = f"signal {-code}" if code < 0 else f"exit status {code}"
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.program.pid, signal.SIGKILL)  # what it left behind would keep its port
        return False

    def _wait(self, most_s: float) -> None:
        select.select([self._woken], [], [], most_s)
        with contextlib.suppress(BlockingIOError):
            os.read(self._woken, 4096)

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self.stopping and (left_s := until - time.monotonic()) > 0:
            self._wait(left_s)

    def _cut_log(self) -> None:
        with contextlib.suppress(OSError):
            if self.log.stat().st_size > _LOG_BYTES:
                shutil.copyfile(self.log, self.log.with_name(f"{self.log.name}.1"))
                os.truncate(self.log, 0)  # its writer appends

    def _note(self, text: str) -> None:
        with contextlib.suppress(OSError), self.log.open("a", encoding="utf-8") as log:
            log.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} rollcast: {text}\n")

    def _save(self) -> None:
        state = {
            "supervisor": identity_of(os.getpid()), "child": self.child, "restarts": self.restarts,
            "last_exit": self.last_exit,
        }  # fmt: skip
        staged = self.folder / f".{STATE}.{os.getpid()}"
        with contextlib.suppress(OSError):  # a full disk ends no service
            staged.write_text(json.dumps(state), "utf-8")
            os.replace(staged, self.folder / STATE)


def supervise(folder: Path) -> None:
    """Supervises what a folder says; at once over where another process does."""
    with (folder / LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        Supervisor(folder).run()


if __name__ == "__main__":
    supervise(Path(sys.argv[1]))
