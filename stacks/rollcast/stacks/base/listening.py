"""Addresses that a process listens at: one bound socket, its address as people write it, and who reaches it."""

from __future__ import annotations

import ipaddress
import socket

from rollcast.stacks.base.errors import StackError


def listening_at(host: str, port: int, backlog: int, remedy: str) -> socket.socket:
    """A socket that listens there already: who calls at once is answered a moment later. A port of 0: any free one.

    Raises StackError with the remedy where nothing can listen there.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(backlog)
    except OSError as error:
        why = error.strerror or str(error)
        raise StackError(f"{host}:{port} can't be listened at ({why}). {remedy}") from None
    return bound


def as_written(host: str) -> str:
    """A host as it stands before a port: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


__all__ = ["as_written", "is_loopback", "listening_at"]
