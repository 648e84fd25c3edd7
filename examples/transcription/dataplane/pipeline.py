"""One call through one release, from the first sample to the translation. Nothing here asks which version is live."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dataplane.acoustic import Hearing
from dataplane.errors import BadRequest, InstanceNotReady
from dataplane.instances import Instances

SLOTS = ("front", "acoustic", "lm-policy", "language-id", "translation")
NO_NUMBERS_FOR = "gdpr"  # the regulatory domain whose callers' telephone numbers leave nobody's machine


@dataclass(frozen=True)
class Transcript:
    """What was heard (for the monitor alone), what leaves, and in which language it was."""

    heard: str
    text: str
    language: str
    translation: str


class Call:
    """The sound of one caller, heard by exactly the instances of one release."""

    def __init__(self, release: dict[str, Any], instances: Instances, codec: str, domain: str) -> None:
        parts = {slot: instances.get(c["instance"], c["digest"]) for slot, c in release["components"].items()}
        missing = set(SLOTS) - set(parts)
        if missing:
            raise InstanceNotReady(f"Release {release['release']} lacks {', '.join(sorted(missing))}. Declare them.")
        self._grammar, self._languages = parts["lm-policy"], parts["language-id"]
        self._phrases, self._domain = parts["translation"], domain
        self._masks = bool((release["components"]["lm-policy"].get("parameters") or {}).get("mask_numbers"))
        try:
            self._stream = parts["front"].stream(codec)
        except ValueError as error:
            raise BadRequest(f"The sound can't be used: {error}. Correct 'codec'.") from error
        self._hearing = Hearing(parts["acoustic"], self._grammar)

    def sound(self, data: bytes) -> Iterator[str]:
        """The words so far, after each piece that more sound makes full. Each takes some milliseconds to hear."""
        for piece in self._stream.heard(data):
            yield self._leaves(self._hearing.piece(piece))

    def end(self) -> Transcript:
        """The whole call."""
        for piece in self._stream.heard(b"", last=True):
            self._hearing.piece(piece)
        heard = self._hearing.end()
        language, text = self._languages.language(heard), self._leaves(heard)
        return Transcript(heard, text, language, self._phrases.translated(text, language))

    def drop(self) -> None:
        """The caller hung up, or something failed."""
        self._hearing.drop()

    def _leaves(self, said: str) -> str:
        return self._grammar.masked(said) if self._masks and self._domain == NO_NUMBERS_FOR else said
