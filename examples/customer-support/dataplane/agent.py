"""The agent: drafts an answer from sentences of the passages, and from earlier replies where its prompt lets it.

It quotes and writes nothing of its own; the prompt decides how much, from what, and how it is set out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Formatter

from dataplane.memory import Recalled
from dataplane.sources import Hit, Sources
from dataplane.text import supported, words
from demos.errors import BrokenMix

SAME = 0.8  # of a sentence's words in another one: it says nothing more
SPARE = 2  # claims beyond those that are shown, for the policy to take some out
FIELDS = {"answer", "citations"}
TICKET = "ticket:"


@dataclass(frozen=True)
class Claim:
    """A sentence of a draft, and what it cites: an article of the index, or a ticket."""

    text: str
    citation: str


@dataclass(frozen=True)
class Prompt:
    """`sentences`: how many are shown; `uses`: `memory`, `replies`, both or none; and the texts around an answer."""

    sentences: int
    uses: frozenset[str]
    answer: str
    unanswered: str
    refused: str
    hand_over: str

    def render(self, claims: Sequence[Claim], order: str | None) -> str:
        """The text that a customer reads."""
        cited = list(dict.fromkeys(claim.citation for claim in claims))
        about = f"About order {order}: " if order else ""
        said = " ".join(claim.text for claim in claims)
        return about + self.answer.format_map({"answer": said, "citations": ", ".join(cited)})


@dataclass(frozen=True)
class Tools:
    """What the agent may call, and what the staff replied to earlier tickets, by ticket. Nobody verified a reply."""

    names: frozenset[str]
    replies: Mapping[str, str]

    def find_replies(self, sources: Sources, query: Sequence[str], least: float) -> Iterator[tuple[float, Claim]]:
        """Replies that have at least this part of the words, with that part."""
        if "find_replies" in self.names:
            for ticket, text in self.replies.items():
                part = sources.overlap(query, frozenset(words(text)))
                if part >= least:
                    yield part, Claim(text, f"{TICKET}{ticket}")


@dataclass(frozen=True)
class Agent:
    """Weights of a draft. `expects`: what a sentence should look like that answers such a question; `confidence`: the
    least score of the best passage that it dares to answer from; `keeps`: the least part of the best sentence's score.
    """

    confidence: float
    keeps: float
    reply_overlap: float
    passage_weight: float
    expected_weight: float
    expects: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...]

    def draft(
        self, question: str, recalled: Recalled, hits: Sequence[Hit], sources: Sources, prompt: Prompt, tools: Tools
    ) -> list[Claim]:
        """Claims, the best first; none where it does not dare."""
        if not hits or hits[0].score < self.confidence:
            return []
        query, about = words(question), words(f"{question} {recalled.topic}")
        scored = []
        for hit in hits:
            for place, text in enumerate(hit.passage.sentences):
                part = sources.overlap(query, frozenset(words(text)))
                scored.append((self._score(question, text, part, hit.score), place, Claim(text, hit.passage.citation)))
        if "replies" in prompt.uses:
            for part, claim in tools.find_replies(sources, about, self.reply_overlap):
                scored.append((self._score(question, claim.text, part, hits[0].score), 0, claim))
        scored.sort(key=lambda each: (-each[0], each[1], each[2].citation))
        least = self.keeps * scored[0][0]
        kept: list[Claim] = []
        for score, _, claim in scored:
            if score >= least and not any(supported(claim.text, other.text, SAME) for other in kept):
                kept.append(claim)
        return kept[: prompt.sentences + SPARE]

    def _score(self, question: str, text: str, overlap: float, passage: float) -> float:
        expected = [bool(sentence.search(text)) for form, sentence in self.expects if form.search(question)]
        return overlap + self.passage_weight * passage + self.expected_weight * (any(expected) if expected else 0)


def load(folder: Path) -> Agent:
    """The agent in `folder`. Raises OSError, ValueError, KeyError or TypeError."""
    given = json.loads((folder / "agent.json").read_text("utf-8"))
    try:
        expects = [[re.compile(form, re.IGNORECASE) for form in pair] for pair in given.pop("expects").items()]
    except re.error as error:
        raise ValueError(f"a form in 'expects' is no regular expression ({error})") from error
    return Agent(**given, expects=tuple((form, sentence) for form, sentence in expects))


def load_prompt(folder: Path) -> Prompt:
    """The prompt in `folder`. Raises OSError, ValueError, TypeError or BrokenMix."""
    given = json.loads((folder / "prompt.json").read_text("utf-8"))
    fields = {name for _, name, _, _ in Formatter().parse(given["answer"]) if name is not None}
    if unknown := fields - FIELDS:
        raise BrokenMix(f"The prompt has the fields {', '.join(sorted(unknown))}, which are not known. Correct it.")
    return Prompt(**{**given, "uses": frozenset(given["uses"])})


def load_tools(folder: Path) -> Tools:
    """The tools in `folder`, with the replies that one of them searches. Raises OSError, ValueError or KeyError."""
    tools = json.loads((folder / "tools.json").read_text("utf-8"))["tools"]
    rows = map(json.loads, (folder / "replies.jsonl").read_text("utf-8").splitlines())
    return Tools(frozenset(tool["name"] for tool in tools), {row["ticket"]: row["text"] for row in rows})
