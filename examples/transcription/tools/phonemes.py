"""How a word sounds to a voice of espeak-ng, written in the phones of pocketsphinx's English model (ARPABET).

espeak-ng says a word in the International Phonetic Alphabet; each of its sounds is written as the nearest English
one. For accents of English that is close. Spanish has sounds that English lacks, and two readings of some are kept.
"""

from __future__ import annotations

import subprocess
import sys

_ENGLISH = {
    "i": "IY", "ɪ": "IH", "ᵻ": "IH", "e": "EH", "ɛ": "EH", "a": "AE", "æ": "AE", "aa": "AE", "ɑ": "AA", "ɒ": "AA",
    "ɔ": "AO", "ʊ": "UH", "u": "UW", "ʉ": "UW", "ʌ": "AH", "ɐ": "AH", "ə": "AH", "ɚ": "ER", "ɜ": "ER", "o": "OW",
    "aː": "AA", "eɪ": "EY", "eː": "EY", "aɪ": "AY", "ɔɪ": "OY", "oʊ": "OW", "əʊ": "OW", "aʊ": "AW", "ʌɪ": "AY",
    "ʌʊ": "AW", "ɛə": "EH R", "eə": "EH R", "ɪə": "IH R", "ʊə": "UH R", "iə": "IY AH", "oːɹ": "AO R", "ɔːɹ": "AO R",
    "ɑːɹ": "AA R", "ɛɹ": "EH R", "ɪɹ": "IH R", "ʊɹ": "UH R", "əl": "AH L", "aɪə": "AY AH", "aɪɚ": "AY ER",
    "p": "P", "b": "B", "t": "T", "d": "D", "k": "K", "g": "G", "ɡ": "G", "f": "F", "v": "V", "θ": "TH", "ð": "DH",
    "s": "S", "z": "Z", "ʃ": "SH", "ʒ": "ZH", "h": "HH", "tʃ": "CH", "dʒ": "JH", "m": "M", "n": "N", "ŋ": "NG",
    "l": "L", "ɫ": "L", "r": "R", "ɹ": "R", "ɾ": "D", "w": "W", "ʍ": "W", "j": "Y", "x": "K", "ʔ": "T", "t̪": "T",
}  # fmt: skip
_SPANISH = {
    **_ENGLISH, "a": "AA", "o": "OW", "i": "IY", "u": "UW", "β": "V", "ɣ": "G", "x": "HH", "ʎ": "Y", "ɲ": "N",
}  # fmt: skip
_READINGS = {"es": (_SPANISH, {**_SPANISH, "ɾ": "R", "e": "EY"})}
LONGEST = 3


def pronunciations(voice: str, word: str) -> list[str]:
    """How `word` sounds to `voice`: one reading or two, of phones. Ends the program without espeak."""
    sounds = _ipa(voice, word)
    found = dict.fromkeys(_read(sounds, table) for table in _READINGS.get(voice, (_ENGLISH,)))
    return [each for each in found if each]


def _ipa(voice: str, word: str) -> list[str]:
    command = ["espeak-ng", "-v", voice, "-q", "--ipa", "--sep=_", word]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=True, encoding="utf-8").stdout
    except FileNotFoundError:
        sys.exit("espeak-ng is not installed, and the voices are its. Install it: apt-get install espeak-ng.")
    except subprocess.CalledProcessError as error:
        sys.exit(f"espeak-ng has no voice {voice} ({error.stderr.strip()}). Install espeak-ng-data.")
    bare = said.replace(" ", "_").translate({ord(each): None for each in "ˈˌ\u200d\n"})
    return [sound for sound in bare.split("_") if sound]


def _read(sounds: list[str], table: dict[str, str]) -> str:
    phones: list[str] = []
    for sound in sounds:
        rest = sound.replace(":", "ː")
        while rest:
            size = next((n for n in range(LONGEST, 0, -1) if rest[:n] in table), 0)
            phones += table[rest[:size]].split() if size else []
            rest = rest[max(size, 1) :]
    return " ".join(phones)
