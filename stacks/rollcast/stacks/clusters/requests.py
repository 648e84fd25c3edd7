"""One request to a cluster, sent with the official client; what may be sent again, and what an answer says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from rollcast.stacks.clusters.access import ClusterAccess
from rollcast.stacks.clusters.failures import TRANSIENT

JSON = "application/json"
CONNECT_S = 5.0
_TYPES = {"PATCH": "application/apply-patch+yaml"}


@dataclass(frozen=True)
class ClusterRequest:
    """One request, to be sent as often as needed. A stream's answer is read by the caller."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    read_s: float
    accept: str
    is_stream: bool = False

    def send(self, access: ClusterAccess) -> Any:
        """The answer. Raises what the client raises."""
        headers = {"Accept": self.accept, "Content-Type": _TYPES.get(self.method, JSON)}
        try:
            reply = access.client.call_api(
                f"{self.path}?{urlencode(self.query)}" if self.query else self.path, self.method, header_params=headers,
                body=self.body, auth_settings=["BearerToken"], _preload_content=False, _return_http_data_only=True,
                _request_timeout=(CONNECT_S, self.read_s),
            )  # fmt: skip
        except AttributeError as error:  # the client trips over a refusal that has no body, as one of TLS has none
            raise error.__context__ or error from None
        if not self.is_stream:
            _ = reply.data  # read here, so that an answer that is cut is got again
        return reply


def text_of(error: Any) -> str:
    """What a cluster said with a refusal."""
    body = getattr(error, "body", None) or getattr(error, "reason", None) or ""
    return body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body)


def is_transient(error: BaseException) -> bool:
    """Whether the same call may well succeed in a moment."""
    from urllib3.exceptions import HTTPError

    if isinstance(error, HTTPError):
        return "CERTIFICATE" not in str(error).upper()
    return getattr(error, "status", None) in TRANSIENT


def lines_of(reply: Any) -> Iterator[bytes]:
    """The lines of a stream as they come."""
    rest = b""
    for chunk in reply.stream(amt=None, decode_content=False):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line for line in whole if line.strip())
