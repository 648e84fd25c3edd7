"""Puts a change of source into a module that is already imported, and takes it out again.

The changed source is compiled apart; then each function of the real module takes over the code of its changed twin. So
the bug is there for everyone who imported the function, and nothing but the changed tracks is different.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib import import_module
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any


class NoLongerThere(Exception):
    """The source that a bug changes is not there as it was: the bug must be written again."""


@contextmanager
def mutated(module: str, old: str, new: str) -> Iterator[None]:
    """The module with `old` replaced by `new`. Raises NoLongerThere where `old` is not there exactly once."""
    real = import_module(module)
    path = Path(str(real.__file__))
    source = path.read_text("utf-8")
    if source.count(old) != 1:
        raise NoLongerThere(f"{path.name} has {source.count(old)} times: {old!r}")
    twin = ModuleType(module)
    twin.__dict__.update(__file__=real.__file__, __package__=real.__package__)
    exec(compile(source.replace(old, new), str(path), "exec"), twin.__dict__)  # noqa: S102 - our own source, changed
    originals: list[tuple[FunctionType, CodeType]] = []
    caches = [found for found in vars(real).values() if hasattr(found, "cache_clear")]
    for function, changed in _pairs(real, twin):
        if function.__code__.co_freevars == changed.__code__.co_freevars:
            originals.append((function, function.__code__))
            function.__code__ = changed.__code__
    try:
        _clear(caches)
        yield
    finally:
        for function, code in originals:
            function.__code__ = code
        _clear(caches)


def _clear(caches: list[Any]) -> None:
    """What was remembered with the other code is forgotten."""
    for cache in caches:
        cache.cache_clear()


def _pairs(real: Any, twin: Any) -> Iterator[tuple[FunctionType, FunctionType]]:
    """Functions and methods of a module, each with its twin."""
    for name, found in vars(real).items():
        other = vars(twin).get(name)
        if isinstance(found, type) and isinstance(other, type) and found.__module__ == real.__name__:
            for member, value in vars(found).items():
                yield from _functions(value, vars(other).get(member))
        elif getattr(found, "__module__", None) == real.__name__:
            yield from _functions(found, other)


def _functions(one: Any, other: Any) -> Iterator[tuple[FunctionType, FunctionType]]:
    """The function inside what decorates it, on both sides."""
    plain, twin = _plain(one), _plain(other)
    if isinstance(plain, FunctionType) and isinstance(twin, FunctionType):
        yield plain, twin


def _plain(value: Any) -> Any:
    if isinstance(value, staticmethod | classmethod):
        value = value.__func__
    if isinstance(value, property):
        value = value.fget
    if isinstance(value, cached_property):
        value = value.func
    while hasattr(value, "__wrapped__"):
        value = value.__wrapped__
    return value
