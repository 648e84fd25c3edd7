"""Writes the answer from passages: quotes their best sentences, or asks an OpenAI-compatible endpoint."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from dataplane.indexes import Hit
from dataplane.text import words


@dataclass(frozen=True)
class Prompt:
    """The versioned text around a question: what a model is given, and how an answer is set out."""

    system: str
    user: str
    answer: str


@dataclass(frozen=True)
class Generator:
    """`family` is `extractive` (quotes) or `openai` (asks `endpoint` for `model`; key from OPENAI_API_KEY)."""

    family: str = "extractive"
    sentences: int = 2
    endpoint: str = ""
    model: str = ""

    def answer(self, query: str, hits: Sequence[Hit], prompt: Prompt) -> str:
        """The answer to `query`, supported by `hits`. Raises httpx.HTTPError when the endpoint fails."""
        if not hits:
            return "Nothing in the documentation answers this."
        text = self._ask(query, hits, prompt) if self.family == "openai" else self._quote(query, hits)
        return prompt.answer.format(answer=text, sources=hits[0].passage.id)

    def _quote(self, query: str, hits: Sequence[Hit]) -> str:
        terms = set(words(query))
        found = [s for hit in hits[:2] for s in hit.passage.sentences[:8]]
        found.sort(key=lambda sentence: -len(terms & sentence[1]))
        return " ".join(sentence for sentence, _ in found[: self.sentences])

    def _ask(self, query: str, hits: Sequence[Hit], prompt: Prompt) -> str:
        passages = "\n\n".join(hit.passage.text for hit in hits)
        user = prompt.user.format(query=query, passages=passages)
        messages = [{"role": "system", "content": prompt.system}, {"role": "user", "content": user}]
        headers = {"Authorization": f"Bearer {os.environ.get('OPENAI_API_KEY', '')}"}
        url = f"{self.endpoint.rstrip('/')}/chat/completions"
        reply = httpx.post(url, json={"model": self.model, "messages": messages}, headers=headers, timeout=30)
        reply.raise_for_status()
        return str(reply.json()["choices"][0]["message"]["content"])


def load(folder: Path) -> Generator:
    """The generator described in `folder`. Raises OSError, ValueError or TypeError."""
    return Generator(**json.loads((folder / "generator.json").read_text("utf-8")))


def load_prompt(folder: Path) -> Prompt:
    """The prompt in `folder`. Raises OSError, ValueError or TypeError."""
    return Prompt(**json.loads((folder / "prompt.json").read_text("utf-8")))
