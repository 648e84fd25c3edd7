"""What asks a driver to end: Ctrl-C, a service manager, and a terminal that is closed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from rollcast.stacks.ledger.ledger import open_ledger
from rollcast.stacks.rollout.start import holding
from tests.relay.relays import until


def signalled(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)
    until(lambda: False)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_each_asks_once_for_a_safe_state_and_a_second_one_ends_now(number: signal.Signals, tmp_path: Path) -> None:
    ended: list[str] = []
    before = signal.getsignal(number)
    with holding(open_ledger(tmp_path, "chat/dev"), take_over=False) as held:
        assert not held.stopping()
        os.kill(os.getpid(), number)
        until(held.stopping)  # a signal comes when this thread runs next, which need not be at once
        held.on_second.append(lambda: ended.append("engine"))
        with pytest.raises(KeyboardInterrupt):
            signalled(number)
    assert ended == ["engine"]
    assert signal.getsignal(number) is before


def test_what_nohup_ignores_stays_ignored(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with holding(open_ledger(tmp_path, "chat/dev"), take_over=False) as held:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not held.stopping()
    finally:
        signal.signal(signal.SIGHUP, before)
