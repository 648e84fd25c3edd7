"""A relay in a process of its own, so that its end closes its connections: `killable` in tests."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.dataplane.relaying import Relaying, relaying

ROOT = Path(__file__).parents[2]


@contextmanager
def killable(port: int, text: str) -> Iterator[subprocess.Popen[bytes]]:
    """Runs until it is killed or the block ends."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    words = [sys.executable, "-m", "tests.dataplane_ts.relay_process", str(port), text]
    process = subprocess.Popen(words, env=environment, cwd=ROOT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    relay = Relaying()
    relay.port = int(sys.argv[1])
    relay.put(sys.argv[2])
    with relaying(relay):
        threading.Event().wait()
