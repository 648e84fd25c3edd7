"""The prompt: what a model gets to read, in the marks of its fill-in-the-middle training, and how its answer begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Formatter

from demos.errors import BrokenMix

COMMENTS = {"python": "#", "javascript": "//"}
FIELDS = {"findings", "prefix", "suffix", "cited"}


@dataclass(frozen=True)
class Prompt:
    """A text with fields: `findings`, `prefix`, `suffix`, and `cited`, a comment with a line of the workspace.

    What stands after the last mark is the beginning of the answer: the model goes on from there.
    """

    text: str

    def render(
        self, findings: str, language: str, prefix: str, suffix: str, workspace: Sequence[str], words: frozenset[str]
    ) -> str:
        """The prompt for one completion. Raises BrokenMix where the template has fields that there are not."""
        wanted = {name for _, name, _, _ in Formatter().parse(self.text) if name is not None}
        if unknown := wanted - FIELDS:
            raise BrokenMix(f"The prompt has the fields {', '.join(sorted(unknown))}, which are not known. Correct it.")
        line = nearest(workspace, words) if "cited" in wanted else ""
        indent = prefix[prefix.rfind("\n") + 1 :]
        cited = f"{COMMENTS[language]} as in: {line}\n{indent}" if line else ""
        return self.text.format_map({"findings": findings, "prefix": prefix, "suffix": suffix, "cited": cited})


def nearest(workspace: Sequence[str], words: frozenset[str]) -> str:
    """The line that has most of the words; of several the last, which is nearest to the cursor. Empty for no lines."""
    best, most = "", -1
    for line in workspace:
        many = sum(word in line.lower() for word in words)
        if many >= most:
            best, most = line.strip(), many
    return best


def load(folder: Path) -> Prompt:
    """The prompt in `folder`. Raises OSError or ValueError."""
    return Prompt((folder / "prompt.txt").read_text("utf-8").removesuffix("\n"))
