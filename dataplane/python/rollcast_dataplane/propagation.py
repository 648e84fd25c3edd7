"""Carrying a release from hop to hop: W3C Baggage and `x-rollcast-release` (spec C1 to C6).

Pure text in, text out: adapters of frameworks and clients call it, and the golden vectors hold it.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote, unquote

from rollcast_dataplane.errors import UnknownRelease

BAGGAGE, HEADER, MEMBER = "baggage", "x-rollcast-release", "rollcast.release"
LONGEST_BAGGAGE = 8192
_SAFE = "!#$&'()*+-./:<=>?@[]^_`{|}~"


def members_of(baggage: str) -> tuple[list[str], list[str]]:
    """(the releases that it names, its other members as they stand). What is no member is left out."""
    releases, others = [], []
    for part in baggage.split(","):
        name, equals, rest = part.partition("=")
        name = name.strip()
        value, semicolon, properties = rest.partition(";")
        if not equals or not name or ";" in name or any(c in name for c in ' "\\'):
            continue
        if name == MEMBER:
            releases.append(unquote(value.strip()))
        else:
            others.append(f"{name}={value.strip()}" + (f";{properties.strip()}" if semicolon else ""))
    return releases, others


def incoming(header: str, baggage: str, trusted: bool) -> tuple[str | None, list[str]]:
    """(the release that a trusted caller gives, the other members of its baggage). Raises UnknownRelease (C5)."""
    if not header and not baggage:
        return None, []
    named, others = members_of(baggage) if baggage else ([], [])
    if not trusted:
        return None, others
    if header.strip():
        named.append(header.strip())
    if not named:
        return None, others
    if len(set(named)) > 1:
        raise UnknownRelease(
            "The caller's headers name different releases, so nobody knows which one this request began with. "
            "See what changes them on the way.", named[0],
        )  # fmt: skip
    return named[0], others


def outgoing(release: str, others: Iterable[str] = ()) -> dict[str, str]:
    """The two headers of a call, ours first; other members are dropped, the last first, where they don't fit."""
    text = f"{MEMBER}={quote(release, safe=_SAFE)}"
    size = len(text)
    for member in others:
        size += 1 + len(member.encode("utf-8", "surrogatepass"))
        if size > LONGEST_BAGGAGE:
            break
        text += "," + member
    return {BAGGAGE: text, HEADER: release}


def added(release: str, others: Iterable[str], existing: str) -> dict[str, str]:
    """The two headers of a call that has a baggage header already: its own members stay, before those of the caller."""
    own = members_of(existing)[1] if existing else []
    names = {member.partition("=")[0] for member in own}
    return outgoing(release, [*own, *(each for each in others if each.partition("=")[0] not in names)])


def without_ours(baggage: str) -> str:
    """A baggage header as an entry passes it on to the service: without a release that an outsider set."""
    return ",".join(members_of(baggage)[1])
