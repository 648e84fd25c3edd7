"""Delivers beside a driver's work: a thread for each receiver, none of which a rollout waits for.

Only at the end of a command they have some seconds for what was recorded last. What is left then is in the ledger, for
the next driver or `rollcast notify`.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Sequence

from rollcast.planner.declaration.receivers import Receiver
from rollcast.stacks.base.errors import LedgerError, LockedError
from rollcast.stacks.base.events import Emit, Event, Progressed
from rollcast.stacks.ledger.lease import Lease
from rollcast.stacks.ledger.ledger import Ledger
from rollcast.stacks.notifying.posting import Post, post
from rollcast.stacks.notifying.queue import Queue, shown

LINGER_S = 3.0
_POLL_S = 1.0
_LOG = logging.getLogger(__name__)


class _Worker:
    """One receiver's thread."""

    def __init__(self, ledger: Ledger, lease: Lease, receiver: Receiver, send: Post) -> None:
        self._about = (ledger, lease, receiver, send)
        self.receiver = receiver
        self.queue: Queue | None = None
        self.wake, self.closing, self.over = threading.Event(), threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._run, name=f"notify {shown(receiver)}", daemon=True)

    def _run(self) -> None:
        while not self.over.is_set():
            last = self.closing.is_set()  # before the look: what was recorded until then is seen by it
            try:
                self.queue = self.queue or Queue(*self._about)
                wait_s = self.queue.step()
            except LockedError:
                return  # another process has taken over, and delivers
            except LedgerError as error:
                _LOG.debug("%s waits for the ledger: %s", self.thread.name, error)
                wait_s = _POLL_S
            except Exception:
                _LOG.exception("%s ended; what is left is delivered by the next driver", self.thread.name)
                return
            if wait_s == 0.0:
                continue
            if last:
                return
            self.wake.wait(min(_POLL_S, wait_s or _POLL_S))
            self.wake.clear()


@contextlib.contextmanager
def delivering(
    ledger: Ledger, lease: Lease, receivers: Sequence[Receiver], emit: Emit, send: Post = post
) -> Iterator[Emit]:
    """While the block runs, receivers get what is recorded; gives what events are to be emitted by."""
    if not receivers:
        yield emit
        return
    workers = [_Worker(ledger, lease, receiver, send) for receiver in receivers]
    for worker in workers:
        worker.thread.start()

    def emitted(event: Event) -> None:
        emit(event)
        for worker in workers:
            worker.wake.set()

    try:
        yield emitted
    finally:
        for text in _end(workers):
            emit(Progressed(text=text))


def _end(workers: Sequence[_Worker]) -> Iterator[str]:
    """Waits some seconds in all, and says what is left."""
    until = time.monotonic() + LINGER_S
    for worker in workers:
        worker.closing.set()
        worker.wake.set()
    for worker in workers:
        worker.thread.join(max(0.0, until - time.monotonic()))
        worker.over.set()
    for worker in workers:
        queue = worker.queue
        if queue is not None and queue.left:
            why = f": {queue.state.error}" if queue.state.error else ""
            count = f"{queue.left} notification{'' if queue.left == 1 else 's'}"
            yield f"{shown(worker.receiver)} has not got {count} yet{why}. 'rollcast notify' or the next driver goes on"


__all__ = ["LINGER_S", "delivering"]
