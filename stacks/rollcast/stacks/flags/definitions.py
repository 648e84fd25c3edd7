"""What must be remembered to read a live state back: releases in full, and the tracks that a flag was compiled from.

A release id says what serves; contracts, profiles and wiring beside it are needed to plan from it. Both are stored as
canonical JSON under their digests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from rollcast.planner.plan.models import Serving
from rollcast.planner.releases.releases import Release, Track, canonical, digest_of
from rollcast.planner.routing.split import flag_of
from rollcast.stacks.base.errors import StackError, first_mistake

SERVING, RELEASES, LINES, CONTENT = "rollcast_serving", "rollcast_releases", "rollcast_lines", "rollcast_content"
OWNER = "rollcast_owner"  # the lineage of the ledger that wrote a flag
M = TypeVar("M", bound=BaseModel)
Audiences = Mapping[str, Mapping[str, Any]]


def stored(model: type[M], data: Any, what: str) -> M:
    """A stored value as its model. Raises StackError where another version of rollcast wrote what this can't read."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        where, said = first_mistake(error)
        raise StackError(
            f"{what} was written by another version of rollcast ({where}: {said}). Use the newer of the two."
        ) from None


def document_of(release: Release) -> dict[str, Any]:
    """A release in full."""
    return release.model_dump(mode="json")


def lines_document(pipeline: str, tracks: Mapping[str, Track], audiences: Audiences) -> dict[str, Any]:
    """The tracks and audiences of one pipeline."""
    own = {key: track.model_dump(mode="json") for key, track in tracks.items() if track.pipeline == pipeline}
    return {"lines": own, "audiences": {name: dict(rule) for name, rule in audiences.items()}}


def content_digest(flag: Mapping[str, Any]) -> str:
    """Digest of all that an evaluator reads of a flag."""
    return digest_of({key: flag.get(key) for key in ("state", "variants", "defaultVariant", "targeting")})


def compiled(
    pipeline: str,
    tracks: Mapping[str, Track],
    serving: Serving,
    releases: Mapping[str, Release],
    audiences: Audiences,
    owner: str = "",
) -> tuple[dict[str, Any], dict[str, str]]:
    """A pipeline's flag with all that is needed to read it back, and the documents that it names.

    `owner`: the lineage of the ledger that writes it, by which no other project takes the flag for its own.
    """
    served = {
        share.release for key, track in tracks.items() if track.pipeline == pipeline for share in serving.get(key, ())
    }
    documents = {name: document_of(releases[name]) for name in sorted(served)}
    about = lines_document(pipeline, tracks, audiences)
    metadata = {
        RELEASES: canonical({name: digest_of(body) for name, body in documents.items()}),
        LINES: digest_of(about),
    }
    flag = flag_of(pipeline, tracks, serving, releases, audiences, metadata)
    flag["metadata"][CONTENT] = content_digest(flag)
    if owner:
        flag["metadata"][OWNER] = owner
    return flag, {digest_of(body): canonical(body) for body in (*documents.values(), about)}
