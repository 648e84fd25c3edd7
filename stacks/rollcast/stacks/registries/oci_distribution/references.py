"""`//HOST[:PORT]/REPOSITORY[:TAG][@sha256:HEX]`: how content of an OCI registry is named."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::\d{1,5})?"
_REFERENCE = re.compile(
    rf"//(?P<host>{_HOST})/(?P<name>{_PART}(?:/{_PART})*)(?::(?P<tag>\w[\w.-]{{0,127}}))?(?P<at>@(?P<digest>.*))?",
    re.ASCII,
)
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_HUB, _HUB_HOST = "docker.io", "registry-1.docker.io"
SHAPE = "Write 'oci://HOST/REPOSITORY:TAG' or 'oci://HOST/REPOSITORY@sha256:HEX'."


@dataclass(frozen=True)
class Reference:
    """One name. tag, digest: empty where it has none; the digest is what counts where it has both."""

    host: str
    name: str
    tag: str = ""
    digest: str = ""

    @property
    def url(self) -> str:
        """The repository's own address, without a slash at its end."""
        scheme = "http" if is_near(self.host) else "https"
        return f"{scheme}://{_HUB_HOST if self.host == _HUB else self.host}/v2/{self.name}"

    def at(self, digest: str) -> Reference:
        return Reference(self.host, self.name, "", digest)

    def __str__(self) -> str:
        tag, digest = f":{self.tag}" if self.tag else "", f"@{self.digest}" if self.digest else ""
        return f"{self.host}/{self.name}{tag if not digest else ''}{digest}"


def parse(rest: str) -> Reference | str:
    """The reference behind a scheme and its colon, or what is wrong with it."""
    found = _REFERENCE.fullmatch(rest)
    if found is None:
        if "@" in rest.removeprefix("//").partition("/")[0]:
            return (
                "holds a user or a password. Leave it out: credentials are read from Docker's configuration, where "
                "'docker login' writes them."
            )
        return f"names no host and repository, or not as registries write them. {SHAPE}"
    if found["at"] and not DIGEST.fullmatch(found["digest"]):
        return f"has '{found['digest']}' for a digest. It is 'sha256:' and 64 digits of 0-9 and a-f. {SHAPE}"
    if not found["tag"] and not found["at"]:
        return f"names no tag and no digest. {SHAPE}"
    return Reference(found["host"].lower(), found["name"], found["tag"] or "", found["digest"] or "")


def is_near(host: str) -> bool:
    """Whether a registry is on this machine or in the local network by its name: plain HTTP, as Docker takes it."""
    name = re.sub(r":\d+$", "", host).strip("[]").lower()
    if name == "localhost" or name.endswith((".localhost", ".local")):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


__all__ = ["DIGEST", "SHAPE", "Reference", "is_near", "parse"]
