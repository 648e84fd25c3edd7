"""Runs a user's code within limits, and says in words what went wrong with it.

Guarantees: whatever the code does short of ending the process (it raises, exits, loops in Python, returns the wrong
thing, prints), the caller gets an answer in bounded time, and nothing is written to standard output. Limits: a loop
inside a C extension can't be stopped, only abandoned; its thread dies with the process.
"""

from __future__ import annotations

import contextlib
import contextvars
import ctypes
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from rollcast.policies.errors import NotJudged

T = TypeVar("T")
_STOP_TRIES = 5
_STOP_WAIT_S = 0.2


class _Stop(BaseException):
    """Thrown into code that has run too long."""


@dataclass(frozen=True, slots=True)
class Returned(Generic[T]):
    """The code came to its end."""

    value: T


@dataclass(frozen=True, slots=True)
class BrokenRule:
    """The code did not come to its end, and why."""

    why: str


@dataclass(frozen=True, slots=True)
class Declined:
    """The code said that it can't judge."""

    why: str


def run(work: Callable[[], T], limit_s: float) -> Returned[T] | BrokenRule | Declined:
    """What the work returns, or in words why it returned nothing. Never raises, never takes much longer."""
    answers: list[Returned[T] | BrokenRule | Declined] = []

    def attempt() -> None:
        try:
            answers.append(Returned(work()))
        except NotJudged as reason:
            answers.append(Declined(str(reason) or "the rule gives no reason"))
        except _Stop:
            pass
        except BaseException as error:  # a rule that calls sys.exit() has not judged either
            answers.append(BrokenRule(_told(error)))

    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(attempt,), daemon=True, name="rollcast-policy")
    with contextlib.redirect_stdout(sys.stderr):
        thread.start()
        thread.join(limit_s)
        if thread.is_alive():
            _stop(thread)
    return (
        answers[0] if answers else BrokenRule(f"it did not end within {limit_s:g} s; make it faster, or give limit_s")
    )


def _stop(thread: threading.Thread) -> None:
    """Throw into the thread until it ends; code that catches everything is thrown at again."""
    for _ in range(_STOP_TRIES):
        if thread.ident is None or not thread.is_alive():
            return
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(_Stop))
        thread.join(_STOP_WAIT_S)


def _told(error: BaseException) -> str:
    """An exception in one line, with the line of the code that it left."""
    name = type(error).__name__
    text = str(error).strip().splitlines()
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename != __file__]
    where = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"it raised {name}{': ' + text[0] if text else ''}{where}"
