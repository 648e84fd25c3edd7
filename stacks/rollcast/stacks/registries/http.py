"""`https://HOST/PATH#sha256=HEX`: a file on a web server, by the digest that the source itself demands.

With `#sha256=HEX&unpack` the file is an archive (tar, zip), and the artifact is what is in it. Nothing can move: other
content under the same address is refused. Credentials are those of the user's ~/.netrc.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

import httpx

from rollcast.planner.declaration.models import SourcePin
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.registries.http_client import http_client, netrc_auth, request, userinfo_mistake
from rollcast.stacks.registries.sources import Found
from rollcast.stacks.registries.transfer import Transfer
from rollcast.stacks.registries.unpacking import unpack

_FRAGMENT = re.compile(r"sha256=(?P<digest>[0-9a-f]{64})(?P<unpack>&unpack)?")


class HttpRegistry:
    """Files over plain HTTP: their digest is demanded, so that nobody on the way can exchange them."""

    scheme = "http"

    def mistake(self, rest: str) -> str:
        address, _, fragment = rest.partition("#")
        if not address.startswith("//") or len(address) < 4:
            return f"is no address. Write '{self.scheme}://HOST/PATH#sha256=HEX'."
        if not _FRAGMENT.fullmatch(fragment):
            return (
                "demands no digest, so that anything could be there tomorrow. "
                "Append '#sha256=' and the 64 digits that sha256sum prints of the file."
            )
        return userinfo_mistake(f"{self.scheme}:{address}")

    def resolve(self, rest: str, project: Path) -> Found:
        url, digest, _ = self._parts(rest)
        with http_client(auth=netrc_auth()) as client:
            answer = request(client, "HEAD", url)
            if answer.status in (403, 405, 501):  # some servers sign addresses for GET alone
                answer = request(client, "GET", url, headers={"range": "bytes=0-0"})
        if answer.status not in (200, 206):
            host = httpx.URL(url).netloc.decode()
            raise StackError(f"{host} answered {answer.status}. Correct the address, or put the file there.")
        said = answer.headers.get("content-length", "") if answer.status == 200 else ""
        return Found(f"{self.scheme}:{rest}", f"sha256:{digest}", int(said) if said.isdecimal() else None)

    def fetch(self, rest: str, pin: SourcePin, into: Path, transfer: Transfer) -> None:
        url, digest, packed = self._parts(rest)
        name = PurePosixPath(httpx.URL(url).path).name or "content"
        path = into.parent / name if packed else transfer.place_for(into, name)
        with http_client(auth=netrc_auth()) as client:
            transfer.download(client, url, path, sha256=digest, size=pin.size)
        if packed:
            unpack(path, into, transfer)
            path.unlink()

    def _parts(self, rest: str) -> tuple[str, str, bool]:
        """Address, digest in hex, and whether the file is an archive to unpack."""
        address, _, fragment = rest.partition("#")
        found = _FRAGMENT.fullmatch(fragment)
        if found is None:
            raise StackError(f"'{self.scheme}:{rest}' demands no digest. Run 'rollcast validate'.")
        return f"{self.scheme}:{address}", found["digest"], bool(found["unpack"])


class HttpsRegistry(HttpRegistry):
    """Files over HTTPS."""

    scheme = "https"


__all__ = ["HttpRegistry", "HttpsRegistry"]
