"""The code analyzer: what can be seen of a function whose body is still to be written, and the template that says it.

The rules of a version say how a language writes heads and comments; the template decides what of it the model gets to
know, line by line: `words: sum squares even`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from string import Formatter

from dataplane.tokens import stand_ins
from demos.errors import BadRequest, BrokenMix

_WORD = re.compile(r"[A-Za-z]+|\d+")


@dataclass(frozen=True)
class Findings:
    """What was found: the values of each line that a template may ask for, and what stands for which name."""

    lines: Mapping[str, str]
    names: Mapping[str, str]
    words: frozenset[str]


@dataclass(frozen=True)
class Analyzer:
    """How each language writes a head (its arguments in a group) and a comment (its text in a group)."""

    heads: Mapping[str, re.Pattern[str]]
    comments: Mapping[str, re.Pattern[str]]

    def findings(self, language: str, prefix: str) -> Findings:
        """What is seen before the cursor. Raises BadRequest: no such language, or no function in it."""
        if language not in self.heads:
            raise BadRequest(f"'language' is {language!r}, and there are {', '.join(self.heads)}. Correct it.")
        head, comment = self.heads[language].search(prefix), self.comments[language].search(prefix)
        if head is None or comment is None:
            raise BadRequest("'prefix' has no function with a comment that says what it does. Send one.")
        arguments = re.findall(r"\w+", head[1])
        said = _WORD.findall(comment[1])
        names = stand_ins(arguments, [word for word in said if word.isdigit()])
        words = [names.get(word, word.lower()) for word in said]
        lines = {
            "language": language,
            "arguments": " ".join(arguments),
            "words": " ".join(words),
            "order": " ".join(f"{one}_{other}" for one, other in pairwise(words)),
        }
        return Findings(lines, names, frozenset(word.lower() for word in said))


@dataclass(frozen=True)
class Template:
    """Lines in which findings are said to a model."""

    text: str

    def render(self, findings: Findings) -> str:
        """The text about these findings. Raises BrokenMix where it asks for what the analyzer does not find."""
        wanted = {name for _, name, _, _ in Formatter().parse(self.text) if name}
        if missing := wanted - set(findings.lines):
            raise BrokenMix(f"The analysis template wants {', '.join(sorted(missing))}, which the analyzer lacks.")
        return self.text.format_map(findings.lines)


def load(folder: Path) -> Analyzer:
    """The analyzer in `folder`. Raises OSError, ValueError or KeyError."""
    rules = json.loads((folder / "analyzer.json").read_text("utf-8"))["languages"]
    try:
        return Analyzer(
            {language: re.compile(rule["head"]) for language, rule in rules.items()},
            {language: re.compile(rule["comment"]) for language, rule in rules.items()},
        )
    except re.error as error:
        raise ValueError(f"a rule is no regular expression ({error})") from error


def load_template(folder: Path) -> Template:
    """The template in `folder`. Raises OSError or ValueError."""
    return Template((folder / "findings.txt").read_text("utf-8"))
