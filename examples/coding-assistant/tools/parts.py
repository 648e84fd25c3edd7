"""What small tasks are made of: which elements of a list are kept, what is made of each, what of them all.

Each part says how developers ask for it, how either language says it of `x`, and what it means: written once, apart
from both, so that what a function has to give does not come from the code that a model learned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Part:
    """`{n}` stands for a number, which a task says as a number or as an argument."""

    said: tuple[str, ...]
    python: str
    javascript: str
    value: Callable[..., Any]


KEPT = {
    "numbers": (
        Part(("that are even",), "x % 2 == 0", "x % 2 === 0", lambda x, n: x % 2 == 0),
        Part(("that are odd",), "x % 2 != 0", "x % 2 !== 0", lambda x, n: x % 2 != 0),
        Part(("greater than {n}", "above {n}"), "x > {n}", "x > {n}", lambda x, n: x > n),
        Part(("less than {n}", "below {n}"), "x < {n}", "x < {n}", lambda x, n: x < n),
        Part(("of at least {n}", "not below {n}"), "x >= {n}", "x >= {n}", lambda x, n: x >= n),
        Part(("of at most {n}", "not above {n}"), "x <= {n}", "x <= {n}", lambda x, n: x <= n),
        Part(("divisible by {n}",), "x % {n} == 0", "x % {n} === 0", lambda x, n: x % n == 0),
        Part(("not divisible by {n}",), "x % {n} != 0", "x % {n} !== 0", lambda x, n: x % n != 0),
        Part(("other than {n}", "different from {n}"), "x != {n}", "x !== {n}", lambda x, n: x != n),
    ),
    "words": (
        Part(("longer than {n} letters",), "len(x) > {n}", "x.length > {n}", lambda x, n: len(x) > n),
        Part(("shorter than {n} letters",), "len(x) < {n}", "x.length < {n}", lambda x, n: len(x) < n),
        Part(("of exactly {n} letters",), "len(x) == {n}", "x.length === {n}", lambda x, n: len(x) == n),
        Part(("in capitals",), "x.isupper()", "x === x.toUpperCase()", lambda x, n: x == x.upper()),
        Part(("in small letters",), "x.islower()", "x === x.toLowerCase()", lambda x, n: x == x.lower()),
        Part(("that begin with s",), 'x.startswith("s")', 'x.startsWith("s")', lambda x, n: x[0] == "s"),
        Part(("that end with s",), 'x.endswith("s")', 'x.endsWith("s")', lambda x, n: x[-1] == "s"),
        Part(("with a dash in them",), '"-" in x', 'x.includes("-")', lambda x, n: "-" in x),
    ),
}
MADE = {
    "numbers": (
        Part(("squares",), "x * x", "x * x", lambda x: x * x),
        Part(("doubles",), "x * 2", "x * 2", lambda x: x * 2),
        Part(("halves",), "x / 2", "x / 2", lambda x: x / 2),
        Part(("negatives",), "-x", "-x", lambda x: -x),
        Part(("successors",), "x + 1", "x + 1", lambda x: x + 1),
        Part(("predecessors",), "x - 1", "x - 1", lambda x: x - 1),
        Part(("magnitudes", "absolute values"), "abs(x)", "Math.abs(x)", abs),
        Part(("last digits",), "abs(x) % 10", "Math.abs(x) % 10", lambda x: abs(x) % 10),
    ),
    "words": (
        Part(("lengths",), "len(x)", "x.length", len),
        Part(("capital forms",), "x.upper()", "x.toUpperCase()", str.upper),
        Part(("lower case forms",), "x.lower()", "x.toLowerCase()", str.lower),
        Part(("first letters", "initials"), "x[:1]", "x.slice(0, 1)", lambda x: x[:1]),
        Part(("last letters",), "x[-1:]", "x.slice(-1)", lambda x: x[-1:]),
        Part(("mirror images",), "x[::-1]", 'x.split("").reverse().join("")', lambda x: x[::-1]),
    ),
}
# `{all}` is the chain: in Python what stands between brackets, in JavaScript an array.
TOGETHER = {
    "any": (
        Part(("a list of",), "[{all}]", "{all}", list),
        Part(("the first of",), "next({all})", "{all}[0]", lambda found: found[0]),
        Part(("the number of", "the count of"), "len([{all}])", "{all}.length", len),
    ),
    "numbers": (
        Part(("the sum of", "the total of"), "sum({all})", "{all}.reduce((a, b) => a + b, 0)", sum),
        Part(("the largest of",), "max({all})", "Math.max(...{all})", max),
        Part(("the smallest of",), "min({all})", "Math.min(...{all})", min),
        Part(("in ascending order",), "sorted({all})", "{all}.sort((a, b) => a - b)", sorted),
    ),
    "words": (
        Part(("joined by commas",), '",".join({all})', '{all}.join(",")', ",".join),
        Part(("in alphabetical order",), "sorted({all})", "{all}.sort()", sorted),
        Part(("the last of",), "[{all}][-1]", "{all}.at(-1)", lambda found: found[-1]),
    ),
}
ARGUMENTS = {
    "numbers": ("values", "numbers", "amounts", "scores", "prices"),
    "words": ("names", "lines", "titles", "labels", "tags"),
}
LIMITS = ("limit", "bound", "size", "step")
VERBS = ("Return", "Give", "Compute", "Find")
