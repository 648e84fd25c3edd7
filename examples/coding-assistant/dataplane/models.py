"""The model: which token comes next, as a log-linear function of the tokens before it and of what the prompt says.

It is small on purpose, some ten thousand features by some hundred tokens, learned in seconds (`tools/training.py`). It
knows the phrases and the code of its training data and nothing beyond. A beam search keeps to what the analysis found:
no argument that the function does not have, no bracket that closes nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from dataplane.tokens import OPENS, concrete, stand_ins
from demos.errors import BrokenMix

END = "<end>"
MOST_TOKENS = 64
BEAM = 3
_LINE = re.compile(r"^(\w+): (.*)$", re.MULTILINE)
_WORD = re.compile(r"\w+|[^\w\s]")
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Prompted:
    """What a model reads of a prompt: lines of the analysis, the code before the cursor, how the answer begins."""

    lines: Mapping[str, str]
    prefix: str
    begun: str


@dataclass(frozen=True)
class Written:
    """A completion with what the prompt began it with, and what it cost."""

    text: str
    input_tokens: int
    output_tokens: int


def features(language: str, said: Sequence[str], before: Sequence[str]) -> Iterator[str]:
    """What the next token depends on: the tokens before it, and each word of the prompt beside them.

    `said`: words and pairs of words of the prompt. All of it is of one language: nothing is learned across.
    """
    last, second, third, fourth = (("", "", "", "", *before)[-place] for place in (1, 2, 3, 4))
    call = next((each for each in reversed(before) if each.strip().isalpha() and len(each.strip()) > 1), "")
    yield f"{language}|{last}"
    yield f"{language}|{second}|{last}"
    yield f"{language}|{third}|{second}|{last}"
    yield f"{language}|{fourth}|{third}|{second}|{last}|{call}"
    for word in said:
        yield f"{language}|{word}|{last}"
        yield f"{language}|{word}|{second}|{last}"
        yield f"{language}|{word}|{call}|{last}"


def rows(names: Iterator[str], width: int) -> list[int]:
    """Where the weights of features stand: hashed, so that no table of them is needed."""
    return [crc32(name.encode()) % width for name in names]


@dataclass(frozen=True)
class Model:
    """Weights of features by tokens, and how a prompt has to be written for this model."""

    weights: Floats
    vocabulary: tuple[str, ...]
    marks: tuple[str, str, str]
    reads: tuple[str, ...]

    def read(self, prompt: str) -> Prompted:
        """What the prompt says. Raises BrokenMix where it is written for another model."""
        before, suffix, middle = self.marks
        if not prompt.startswith(before) or suffix not in prompt or middle not in prompt:
            raise BrokenMix(f"The prompt has no {before}…{suffix}…{middle}: it is written for another model.")
        head = prompt[len(before) : prompt.index(suffix)]
        lines = dict(_LINE.findall(head))
        if missing := {"language", "arguments", *self.reads} - set(lines):
            raise BrokenMix(f"The prompt does not say {', '.join(sorted(missing))}, which the model reads.")
        return Prompted(lines, head, prompt[prompt.index(middle) + len(middle) :])

    def complete(self, prompt: str) -> Written:
        """The likeliest line that a beam finds. Raises BrokenMix."""
        found = self.read(prompt)
        said = [word for key in self.reads for word in found.lines[key].split()]
        names = stand_ins(found.lines["arguments"].split(), _numbers(found.prefix))
        allowed = np.array([not each.strip().startswith(("@", "#")) or each.strip() in names.values()
                            for each in self.vocabulary])  # fmt: skip
        written = self._search(found.lines["language"], said, allowed)
        text = found.begun + concrete(written, {stand_in: name for name, stand_in in names.items()})
        return Written(text, len(_WORD.findall(prompt)), len(written) + len(_WORD.findall(found.begun)) + 1)

    def _search(self, language: str, said: Sequence[str], allowed: NDArray[np.bool_]) -> list[str]:
        beam: list[tuple[float, list[str]]] = [(0.0, [])]
        ended: list[tuple[float, list[str]]] = []
        for _ in range(MOST_TOKENS):
            grown = [
                (score + gain, [*tokens, token])
                for score, tokens in beam
                for gain, token in self._next(language, said, tokens, allowed)
            ]
            grown.sort(key=lambda each: -each[0])
            ended += [(score, tokens[:-1]) for score, tokens in grown[:BEAM] if tokens[-1] == END]
            beam = [each for each in grown[:BEAM] if each[1][-1] != END]
            if not beam or (ended and max(ended)[0] >= beam[0][0]):
                break
        return max(ended, default=beam[0] if beam else (0.0, []))[1]

    def _next(
        self, language: str, said: Sequence[str], tokens: list[str], allowed: NDArray[np.bool_]
    ) -> Iterator[tuple[float, str]]:
        scores = self.weights[rows(features(language, said, tokens), len(self.weights))].sum(axis=0)
        scores = np.where(allowed, scores, -np.inf)
        scores -= np.logaddexp.reduce(scores)
        unclosed = _open(tokens)
        many = 0
        for place in np.argsort(-scores):
            token = self.vocabulary[place]
            bare = token.strip()
            if (bare in OPENS.values() and unclosed[-1:] != [bare]) or (token == END and unclosed):
                continue
            yield float(scores[place]), token
            many += 1
            if many == BEAM:
                return


def _open(tokens: Sequence[str]) -> list[str]:
    """The brackets that still have to be closed, the innermost last."""
    found: list[str] = []
    for token in tokens:
        bare = token.strip()
        if bare in OPENS:
            found.append(OPENS[bare])
        elif found and bare == found[-1]:
            found.pop()
    return found


def _numbers(prefix: str) -> list[str]:
    return re.findall(r"\b\d+\b", _LINE.sub("", prefix))


def load(folder: Path) -> Model:
    """The model in `folder`. Raises OSError, ValueError or KeyError."""
    about = json.loads((folder / "model.json").read_text("utf-8"))
    with np.load(folder / "weights.npz") as arrays:
        weights = arrays["weights"].astype(np.float32)
    if weights.shape[1] != len(about["vocabulary"]):
        raise ValueError(f"{weights.shape[1]} columns of weights for {len(about['vocabulary'])} tokens")
    return Model(weights, tuple(about["vocabulary"]), tuple(about["marks"]), tuple(about["reads"]))
