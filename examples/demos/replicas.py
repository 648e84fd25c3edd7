"""Programs that run beside a demo and end with it: the replicas of a service, and haproxy before them."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

HAPROXY = """
defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 60s
frontend users
  bind 127.0.0.1:{front}
  default_backend service
backend service
  balance roundrobin
{servers}
"""
STARTS_WITHIN_S, ENDS_WITHIN_S = 60, 65  # a load waits for answers that are to come


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def background(folder: Path, name: str, *words: str, program: str = sys.executable) -> Iterator[None]:
    """A program that runs beside the demo and ends with it; what it says goes to `name`.log."""
    with (folder / f"{name}.log").open("ab") as log:
        process = subprocess.Popen([program, *words], cwd=folder, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(ENDS_WITHIN_S)
            if process.poll() is None:
                process.kill()
                process.wait()


def wait_until_it_answers(endpoint: str) -> None:
    """Returns when `/healthz` answers. Ends the demo where it does not within a minute."""
    for _ in range(STARTS_WITHIN_S * 10):
        with suppress(OSError):
            urllib.request.urlopen(f"{endpoint}/healthz", timeout=1).close()
            return
        time.sleep(0.1)
    sys.exit(f"The service did not start within {STARTS_WITHIN_S} s; see the service logs in the demo's folder.")


@contextmanager
def serving(folder: Path, replicas: Sequence[int], service: Sequence[str]) -> Iterator[str]:
    """Replicas of a service, and the address at which users find them: haproxy's, where there are several.

    `service`: words after `python` that start one; `--port N` is added, for each port of `replicas`.
    """
    with ExitStack() as stack:
        for port in replicas:
            stack.enter_context(background(folder, f"service-{port}", *service, "--port", str(port)))
        for port in replicas:
            wait_until_it_answers(f"http://127.0.0.1:{port}")
        if len(replicas) == 1:
            yield f"http://127.0.0.1:{replicas[0]}"
            return
        front = free_port()
        servers = "\n".join(f"  server r{port} 127.0.0.1:{port}" for port in replicas)
        (folder / "haproxy.cfg").write_text(HAPROXY.format(front=front, servers=servers), "utf-8")
        stack.enter_context(background(folder, "haproxy", "-f", "haproxy.cfg", program=str(shutil.which("haproxy"))))
        wait_until_it_answers(f"http://127.0.0.1:{front}")
        yield f"http://127.0.0.1:{front}"
