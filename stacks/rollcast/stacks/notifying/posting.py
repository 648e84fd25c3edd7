"""One signed try to deliver something over HTTP: whole within seconds, to the declared address and no other.

What an answer to a notification holds is not read. No error quotes the address, which may be a secret.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import httpx

from rollcast.planner.declaration.receivers import Receiver
from rollcast.stacks.base.bounded_http import bounded, certificates_for
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.base.secrets import filled
from rollcast.stacks.notifying.forms import body_of, content_type_of
from rollcast.stacks.notifying.messages import Notification
from rollcast.stacks.notifying.signing import headers_of
from rollcast.stacks.project import tool_version

TIMEOUT_S = 5.0
_MOST_BYTES = 64 * 1024
_LATER = (408, 425, 429)


@dataclass(frozen=True)
class Refusal:
    """Why a notification was not taken. `final`: another try would be refused as well; `wait_s`: what was requested."""

    why: str
    final: bool = False
    wait_s: float = 0.0


Post = Callable[[Receiver, Notification], Refusal | None]
T = TypeVar("T")


@dataclass(frozen=True)
class SignedPost:
    """What is sent. `url` and `secret` as they are declared; `id` is signed with the body and the time."""

    url: str
    secret: str | None
    id: str
    body: bytes
    content_type: str
    timeout_s: float


def post(receiver: Receiver, notification: Notification) -> Refusal | None:
    """Sends it once; None where the receiver took it."""
    body, kind = body_of(notification, receiver.format), content_type_of(receiver.format)
    sent = SignedPost(receiver.url, receiver.secret, notification.id, body, kind, TIMEOUT_S)
    return deliver(sent, lambda answer: None, _MOST_BYTES)


def deliver(sent: SignedPost, read: Callable[[httpx.Response], T], most_bytes: int) -> T | Refusal:
    """Sends it once; what `read` makes of an answer that took it, of which no more than so many bytes are read."""
    try:
        secret = filled(sent.secret) if sent.secret is not None else None
        headers = headers_of(sent.id, int(time.time()), sent.body, secret)
        url = filled(sent.url)
    except StackError as error:
        return Refusal(str(error))
    headers |= {"content-type": sent.content_type, "user-agent": f"rollcast/{tool_version()}"}
    try:
        with (
            bounded(
                httpx.Client(
                    timeout=sent.timeout_s, trust_env=False, follow_redirects=False, verify=certificates_for(url)
                ),
                most_bytes,
            ) as client,
            client.stream("POST", url, content=sent.body, headers=headers) as answer,
        ):
            return _judged(answer) or read(answer)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError):
        return Refusal("its address is none that can be used; correct it, or the variable that holds it")
    except httpx.TimeoutException:
        return Refusal(f"it did not answer within {sent.timeout_s:g} s")
    except httpx.HTTPError as error:
        return Refusal(f"it can't be reached ({type(error).__name__}: {str(error)[:200]})")


def _judged(answer: httpx.Response) -> Refusal | None:
    status = answer.status_code
    if answer.is_success:
        return None
    if status in _LATER or status >= 500:
        return Refusal(f"it answered {status}", wait_s=_seconds(answer.headers.get("retry-after", "")))
    if answer.is_redirect or 300 <= status < 400:
        return Refusal(f"it answered {status}, a redirect, which is not followed; declare where it leads", final=True)
    return Refusal(f"it answered {status}", final=True)


def _seconds(text: str) -> float:
    """What 'Retry-After' says in seconds; 0 for a date or anything else."""
    return float(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0.0


__all__ = ["TIMEOUT_S", "Post", "Refusal", "SignedPost", "deliver", "post"]
