"""How a registry lets somebody in: it names a scheme, and gets a password or a token for one repository.

What it asks for is given to itself alone, and to the token server that it names: never to where it redirects, and over
plain HTTP only where the registry itself is spoken to so.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable

import httpx

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.registries.http_client import http_client, request
from rollcast.stacks.registries.oci_distribution.credentials import Credentials, config_path, credentials_of
from rollcast.stacks.registries.oci_distribution.references import Reference, is_near

_SCHEME = re.compile(r"\s*(?P<scheme>basic|bearer)\b(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
_FIELD = re.compile(r'(\w+)="([^"]*)"')
_REFUSAL_BYTES = 64 * 1024  # of an answer 401 that is read so that its connection may be used again


class RepositoryAuth(httpx.Auth):
    """Reading one repository, for as long as a client lives: a token that ran out is replaced."""

    def __init__(self, reference: Reference) -> None:
        self._reference = reference
        self._header = ""

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if self._header:
            request.headers["authorization"] = self._header
        response = yield request
        elsewhere = (response.url.scheme, response.url.netloc) != (request.url.scheme, request.url.netloc)
        if response.status_code != 401 or elsewhere:
            return
        header = self._answer_to(response.headers.get_list("www-authenticate"))
        if header and header != self._header:
            self._header = request.headers["authorization"] = header
            _skip_body(response)
            yield request

    def _answer_to(self, challenges: Iterable[str]) -> str:
        """The header that a registry wants; empty where there are no credentials for it. Raises StackError."""
        for challenge in challenges:
            found = _SCHEME.fullmatch(challenge)
            if found is None:
                continue
            credentials = credentials_of(self._reference.host)
            if found["scheme"].lower() == "basic":
                return credentials.basic if credentials is not None and credentials.password else ""
            if credentials is not None and credentials.bearer:
                return f"Bearer {credentials.bearer}"
            return f"Bearer {self._token(dict(_FIELD.findall(found['rest'])), credentials)}"
        return ""

    def _token(self, challenge: dict[str, str], credentials: Credentials | None) -> str:
        """One for reading this repository, with credentials or, where there are none, for everybody."""
        realm, host = challenge.get("realm", ""), self._reference.host
        try:
            url = httpx.URL(realm)
        except httpx.InvalidURL:
            url = httpx.URL("")
        plain = url.scheme == "http" and is_near(host) and is_near(url.host)
        if not url.host or not (url.scheme == "https" or plain):
            raise StackError(f"{host} names '{realm}' for its token server, and that is no https address. See to it.")
        about = {"service": challenge.get("service", ""), "scope": f"repository:{self._reference.name}:pull"}
        with http_client() as client:
            if credentials is not None and credentials.refresh:
                form = {"grant_type": "refresh_token", "client_id": "rollcast", "refresh_token": credentials.refresh}
                answer = request(client, "POST", realm, data={**form, **about})
            else:
                headers = {"authorization": credentials.basic} if credentials is not None else {}
                answer = request(client, "GET", str(url.copy_merge_params(about)), headers=headers)
        if answer.status in (400, 401, 403):
            raise StackError(refusal(host, answer.status, f"its token server {url.host}"))
        said = answer.json(f"{url.host}, which gives tokens for {host},")
        token = (said.get("token") or said.get("access_token")) if isinstance(said, dict) else None
        if answer.status != 200 or not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
            raise StackError(
                f"{url.host}, which gives tokens for {host}, gave none ({answer.status}). See to it there."
            )
        return token


def refusal(host: str, status: int, who: str = "") -> str:
    """What a registry's 401 or 403 means, and where credentials go."""
    who = who or "it"
    if status == 403:
        return (
            f"{host} refused access: {who} answered 403. Ask for the right to read there, or use other credentials: "
            f"'docker login {host}' writes them to {config_path()}."
        )
    return (
        f"{host} wants credentials: {who} answered {status}, with those that it was given or without any. "
        f"Run 'docker login {host}', which writes them to {config_path()}."
    )


def _skip_body(response: httpx.Response) -> None:
    """Leaves a body unread that is long, or of which nobody says how long it is."""
    said = response.headers.get("content-length", "")
    if not said.isdecimal() or int(said) > _REFUSAL_BYTES:
        stream = response.stream
        assert isinstance(stream, httpx.SyncByteStream)
        stream.close()
        response.stream = httpx.ByteStream(b"")


__all__ = ["RepositoryAuth", "refusal"]
