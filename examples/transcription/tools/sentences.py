"""What callers say, in the two languages that they speak, and what a Spanish sentence means in English."""

from __future__ import annotations

from dataclasses import dataclass

from demos.drawing import share

NUMBERS = dict(
    zip(
        ["uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve"],
        ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"],
        strict=True,
    )
)
DAYS = dict(
    zip(
        ["lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo"],
        ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"],
        strict=True,
    )
)
SENTENCES = {
    "Cancelar el pedido {n} {n}": "Cancel order {n} {n}",
    "Dónde está el pedido {n} {n}": "Where is order {n} {n}",
    "Devolver el pedido {n} {n}": "Refund order {n} {n}",
    "Entregar el {d}": "Deliver it on {d}",
    "Cambiar al {d}": "Change it to {d}",
    "Mi número es {n} {n} {n}": "My number is {n} {n} {n}",
    "Hablar con una persona por favor": "Talk to a person please",
}


@dataclass(frozen=True)
class Sentence:
    """What is said, and its translation into English (itself, where it is English)."""

    said: str
    translated: str


def sentence(language: str, *seed: object) -> Sentence:
    """A sentence of that language, which depends on nothing but `seed`."""
    spanish = list(SENTENCES)[int(share(*seed, "sentence") * len(SENTENCES))]
    said = spanish if language == "es" else SENTENCES[spanish]
    meant = SENTENCES[spanish]
    for place, (slot, words) in enumerate((*[("{n}", NUMBERS)] * 3, ("{d}", DAYS))):
        word = list(words)[int(share(*seed, "word", place) * len(words))]
        said = said.replace(slot, word if language == "es" else words[word], 1)
        meant = meant.replace(slot, words[word], 1)
    return Sentence(said, meant)


def english_words() -> list[str]:
    """Every word that a caller may say in English, as it is written."""
    return _words([*SENTENCES.values(), *NUMBERS.values(), *DAYS.values()])


def spanish_words() -> list[str]:
    """Every word that a caller may say in Spanish, as it is written."""
    return _words([*SENTENCES, *NUMBERS, *DAYS])


def _words(texts: list[str]) -> list[str]:
    return sorted({word for text in texts for word in text.split() if "{" not in word})
