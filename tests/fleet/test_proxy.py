"""The fleet's load balancer gives a request to another replica where one ended before it answered."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

from tests.fleet.site import HAPROXY
from tests.relay.relays import until
from tests.stacks.site import free_port


def replica(answers: bool) -> int:
    """The port of a server that answers, or that ends each connection once it has read from it."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                if answers:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")

    threading.Thread(target=serve, daemon=True).start()
    return int(listening.getsockname()[1])


def reached(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def posted(port: int, pause_s: float) -> bytes:
    """The status of a request whose body comes so long after its head."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as caller:
        caller.sendall(b"POST /ask HTTP/1.1\r\nHost: fleet\r\nContent-Length: 4\r\n\r\n")
        time.sleep(pause_s)
        caller.sendall(b"body")
        return caller.recv(100)[9:12]


def test_a_request_in_two_parts_is_given_to_another_replica_too(tmp_path: Path) -> None:
    port = free_port()
    servers = f"  server ends 127.0.0.1:{replica(False)}\n  server answers 127.0.0.1:{replica(True)}\n"
    (tmp_path / "haproxy.cfg").write_text(HAPROXY.replace("PORT", str(port)) + servers, "utf-8")
    proxy = subprocess.Popen(["haproxy", "-db", "-f", str(tmp_path / "haproxy.cfg")])
    try:
        until(lambda: reached(port), 20)
        assert [posted(port, pause_s) for pause_s in (0.0, 0.1) * 4] == [b"200"] * 8
    finally:
        proxy.terminate()
        proxy.wait()
