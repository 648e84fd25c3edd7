"""A server that answers with the bytes that a test gives it, as slowly as it says."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def answering(pieces: Iterable[bytes], pause_s: float = 0.0) -> Iterator[str]:
    """The address of a server that sends these pieces to whoever connects, with a pause between two."""
    sent = list(pieces) if not isinstance(pieces, Iterator) else pieces
    listener = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def serve(client: socket.socket) -> None:
        with client, suppress(OSError):
            client.settimeout(5)
            client.recv(65536)
            for piece in sent:
                if done.is_set():
                    return
                client.sendall(piece)
                time.sleep(pause_s)

    def accept() -> None:
        with suppress(OSError):
            while not done.is_set():
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        done.set()
        listener.close()


def reply(body: bytes, head: str = "", status: str = "200 OK") -> list[bytes]:
    """A whole answer."""
    return [f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{head}\r\n".encode(), body]
