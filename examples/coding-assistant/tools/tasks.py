"""Small tasks as a developer has them: the head of a function and what it should do, in Python or JavaScript.

All of a task depends on its seed and nothing else. What the function has to give is computed from what its parts mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from demos.drawing import one_of, share
from tools.parts import ARGUMENTS, KEPT, LIMITS, MADE, TOGETHER, VERBS, Part

LANGUAGES = ("python", "javascript")
TESTS = 4
WORDS = (
    "sums", "Gas", "sun-set", "map", "OPERA", "glass", "ANT", "s-bahn", "tea", "Rivers", "no", "SOS", "stairs", "x-ray",
)  # fmt: skip


@dataclass(frozen=True)
class Task:
    """What a developer has written so far (`prefix`), one right way to go on (`body`), and the tests it has to pass:
    arguments, and what has to come of them.
    """

    language: str
    name: str
    prefix: str
    body: str
    cases: tuple[tuple[list[Any], Any], ...]


def task(language: str, *seed: object) -> Task:
    """The task that belongs to `seed`; one in which something is kept of every input."""
    return next(found for attempt in count() if (found := _drawn(language, *seed, attempt)) is not None)


def _drawn(language: str, *seed: object) -> Task | None:
    kind = one_of(("numbers", "words"), *seed, "kind")
    kept = [one_of(KEPT[kind], *seed, "kept", place) for place in range(one_of((0, 1, 1, 1, 2), *seed, "many"))]
    made = one_of(MADE[kind], *seed, "made") if share(*seed, "changes") < 0.6 else None
    numbers = kind == "numbers" or (made is not None and made.python == "len(x)")
    together = one_of((*TOGETHER["any"], *TOGETHER["numbers" if numbers else "words"]), *seed, "together")
    argument, wants_n = one_of(ARGUMENTS[kind], *seed, "argument"), any("{n}" in each.python for each in kept)
    given = wants_n and share(*seed, "given") < 0.4
    limit = one_of(LIMITS, *seed, "limit")
    said = limit if given else str(number(kind, *seed, "n"))
    cases = []
    for case in range(TESTS):
        n = number(kind, *seed, "n", case) if given else number(kind, *seed, "n")
        values = inputs(kind, kept, n, *seed, case)
        found = [x if made is None else made.value(x) for x in values if all(each.value(x, n) for each in kept)]
        if not found:
            return None
        cases.append(([values, n] if given else [values], together.value(found)))
    name = f"{one_of(VERBS, *seed, 'name').lower()}_{argument}"
    words = sentence(kind, kept, made, together, argument, said, *seed)
    head = prefix(language, name, [argument, limit] if given else [argument], words)
    return Task(language, name, head, body(language, kept, made, together, argument, said), tuple(cases))


def number(kind: str, *seed: object) -> int:
    """What is compared with."""
    return 2 + int(share(*seed, kind) * (8 if kind == "numbers" else 4))


def inputs(kind: str, kept: Sequence[Part], n: int, *seed: object) -> list[Any]:
    """A list of which something is kept, if anything can be."""
    found: list[Any] = []
    for place in range(60):
        if len(found) >= 7 and any(all(each.value(x, n) for each in kept) for x in found):
            break
        number = int(share(*seed, "input", place) * 40) - 9
        found.append(number if kind == "numbers" else one_of(WORDS, *seed, "input", place))
    return found


def sentence(
    kind: str, kept: Sequence[Part], made: Part | None, together: Part, argument: str, n: str, *seed: object
) -> str:
    """What the function should do, as developers say it."""
    how = one_of(together.said, *seed, "how")
    words = [one_of(VERBS, *seed, "verb")]
    words += [how] if how.endswith("of") else []
    words += ["the", one_of(made.said, *seed, "what"), "of"] if made else []
    words += ["the", kind, "in", argument]
    words += [" and ".join(one_of(each.said, *seed, "which", place) for place, each in enumerate(kept))]
    words += [] if how.endswith("of") else [how]
    return " ".join(each for each in words if each).replace("{n}", n) + "."


def prefix(language: str, name: str, arguments: Sequence[str], words: str) -> str:
    """The head of the function, up to where the cursor stands."""
    if language == "python":
        return f'def {name}({", ".join(arguments)}):\n    """{words}"""\n    '
    return f"/** {words} */\nfunction {name}({', '.join(arguments)}) {{\n  "


def body(language: str, kept: Sequence[Part], made: Part | None, together: Part, argument: str, n: str) -> str:
    """One right way to go on, as an experienced developer writes it."""
    if language == "python":
        rule = " and ".join(each.python for each in kept)
        chain = f"{made.python if made else 'x'} for x in {argument}{f' if {rule}' if rule else ''}"
        return "return " + together.python.replace("{all}", chain).replace("{n}", n)
    rule = " && ".join(each.javascript for each in kept)
    chain = argument + (f".filter((x) => {rule})" if rule else "")
    chain += f".map((x) => {made.javascript})" if made else ""
    return "return " + together.javascript.replace("{all}", chain).replace("{n}", n) + ";"


def request(wanted: Task) -> dict[str, Any]:
    """The task as an editor sends it, with its tests."""
    suffix = "\n" if wanted.language == "python" else "\n}\n"
    tests = {"name": wanted.name, "cases": wanted.cases}
    return {"language": wanted.language, "prefix": wanted.prefix, "suffix": suffix, "tests": tests}
