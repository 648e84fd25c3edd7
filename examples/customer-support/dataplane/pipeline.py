"""One turn through one release, from the question to the answer. Nothing here asks which version is live."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dataplane import agent, memory, models, policy, sources
from dataplane.agent import Claim

SLOTS = ("embedder", "sources", "reranker", "agent", "agent.prompt", "agent.tools", "agent.memory", "policy")
LOADERS = {
    "rules.json": policy.load,  # before classifier.npz, which a policy has too
    "classifier.npz": models.load,
    "index.json": sources.load,
    "reranker.json": sources.load_reranker,
    "agent.json": agent.load,
    "prompt.json": agent.load_prompt,
    "tools.json": agent.load_tools,
    "cues.json": memory.load,
}
FOUND, READ = 6, 3  # passages that the index finds, and those that the agent reads
REFUND_WHEN, REFUNDS = ("/damaged", "/tracking"), "/refunds"


@dataclass(frozen=True)
class Turn:
    """A question, and what the customer said in this conversation before."""

    question: str
    before: Sequence[str] = ()


@dataclass(frozen=True)
class Answer:
    """What a customer reads; `claims`: the sentences of it that say something of the shop."""

    text: str
    claims: tuple[Claim, ...]
    refused: bool
    handed_over: bool
    input_tokens: int
    output_tokens: int


def answer(parts: Mapping[str, Any], turn: Turn, flag: Callable[[str], bool]) -> Answer:
    """The answer to a turn. Raises DataPlaneError."""
    prompt, tools, index, guard = (parts[slot] for slot in ("agent.prompt", "agent.tools", "sources", "policy"))
    before = turn.before if "memory" in prompt.uses else ()
    recalled = parts["agent.memory"].recall(turn.question, before)
    embed = parts["embedder"].embed
    vector = embed(turn.question)
    if recalled.topic:
        vector = (1 - recalled.weight) * vector + recalled.weight * embed(recalled.topic)
    about = f"{turn.question} {recalled.topic}".strip()
    hits = parts["reranker"].rerank(index, about, index.search(vector, FOUND), READ)
    draft = parts["agent"].draft(turn.question, recalled, hits, index, prompt, tools)
    if flag("proactive_refunds") and draft and draft[0].citation.partition("#")[0].endswith(REFUND_WHEN):
        draft = [draft[0], *refund(index), *draft[1:]]
    refused = guard.refuses_question(about)
    claims = tuple([] if refused else guard.allowed(draft, index)[: prompt.sentences])
    handed_over = not claims and flag("hand_over_to_human") and "hand_over" in tools.names
    text = prompt.render(claims, recalled.order) if claims else prompt.refused if refused else prompt.unanswered
    text = f"{text} {prompt.hand_over}" if handed_over else text
    read = len(about.split()) + sum(len(hit.passage.text.split()) for hit in hits)
    return Answer(text, claims, refused, handed_over, read, len(text.split()))


def refund(index: sources.Sources) -> list[Claim]:
    """How a refund is paid, for a customer who did not ask."""
    found = [passage for passage in index.passages if passage.url.endswith(REFUNDS)]
    return [Claim(passage.sentences[0], passage.citation) for passage in found]
