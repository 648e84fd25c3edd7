"""One repository of a registry: its manifests, each held against its digest, and where its contents are."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urljoin

import httpx

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.registries.http_client import Answer, http_client, request
from rollcast.stacks.registries.oci_distribution.manifests import ACCEPTED, INDEX, Descriptor, Index, Manifest, read
from rollcast.stacks.registries.oci_distribution.references import Reference
from rollcast.stacks.registries.oci_distribution.tokens import RepositoryAuth, refusal

_PLATFORMS = 8  # that are named
_PAGES = 100


@dataclass(frozen=True)
class Repository:
    """What can be read of one. client: with its credentials, as long as `opened` lasts."""

    reference: Reference
    client: httpx.Client

    def manifest(self, reference: Reference) -> tuple[str, Manifest]:
        """The digest that a reference stands for now, and the manifest; that of an index's only member. StackError."""
        digest, found = self._read(reference)
        if isinstance(found, Manifest):
            return digest, found
        members = found.members()
        if len(members) != 1:
            named = ", ".join(f"{each.platform or 'no platform'} ({each.digest})" for each in members[:_PLATFORMS])
            more = f" and {len(members) - _PLATFORMS} more" if len(members) > _PLATFORMS else ""
            raise StackError(
                f"{reference} is an index of {len(members)} manifests: {named or 'none'}{more}. "
                "Name one of them by its digest, behind an '@'."
            )
        _, inner = self._read(self.reference.at(members[0].digest))
        if isinstance(inner, Index):
            raise StackError(f"{reference} is an index of an index. Name a manifest by its digest, behind an '@'.")
        return digest, inner

    def blob_url(self, digest: str) -> str:
        return f"{self.reference.url}/blobs/{digest}"

    def blob(self, said: Descriptor, most: int) -> bytes:
        """A small content of this repository, held against its digest. Raises StackError."""
        what = f"{self.reference.at(said.digest)}"
        if said.size > most:
            raise StackError(f"{what} has {said.size:,} bytes, more than {most:,} for what it is. Push it again.")
        answer = self._get(self.blob_url(said.digest), "*/*")
        self._require(answer, what)
        if f"sha256:{hashlib.sha256(answer.body).hexdigest()}" != said.digest:
            raise StackError(f"{self.reference.host} gave other content for {what}. See what stands between.")
        return answer.body

    def tagged(self, tag: str) -> Manifest | None:
        """The manifest of a tag of this repository; None where there is none. Raises StackError."""
        answer = self._get(f"{self.reference.url}/manifests/{tag}", ACCEPTED)
        if answer.status == 404:
            return None
        self._require(answer, f"{self.reference.name}:{tag}")
        found = read(answer.json(self.reference.host), f"{self.reference.name}:{tag}")
        return found if isinstance(found, Manifest) else None

    def referrers(self, digest: str) -> list[Descriptor]:
        """All that says something about a manifest, such as its signatures. Raises StackError.

        By the API of OCI distribution 1.1; from the tag that stands for it where a registry is older.
        """
        found: list[Descriptor] = []
        url = f"{self.reference.url}/referrers/{digest}"
        for _ in range(_PAGES):
            answer = self._get(url, INDEX)
            if answer.status == 404:
                answer = self._get(f"{self.reference.url}/manifests/{digest.replace(':', '-')}", INDEX)
                if answer.status == 404:
                    return []
            self._require(answer, f"what refers to {self.reference.at(digest)}")
            page = read(answer.json(self.reference.host), f"the list of what refers to {self.reference.at(digest)}")
            found += page.manifests if isinstance(page, Index) else ()
            following = httpx.Response(200, headers=dict(answer.headers)).links.get("next", {}).get("url")
            if not following:
                return found
            url = urljoin(url, following)
            if httpx.URL(url).netloc != httpx.URL(self.reference.url).netloc:
                break
        raise StackError(
            f"{self.reference.host} lists what refers to {digest} without end, or elsewhere. See to it there."
        )

    def _read(self, reference: Reference) -> tuple[str, Manifest | Index]:
        answer = self._get(f"{reference.url}/manifests/{reference.digest or reference.tag}", ACCEPTED)
        self._require(answer, str(reference))
        data = answer.json(reference.host)
        digest = f"sha256:{hashlib.sha256(answer.body).hexdigest()}"
        stated = reference.digest or answer.headers.get("docker-content-digest") or digest
        if digest != stated:
            raise StackError(
                f"{reference.host} gave other content for {reference}: its digest is {digest[:19]}…, not "
                f"{stated[:19]}…. Nothing of it is used. See who changed it there, or what stands between."
            )
        return digest, read(data, str(reference))

    def _get(self, url: str, accepted: str) -> Answer:
        return request(self.client, "GET", url, headers={"accept": accepted})

    def _require(self, answer: Answer, what: str) -> None:
        host = self.reference.host
        if answer.status in (401, 403):
            raise StackError(refusal(host, answer.status))
        if answer.status == 404:
            pinned = "@" in what
            remedy = (
                "It was deleted there, or never pushed. Push it again; 'rollcast lock' pins what its tag names now."
                if pinned
                else "Correct the name, or push it."
            )
            raise StackError(f"{host} has no {what.removeprefix(f'{host}/')}. {remedy}")
        if answer.status != 200:
            raise StackError(
                f"{host} answered {answer.status} for {what}. Check its address, and see to that registry."
            )


@contextlib.contextmanager
def opened(reference: Reference) -> Iterator[Repository]:
    """The repository of a reference."""
    with http_client(auth=RepositoryAuth(reference)) as client:
        yield Repository(reference, client)


__all__ = ["Repository", "opened"]
