"""Processes that run one command each, forked from one in which everything is loaded already.

That one, the nursery, is forked before this process has threads or an event loop, and stays without them: it forks,
waits and says how each ended, nothing else. Its session is its own, so that a Ctrl-C at a terminal reaches the
controller alone, which then asks each command to end. When the controller is gone, however, the nursery asks each
command to end at a safe state, and ends after the last.

Messages are JSON, one a packet: `{job, folder, words}` with the two ends that it writes to, and `{job, signal}`;
answers are `{job, code}`, a negative code for the signal that ended it.

Long because both ends of one protocol are here.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import random
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

Run = Callable[[Sequence[str]], int]  # a command: its exit code
_LONGEST_LINE = 64 * 1024 * 1024
_PACKET = 64 * 1024
_REST_S = 2.0  # for what a command said last to arrive after it has ended


@dataclass(frozen=True)
class Work:
    """A command in a process of its own."""

    job: int
    out: asyncio.StreamReader
    said: asyncio.StreamReader
    ended: asyncio.Future[int]


class Workers:
    """The nursery, seen from the controller."""

    def __init__(self, end: socket.socket, pid: int) -> None:
        self._end, self.pid = end, pid
        self._jobs: dict[int, asyncio.Future[int]] = {}
        self._next = 0

    @classmethod
    def start(cls, run: Run) -> Workers:
        """Forks the nursery: call it while this process has one thread, and after everything is loaded."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        gc.collect()
        gc.freeze()  # what is loaded stays where it is in memory, so that the processes share it
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                ours.close()
                _Nursery(theirs, run).serve()
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        theirs.close()
        ours.setblocking(False)
        return cls(ours, pid)

    def attend(self) -> None:
        """Listens to the nursery from now on, in the running event loop."""
        asyncio.get_running_loop().add_reader(self._end.fileno(), self._hear)

    async def begin(self, folder: str, words: Sequence[str]) -> Work:
        """Runs a command in a folder."""
        self._next += 1
        job, loop = self._next, asyncio.get_running_loop()
        ends = [os.pipe(), os.pipe()]
        readers = []
        for read, _ in ends:
            reader = asyncio.StreamReader(limit=_LONGEST_LINE)
            pipe = os.fdopen(read, "rb", buffering=0)
            await loop.connect_read_pipe(lambda reader=reader: asyncio.StreamReaderProtocol(reader), pipe)  # type: ignore[misc]
            readers.append(reader)
        ended: asyncio.Future[int] = loop.create_future()
        self._jobs[job] = ended
        try:
            message = json.dumps({"job": job, "folder": folder, "words": list(words)}).encode()
            socket.send_fds(self._end, [message], [write for _, write in ends])
        except OSError as error:
            del self._jobs[job]
            raise ConnectionError(f"the process that starts commands is gone ({error})") from None
        finally:
            for _, write in ends:
                os.close(write)
        return Work(job, readers[0], readers[1], ended)

    def signal(self, job: int, number: int) -> None:
        """Sends a signal to a command that runs."""
        if job in self._jobs:
            with contextlib.suppress(OSError):
                self._end.send(json.dumps({"job": job, "signal": int(number)}).encode())

    def signal_all(self, number: int) -> None:
        for job in list(self._jobs):
            self.signal(job, number)

    @property
    def at_work(self) -> int:
        return len(self._jobs)

    def end(self) -> None:
        """Lets the nursery go; it ends after the last command."""
        with contextlib.suppress(Exception):
            asyncio.get_running_loop().remove_reader(self._end.fileno())
        self._end.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)

    def _hear(self) -> None:
        while True:
            try:
                packet = self._end.recv(_PACKET)
            except BlockingIOError:
                return
            except OSError:
                packet = b""
            if not packet:  # it was killed: nothing runs any more that it could speak of
                asyncio.get_running_loop().remove_reader(self._end.fileno())
                for ended in self._jobs.values():
                    if not ended.done():
                        ended.set_exception(ConnectionError("the process that starts commands was ended"))
                self._jobs.clear()
                return
            answer = json.loads(packet)
            ended_job = self._jobs.pop(answer["job"], None)
            if ended_job is not None and not ended_job.done():
                ended_job.set_result(answer["code"])


async def lines_of(reader: asyncio.StreamReader, ended: asyncio.Future[int], take: Callable[[str], None]) -> None:
    """Each line that a command writes, until it has ended; what it left behind may hold the pipe for longer."""
    pending: asyncio.Task[bytes] | None = None
    while True:
        pending = pending or asyncio.ensure_future(reader.readline())
        waited: set[asyncio.Future[Any]] = {pending, ended}
        done, _ = await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if pending not in done:
            await asyncio.wait({pending}, timeout=_REST_S)
        if not pending.done():
            pending.cancel()
            return
        line = b""
        with contextlib.suppress(ValueError, OSError):  # a line beyond every bound is left out
            line = pending.result()
            if not line:
                return
        pending = None
        take(line.decode("utf-8", "replace").rstrip("\n"))


class _Nursery:
    """The loop of the process that forks."""

    def __init__(self, end: socket.socket, run: Run) -> None:
        self._end, self._run = end, run
        self._pids: dict[int, int] = {}  # number of a process -> job

    def serve(self) -> None:
        os.setsid()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        woken, wake = os.pipe()
        for fd in (woken, wake):
            os.set_blocking(fd, False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        listening = True
        while listening or self._pids:
            watched: list[int | socket.socket] = [woken, *([self._end] if listening else [])]
            ready, _, _ = select.select(watched, [], [], 5.0)
            if woken in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(woken, 4096)
            self._reap()
            if self._end in ready and not self._obey():
                listening = False
                for pid in self._pids:
                    os.kill(pid, signal.SIGTERM)

    def _reap(self) -> None:
        while self._pids:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            job = self._pids.pop(pid, None)
            if job is not None:
                with contextlib.suppress(OSError):
                    self._end.send(json.dumps({"job": job, "code": os.waitstatus_to_exitcode(status)}).encode())

    def _obey(self) -> bool:
        """One message; False where the controller is gone."""
        try:
            packet, fds, _, _ = socket.recv_fds(self._end, _PACKET, 2)
        except OSError:
            return False
        if not packet:
            return False
        message = json.loads(packet)
        if "signal" in message:
            for pid, job in self._pids.items():
                if job == message["job"]:  # not waited for yet, so that the number is still its own
                    os.kill(pid, message["signal"])
            return True
        pid = os.fork()
        if pid == 0:
            self._become(message, fds)
        self._pids[pid] = message["job"]
        for fd in fds:
            os.close(fd)
        return True

    def _become(self, message: dict[str, object], fds: Sequence[int]) -> None:
        """This process is the command from here on, and ends with it."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self._end.close()
            nothing = os.open(os.devnull, os.O_RDONLY)
            for fd, standard in ((nothing, 0), (fds[0], 1), (fds[1], 2)):
                os.dup2(fd, standard)
                os.close(fd)
            sys.stdin, sys.stdout, sys.stderr = open(0, encoding="utf-8"), _written(1), _written(2)  # noqa: SIM115
            random.seed()
            os.chdir(str(message["folder"]))
            words = message["words"]
            code = self._run(words if isinstance(words, list) else [])
        except KeyboardInterrupt:
            code = 130
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)


def _written(fd: int) -> TextIO:
    """A stream of this process alone: the one that it was forked with knows where in another file it was."""
    return open(fd, "w", encoding="utf-8", errors="replace", buffering=1, closefd=False)


__all__ = ["Run", "Work", "Workers", "lines_of"]
