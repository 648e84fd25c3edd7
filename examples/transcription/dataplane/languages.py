"""Which language a transcript is in (py3langid's model, held to the languages of a version), and its translation."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from pathlib import Path

from py3langid.langid import MODEL_FILE, LanguageIdentifier


class Identifier:
    """Names the language of a text, among those that it was given."""

    def __init__(self, languages: list[str]) -> None:
        self._model = LanguageIdentifier.from_model_file(MODEL_FILE)
        self._model.set_languages(languages)
        self._lock = threading.Lock()

    def language(self, text: str) -> str:
        """A code of two letters; empty for no words."""
        if not text:
            return ""
        with self._lock:
            return str(self._model.classify(text)[0])


@dataclass(frozen=True)
class Phrases:
    """A phrase table: the longest phrase that fits is taken, from left to right; other words stay as they are."""

    source: str
    target: str
    phrases: dict[tuple[str, ...], str]

    def translated(self, text: str, language: str) -> str:
        """The text in the target language, where it is in the source's."""
        if language != self.source:
            return text
        words, found = text.split(), []
        longest = max(map(len, self.phrases))
        while words:
            size = next((n for n in range(longest, 0, -1) if _key(words[:n]) in self.phrases), 0)
            found.append(self.phrases[_key(words[:size])] if size else words[0])
            words = words[max(size, 1) :]
        return " ".join(found)


def _key(words: list[str]) -> tuple[str, ...]:
    return tuple(word.casefold() for word in words)


def load(folder: Path) -> Identifier:
    """The identifier in `folder`. Raises OSError, ValueError or KeyError."""
    return Identifier(json.loads((folder / "languages.json").read_text("utf-8"))["languages"])


def load_phrases(folder: Path) -> Phrases:
    """The phrase table in `folder`. Raises OSError, ValueError or KeyError."""
    data = json.loads((folder / "phrases.json").read_text("utf-8"))
    return Phrases(data["from"], data["to"], {_key(phrase.split()): said for phrase, said in data["phrases"].items()})
