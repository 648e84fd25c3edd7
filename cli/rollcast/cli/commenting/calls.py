"""Calls of a code host's API: retried where that can help, pages followed on the same host alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import httpx
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    retry_if_result,
    stop_after_attempt,
    wait_exponential,
)

from rollcast.cli.commenting.errors import CommentError

MOST_PAGES = 50
_TRIES = 4
_LONGEST_WAIT_S = 30.0


def github_api(environment: Mapping[str, str], token: str, subject: str = "comments") -> Api:
    """GitHub's, at the address of the job's own instance where there is one."""
    headers = {
        "authorization": f"Bearer {token}",
        "accept": "application/vnd.github+json",
        "x-github-api-version": "2022-11-28",
    }
    return Api(github_address(environment), headers, subject)


def github_address(environment: Mapping[str, str]) -> str:
    return environment.get("GITHUB_API_URL") or "https://api.github.com"


class Api:
    """JSON calls below one address with one set of headers. Raises CommentError."""

    _pause_s = 1.0  # before the second try; doubled before each one after it

    def __init__(self, address: str, headers: Mapping[str, str], subject: str = "comments") -> None:
        """`subject`: what is read and written, for messages."""
        self._subject = subject
        self._client = httpx.Client(headers={**headers, "user-agent": "rollcast"}, timeout=20.0)
        self._address = address.rstrip("/")

    def url(self, path: str) -> str:
        return f"{self._address}{path}"

    def get(self, path: str) -> Any:
        """One answer."""
        return self._call("GET", self.url(path)).json()

    def may_get(self, path: str) -> Any | None:
        """One answer, or None where this token may not have it."""
        answer = self._answered("GET", self.url(path))
        return answer.json() if answer.status_code == 200 else None

    def pages(self, path: str) -> Iterator[Any]:
        """Every item of a list, page by page."""
        following: str | None = self.url(path)
        for _ in range(MOST_PAGES):
            if following is None:
                return
            answer = self._call("GET", following)
            yield from answer.json()
            following = self._next(answer)

    def _next(self, answer: httpx.Response) -> str | None:
        """The next page (RFC 8288), never on another host: the token goes there too."""
        link = answer.links.get("next", {}).get("url")
        if link is None:
            return None
        here, there = httpx.URL(self._address), httpx.URL(link)
        return link if (here.scheme, here.host, here.port) == (there.scheme, there.host, there.port) else None

    def send(self, method: str, path: str, body: Mapping[str, str]) -> Any:
        """Writes."""
        return self._call(method, self.url(path), body).json()

    def _call(self, method: str, url: str, body: Mapping[str, str] | None = None) -> httpx.Response:
        answer = self._answered(method, url, body)
        if answer.is_success:
            return answer
        if answer.status_code in (401, 403, 404):
            what = "write" if body is not None else "read"
            raise CommentError(
                f"The code host refuses to let this token {what} {self._subject} (HTTP {answer.status_code}). "
                f"Give the job permission to write {self._subject}; a fork's token never has it."
            )
        raise CommentError(f"The code host answers HTTP {answer.status_code} to {method} {url}. Run the job again.")

    def _answered(self, method: str, url: str, body: Mapping[str, str] | None = None) -> httpx.Response:
        retrying = Retrying(
            stop=stop_after_attempt(_TRIES),
            wait=self._wait_s,
            retry=retry_if_exception_type(httpx.TransportError) | retry_if_result(_busy),
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
        )
        try:
            answer: httpx.Response = retrying(
                self._client.request, method, url, json=dict(body) if body is not None else None
            )
        except httpx.TransportError as error:
            raise CommentError(f"The code host can't be reached ({error}). Run the job again.") from None
        return answer

    def _wait_s(self, state: RetryCallState) -> float:
        """Seconds before the next try: what the host asks for, else twice as long each time."""
        after_s = None
        if state.outcome is not None and not state.outcome.failed:
            after_s = state.outcome.result().headers.get("retry-after")
        doubled = wait_exponential(multiplier=self._pause_s)(state)
        return min(float(after_s) if after_s and after_s.isdigit() else doubled, _LONGEST_WAIT_S)


def _busy(answer: httpx.Response) -> bool:
    return answer.status_code == 429 or answer.status_code >= 500
