"""Kinds by their names: listed from what is installed, and imported only when one is used.

A name that two distributions offer is nobody's until one of them is uninstalled. A plugin that can't be imported is an
error of the command that uses its kind, and of no other one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import lru_cache
from importlib.metadata import Distribution, EntryPoint, entry_points
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from rollcast.planner.base.errors import KindError, did_you_mean
from rollcast.plugins.seams import Seam


def kinds(seam: Seam) -> list[str]:
    """The names of all installed kinds, sorted. Nothing is imported."""
    return sorted(_offers(seam))


def brought_by(seam: Seam, kind: str) -> str:
    """The distribution that offers a kind, with its version; empty where none does."""
    return " and ".join(_name_of(entry) for entry in _offers(seam).get(kind, ()))


def load(seam: Seam, kind: str, noun: str = "") -> Any:
    """The class of a kind. Raises KindError: nobody offers it, two do, or it can't be imported.

    noun: what a message calls it, where that is not the seam's own word.
    """
    offers, noun = _offers(seam).get(kind, ()), noun or seam.noun
    if not offers:
        raise unknown(seam, kind, kinds(seam), noun)
    if len(offers) > 1:
        names = " and ".join(_name_of(entry) for entry in offers)
        raise KindError(f"{noun} '{kind}' is offered by {names}.", "Uninstall one of them.")
    try:
        return offers[0].load()
    except (Exception, SystemExit) as error:
        why = f"{type(error).__name__}: {error}".rstrip(": ")[:200]
        what = f"{noun} '{kind}' of {_name_of(offers[0])} can't be imported ({why})."
        raise KindError(what, _remedy(offers[0].dist, error)) from error


def unknown(seam: Seam, kind: str, known: Iterable[str], noun: str = "") -> KindError:
    """The refusal of a kind that nothing offers."""
    remedy = f"{did_you_mean(kind, known)} Else install the package that brings it, as '{kind}' in '{seam}'."
    noun = noun or seam.noun
    verb = "are" if noun.endswith("s") else "is"
    return KindError(f"there {verb} no {noun} of kind '{kind}'.", remedy.strip())


@lru_cache(maxsize=16)
def _found(group: str, path: tuple[str, ...]) -> dict[str, tuple[EntryPoint, ...]]:
    """The entry points of a group by name, as long as `path` is where Python looks."""
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for entry in entry_points(group=group):
        found[entry.name] = (*found.get(entry.name, ()), entry)
    return found


def _offers(seam: Seam) -> dict[str, tuple[EntryPoint, ...]]:
    return _found(seam.value, tuple(sys.path))


def _name_of(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else entry.value


def _remedy(distribution: Distribution | None, error: BaseException) -> str:
    """What brings a module that is not there: the extra that names it. Else the package itself is at fault."""
    if distribution is None:
        return "Correct that package, or uninstall it."
    missing = (getattr(error, "name", None) or "").partition(".")[0] if isinstance(error, ImportError) else ""
    for text in distribution.requires or ():
        try:
            wanted = Requirement(text)
        except InvalidRequirement:
            continue
        for extra in distribution.metadata.get_all("Provides-Extra") or ():
            marker = wanted.marker
            needs = marker is not None and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""})
            if missing and needs and wanted.name.replace("-", "_").lower() == missing.lower():
                return f"Install what it needs: pip install '{distribution.name}[{extra}]'."
    return f"Correct or update {distribution.name}, or uninstall it."


__all__ = ["brought_by", "kinds", "load", "unknown"]
