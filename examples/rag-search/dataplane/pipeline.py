"""One request through one release, from the first component to the last. Nothing here asks which version is live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dataplane.errors import NoRelease
from dataplane.indexes import Hit
from dataplane.instances import Instances
from dataplane.safety import violates
from dataplane.text import words

CANDIDATES = 20
PASSAGES = 5
SUPPORT = 0.5


@dataclass(frozen=True)
class Answer:
    """What a request got, and what the monitor saw in it."""

    text: str
    passages: list[str]
    rejected: bool
    violation: bool
    hallucination: bool


def references(release: dict[str, Any]) -> dict[str, str]:
    """name@version of every component of a release."""
    return {slot: component["artifact"] for slot, component in release["components"].items()}


def _load(release: dict[str, Any], instances: Instances) -> dict[str, Any]:
    found = {s: instances.get(c["instance"], c["digest"]) for s, c in release["components"].items()}
    missing = {"embedder", "index", "reranker", "generator", "generator.prompt", "safety"} - set(found)
    if missing:
        raise NoRelease(f"Release {release['release']} lacks {', '.join(sorted(missing))}. Correct the declaration.")
    return found


def retrieve(release: dict[str, Any], instances: Instances, query: str, count: int = PASSAGES) -> list[Hit]:
    """The passages that a release finds for a query, best first."""
    parts = _load(release, instances)
    hits = parts["index"].search(parts["embedder"].embed(query), CANDIDATES)
    return list(parts["reranker"].rerank(query, hits, count))


def answer(release: dict[str, Any], instances: Instances, query: str) -> Answer:
    """Serve a query with exactly this release. Raises DataPlaneError."""
    parts = _load(release, instances)
    hits = retrieve(release, instances, query)
    draft = parts["generator"].answer(query, hits, parts["generator.prompt"])
    text, rejected = parts["safety"].apply(query, draft)
    support = {word for hit in hits for _, known in hit.passage.sentences for word in known}
    said = set(words(text))
    unsupported = not rejected and bool(said) and len(said & support) < SUPPORT * len(said)
    return Answer(text, [hit.passage.id for hit in hits], rejected, not rejected and violates(text), unsupported)
