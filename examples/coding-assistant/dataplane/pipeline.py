"""One completion through one release, from the cursor to the answer. Nothing here asks which version is live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dataplane import analysis, guard, models, prompts

SLOTS = ("analyzer", "analyzer.prompt", "completion", "completion.prompt", "guard")
LOADERS = {
    "analyzer.json": analysis.load,
    "findings.txt": analysis.load_template,
    "model.json": models.load,
    "prompt.txt": prompts.load,
    "guard.json": guard.load,
}


@dataclass(frozen=True)
class Cursor:
    """Where a developer stands: the code before and after, and lines of the files that are open beside."""

    language: str
    prefix: str
    suffix: str
    workspace: Sequence[str]


@dataclass(frozen=True)
class Completion:
    """What the model wrote, whether the guard lets it leave, and how many tokens it took."""

    text: str
    withheld: bool
    input_tokens: int
    output_tokens: int


def complete(parts: Mapping[str, Any], cursor: Cursor) -> Completion:
    """The completion at a cursor. Raises DataPlaneError."""
    findings = parts["analyzer"].findings(cursor.language, cursor.prefix)
    prompt = parts["completion.prompt"].render(
        parts["analyzer.prompt"].render(findings), cursor.language, cursor.prefix, cursor.suffix, cursor.workspace,
        findings.words,
    )  # fmt: skip
    written = parts["completion"].complete(prompt)
    withheld = parts["guard"].withholds(written.text)
    return Completion(written.text, withheld, written.input_tokens, written.output_tokens)
