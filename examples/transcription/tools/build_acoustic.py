"""Builds an acoustic model: the lexicon of the words that callers say, and how widely the decoder looks.

`parameters`: `tokens` (1: English in small letters; 2: English and Spanish as they are written), `accents` (voices of
espeak-ng whose pronunciations are added to those of the CMU dictionary), and `settings` of pocketsphinx's decoder.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pocketsphinx

from tools.building import Task, task, write_json
from tools.phonemes import pronunciations
from tools.sentences import english_words, spanish_words

# The cepstral mean that each call begins with: of the mean over calls of every accent.
MEAN = "49.7,-0.5,-2.3,24.6,-13.6,-3.6,-5.3,-15.1,0.0,-10.5,6.7,-7.9,0.3"


def cmu_dictionary() -> dict[str, list[str]]:
    """The pronunciations that pocketsphinx ships, of American English."""
    found = defaultdict(list)
    path = Path(pocketsphinx.get_model_path()) / "en-us" / "cmudict-en-us.dict"
    for line in path.read_text("utf-8").splitlines():
        word, phones = line.split(maxsplit=1)
        found[word.split("(")[0]].append(phones)
    return found


def build(job: Task) -> None:
    tokens, accents = str(job.parameters.get("tokens")), job.parameters.get("accents", [])
    if tokens not in ("1", "2"):
        sys.exit(f'{job.artifact} has parameters.tokens {tokens}. Write "1" or "2".')
    known = cmu_dictionary()
    lexicon = {}
    for word in english_words():
        sounds = [*known[word.casefold()], *(each for accent in accents for each in pronunciations(accent, word))]
        lexicon[word if tokens == "2" else word.casefold()] = list(dict.fromkeys(sounds))
    if tokens == "2":
        lexicon |= {word: pronunciations("es", word) for word in spanish_words()}
    lines = (
        f"{word}{f'({number})' if number > 1 else ''} {phones}\n"
        for word, sounds in sorted(lexicon.items())
        for number, phones in enumerate(sounds, 1)
    )
    (job.out / "words.dict").write_text("".join(lines), "utf-8")
    write_json(job.out / "acoustic.json", {"settings": job.parameters.get("settings", {}), "mean": MEAN})


if __name__ == "__main__":
    build(task())
