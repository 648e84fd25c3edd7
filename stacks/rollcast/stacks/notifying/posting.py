"""One try to deliver a notification over HTTP: whole within seconds, to the declared address and no other.

What an answer holds is not read. No error quotes the address, which may be a secret.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

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


def post(receiver: Receiver, notification: Notification) -> Refusal | None:
    """Sends it once; None where the receiver took it."""
    body = body_of(notification, receiver.format)
    try:
        secret = filled(receiver.secret) if receiver.secret is not None else None
        headers = headers_of(notification.id, int(time.time()), body, secret)
        url = filled(receiver.url)
    except StackError as error:
        return Refusal(str(error))
    headers |= {"content-type": content_type_of(receiver.format), "user-agent": f"rollcast/{tool_version()}"}
    try:
        with (
            bounded(
                httpx.Client(timeout=TIMEOUT_S, trust_env=False, follow_redirects=False, verify=certificates_for(url)),
                _MOST_BYTES,
            ) as client,
            client.stream("POST", url, content=body, headers=headers) as answer,
        ):
            return _judged(answer)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError):
        return Refusal("its address is none that can be used; correct it, or the variable that holds it")
    except httpx.TimeoutException:
        return Refusal(f"it did not answer within {TIMEOUT_S:g} s")
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


__all__ = ["TIMEOUT_S", "Post", "Refusal", "post"]
