"""What our plain ASGI applications share: the types of a call, and the body of a request with a limit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class BodyRefused(Exception):
    """A body that is not read. `status`: what its sender is answered; the text says why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


async def body_of(receive: Receive, most: int) -> bytes:
    """A request's body. Raises BodyRefused where it has more bytes than `most`, or its sender went away."""
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BodyRefused(400, "The sender went away.")
        part = message.get("body", b"")
        size += len(part)
        if size > most:
            raise BodyRefused(413, f"The body is over {most:,} bytes.")
        parts.append(part)
        more = message.get("more_body", False)
    return b"".join(parts)


__all__ = ["BodyRefused", "Receive", "Scope", "Send", "body_of"]
