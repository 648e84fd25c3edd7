"""Runs a user's code, and says in words what went wrong with it.

`run_apart` runs it in a process of its own, a fork of this one, so that nothing has to be sent there and only its
answer comes back. Guarantees: whatever the code does (it raises, exits, ends its process, loops in Python or in C,
crashes, takes all memory, changes what it judges), the caller gets an answer in bounded time and goes on unharmed. One
process runs all of a command's rules; another one is made only for those after a rule that had to be stopped. Nothing
is written to standard output.

`run_here` runs it in this process, thousands of times a second, for property tests: what it raises is an answer, and
there is no limit. Needs a POSIX system.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import select
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NoReturn, TypeVar

from rollcast.policies.errors import NotJudged

T = TypeVar("T")
MEMORY_BYTES = 2 << 30
_MOST_BYTES = 64 << 20
_CHUNK_BYTES = 1 << 16
_LAST_WORDS_S = 1.0


@dataclass(frozen=True, slots=True)
class Returned(Generic[T]):
    """The code came to its end."""

    value: T


@dataclass(frozen=True, slots=True)
class BrokenRule:
    """The code did not come to its end, and why. `stopped`: its process is gone, and all that it had changed."""

    why: str
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class Declined:
    """The code said that it can't judge."""

    why: str


def run_here(work: Callable[[], T]) -> Returned[T] | BrokenRule | Declined:
    """What the work returns, or in words why it returned nothing. Takes as long as the work does."""
    with contextlib.redirect_stdout(sys.stderr):
        try:
            return Returned(work())
        except NotJudged as reason:
            return Declined(str(reason) or "the rule gives no reason")
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a rule that calls sys.exit() has not judged either
            return BrokenRule(_cause(error))


def run_apart(
    works: Sequence[Callable[[], Any]], limits_s: Sequence[float]
) -> list[Returned[Any] | BrokenRule | Declined]:
    """What each work returns, a JSON value, or in words why it returned nothing; in order, each within its limit.

    They share a process, and with it what they change, until one has to be stopped.
    """
    answers: list[Returned[Any] | BrokenRule | Declined] = []
    while len(answers) < len(works):
        answers += _in_child(works[len(answers) :], limits_s[len(answers) :])
    return answers


def _in_child(
    works: Sequence[Callable[[], Any]], limits_s: Sequence[float]
) -> list[Returned[Any] | BrokenRule | Declined]:
    """The answers of a process: of all the works, or up to the first one that had to be stopped."""
    reader, writer = os.pipe()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()  # else the child would write it once more
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the child runs nothing but the rules, and is bounded
        child = os.fork()
    if child == 0:
        os.close(reader)
        _answer_all(writer, works)
    os.close(writer)
    answers: list[Returned[Any] | BrokenRule | Declined] = []
    waiting = _Lines(reader, child)
    try:
        with contextlib.suppress(OSError):
            os.setpgid(child, child)  # the child does so too; whoever is first
        for limit_s in limits_s:
            try:
                text = waiting.next(limit_s)
            except TimeoutError:
                why = f"it did not end within {limit_s:g} s; make it faster, or give limit_s"
                return [*answers, BrokenRule(why, stopped=True)]
            answer = _read(text) if text is not None else None
            if answer is None:
                return [*answers, BrokenRule(_ended(child), stopped=True)]
            answers.append(answer)
        with contextlib.suppress(TimeoutError):
            waiting.next(_LAST_WORDS_S)
        return answers
    finally:
        waiting.close()
        _kill(child)  # and whatever it has begun; its number is its own until it is waited for
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, 0)


def _answer_all(writer: int, works: Sequence[Callable[[], Any]]) -> NoReturn:
    """The child: one line of JSON for each work. Ends the process."""
    try:
        gc.freeze()  # a collection would copy every page that is shared with the parent
        with contextlib.suppress(OSError):
            os.setpgid(0, 0)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.dup2(2, 1)
        sys.stdout = sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="replace", buffering=1, closefd=False)
        _limit_memory()
        for work in works:
            answer = run_here(lambda work=work: json.dumps(work()))  # type: ignore[misc]
            if isinstance(answer, Returned):
                line = f'["returned", {answer.value}]'
            else:
                line = json.dumps(["declined" if isinstance(answer, Declined) else "broken", answer.why])
            rest = line.encode() + b"\n"
            while rest:
                rest = rest[os.write(writer, rest) :]
        sys.stderr.flush()
    finally:
        os._exit(0)


def _limit_memory() -> None:
    """So much more than now and no more; and where the machine has too little, this process goes first."""
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/self/status").read_text("utf-8").splitlines()
        now_kib = next(int(line.split()[1]) for line in lines if line.startswith("VmData:"))
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        limit = now_kib * 1024 + MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_DATA, (limit if most < 0 else min(limit, most), most))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", "utf-8")


class _Lines:
    """The lines of a child's pipe, each waited for in bounded time, and no longer than the child lives."""

    def __init__(self, reader: int, child: int) -> None:
        self._reader, self._buffer = reader, bytearray()
        # A process that the child began may hold the pipe open when the child is gone.
        self._alive = os.pidfd_open(child) if hasattr(os, "pidfd_open") else None

    def close(self) -> None:
        os.close(self._reader)
        if self._alive is not None:
            os.close(self._alive)

    def next(self, limit_s: float) -> bytes | None:
        """The next line; None where the other side is gone, or says more than any rule needs. Raises TimeoutError."""
        until = time.monotonic() + limit_s
        while (end := self._buffer.find(b"\n")) < 0:
            left_s = until - time.monotonic()
            watched = [self._reader] if self._alive is None else [self._reader, self._alive]
            ready = select.select(watched, [], [], left_s)[0] if left_s > 0 else []
            if not ready:
                raise TimeoutError
            if self._reader not in ready:
                return None
            more = os.read(self._reader, _CHUNK_BYTES)
            if not more or len(self._buffer) > _MOST_BYTES:
                return None
            self._buffer += more
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line


def _read(line: bytes) -> Returned[Any] | BrokenRule | Declined | None:
    """A child's answer; None where it is none."""
    try:
        kind, value = json.loads(line)
    except ValueError:
        return None
    match kind:
        case "returned":
            return Returned(value)
        case "declined":
            return Declined(str(value))
        case "broken":
            return BrokenRule(str(value))
        case _:
            return None


def _ended(child: int) -> str:
    """How a child ended that gave no answer. It stays to be waited for."""
    _kill(child)
    found = os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert found is not None
    status = found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
    if status == -signal.SIGKILL:
        return "its process was killed; it may have taken too much memory"
    if status < 0:
        return f"its process crashed ({signal.Signals(-status).name})"
    return "it ended its process without an answer"


def _kill(child: int) -> None:
    """Everything of a child that is still there, its own children included. One that ended stays ended."""
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(OSError):
            kill(child, signal.SIGKILL)


def _cause(error: BaseException) -> str:
    """An exception in one line, with the line of the code that it left."""
    name = type(error).__name__
    text = str(error).strip().splitlines()
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename != __file__]
    where = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"it raised {name}{': ' + text[0] if text else ''}{where}"
