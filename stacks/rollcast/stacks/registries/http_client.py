"""Requests to a registry over HTTP: an answer that is small, whole, in time and of the kind that it should be."""

from __future__ import annotations

import contextlib
import netrc
import os
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.base.strict_json import strict_json
from rollcast.stacks.registries.limits import ANSWER_BYTES, Limits, readable

_ATTEMPTS = 3
_UNSTEADY = (408, 425, 429)
_READING = threading.Lock()


@dataclass(frozen=True)
class Answer:
    """What a registry said. status: below 500."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self, what: str) -> Any:
        """Raises StackError: it is HTML, or cut short, or anything else that is no JSON."""
        try:
            return strict_json(self.body)
        except ValueError as error:
            kind = self.headers.get("content-type", "something").partition(";")[0]
            raise StackError(
                f"{what} answered with {kind} that is no JSON ({error}). Check the address: a login page or proxy may "
                "be there."
            ) from None


@contextlib.contextmanager
def http_client(**settings: Any) -> Iterator[httpx.Client]:
    """A client with the limits' timeout, that follows redirects; proxies and certificates as the environment says."""
    timeout = Limits.from_environment().timeout_s
    headers = {"user-agent": "rollcast", **settings.pop("headers", {})}
    with _READING:  # all certificates of a machine take 70 ms to read: once, not for each of a hundred sources
        verify = _certificates(os.environ.get("SSL_CERT_FILE", ""), os.environ.get("SSL_CERT_DIR", ""))
    with httpx.Client(timeout=timeout, follow_redirects=True, headers=headers, verify=verify, **settings) as client:
        yield client


def netrc_auth() -> httpx.NetRCAuth | None:
    """Credentials of $NETRC, else ~/.netrc, each for its own host alone; None where there is no such file."""
    path = Path(os.environ.get("NETRC") or Path.home() / ".netrc")
    try:
        return httpx.NetRCAuth(str(path)) if path.is_file() else None
    except (OSError, netrc.NetrcParseError) as error:
        raise StackError(f"{path} can't be read ({error}). Correct it, or its permissions.") from None


@lru_cache(maxsize=4)
def _certificates(file: str, folder: str) -> ssl.SSLContext:
    """Those that are trusted while these two variables of the environment are as they are."""
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        raise StackError(
            f"SSL_CERT_FILE '{file}' or SSL_CERT_DIR '{folder}' can't be read ({error}). Correct it."
        ) from None


def request(client: httpx.Client, method: str, url: str, **about: Any) -> Answer:
    """One answer, tried three times where a registry is out of order. Raises StackError, with the host and a remedy."""
    host = httpx.URL(url).netloc.decode()
    retrying = Retrying(
        stop=stop_after_attempt(_ATTEMPTS),
        wait=wait_exponential(multiplier=0.2, max=2),
        retry=retry_if_exception_type((httpx.TransportError, _Unsteady)),
        reraise=True,
    )
    try:
        return retrying(_once, client, method, url, **about)
    except _Unsteady as error:
        raise StackError(
            f"{host} answered {error} {_ATTEMPTS} times. Try again later, or see to that registry."
        ) from None
    except httpx.TransportError as error:
        why = str(error) or type(error).__name__
        raise StackError(f"{host} can't be reached ({why}). Check its address and the network.") from None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise StackError(f"{host} can't be used ({error}). Check its address.") from None


def _once(client: httpx.Client, method: str, url: str, **about: Any) -> Answer:
    longest = Limits.from_environment().timeout_s
    began = time.monotonic()
    with client.stream(method, url, **about) as answer:
        if answer.status_code >= 500 or answer.status_code in _UNSTEADY:
            raise _Unsteady(str(answer.status_code))
        body = bytearray()
        for chunk in answer.iter_bytes():
            body += chunk
            if len(body) > ANSWER_BYTES:
                raise StackError(f"{answer.url.host} answered with more than {readable(ANSWER_BYTES)} to one question.")
            if time.monotonic() - began > longest:
                raise httpx.ReadTimeout(f"no whole answer within {longest:g} s")
        return Answer(answer.status_code, answer.headers, bytes(body))


def userinfo_mistake(url: str) -> str:
    """What is wrong with an address that holds a password; empty where nothing is."""
    try:
        secret = bool(httpx.URL(url).password)
    except (httpx.InvalidURL, ValueError) as error:
        return f"is no address ({error}). Correct it."
    if secret:
        return "holds a password. Leave it out: credentials are read where the registry's own tools read them."
    return ""


class _Unsteady(Exception):
    """A registry that is out of order for now."""


__all__ = ["Answer", "http_client", "netrc_auth", "request", "userinfo_mistake"]
