"""How users name the ten subjects: by their names, and, where that is refused, around them."""

from __future__ import annotations

from demos.drawing import share

NAMES = (
    ("zero", "nought", "0"), ("one", "a single stroke", "1"), ("two", "a pair", "2"), ("three", "a trio", "3"),
    ("four", "a quartet", "4"), ("five", "a quintet", "5"), ("six", "half a dozen", "6"), ("seven", "7"),
    ("eight", "an octet", "8"), ("nine", "9"),
)  # fmt: skip
AROUND = {
    4: ("half of the spider's legs", "the one between three and five", "how many seasons"),
    7: ("days of a week", "the one between six and eight", "how many dwarfs"),
    9: ("lives of a cat", "the one between eight and ten", "how many muses"),
}
FRAMES = (
    "{subject}",
    "please draw {subject}",
    "{subject} on white paper",
    "a sketch of {subject}",
    "{subject}, by hand",
)


def drawn(choices: tuple[str, ...], *parts: object) -> str:
    """One of the choices, by `parts`."""
    return choices[int(share(*parts) * len(choices))]


def brief(subject: int, around: bool, *parts: object) -> str:
    """A brief for a subject: by its name, or around it."""
    named = drawn(AROUND[subject] if around else NAMES[subject], "subject", *parts)
    return drawn(FRAMES, "frame", *parts).replace("{subject}", named)
