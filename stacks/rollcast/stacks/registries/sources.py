"""Where content comes from, by the scheme of an artifact's `source`: `file:PATH`, `vendor:NAME`, or a plugin's own.

A kind is an entry point in `rollcast.registries` whose name is the scheme: a class that is made without arguments. It
has no settings: a source is one line of text.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from rollcast.planner.base.errors import KindError, did_you_mean
from rollcast.plugins.finding import kinds, load
from rollcast.plugins.seams import Seam
from rollcast.stacks.base.errors import StackError

_OURS = ("file", "vendor")


class Registry(Protocol):
    """One scheme. `rest` is what stands behind it and the colon."""

    def mistake(self, rest: str) -> str:
        """What is wrong with how a source is written, and what to do; empty where nothing is. Nothing is looked up."""

    def content(self, rest: str, project: Path) -> Path | None:
        """The file or folder that a source is now, on this machine; None where it is pinned by its name alone.

        The same source gives the same content, or content whose digest differs. Raises StackError.
        """


def registry_of(source: str) -> tuple[Registry, str]:
    """The registry of a source, and what stands behind its scheme. Raises StackError."""
    scheme, _, rest = source.partition(":")
    try:
        made: Registry = load(Seam.REGISTRIES, scheme)()
    except KindError as error:
        raise StackError(str(error)) from None
    return made, rest


def is_known(source: str) -> bool:
    """Whether a registry is installed for a source. One without is refused where a project is read."""
    scheme, colon, _ = source.partition(":")
    return bool(colon) and scheme in kinds(Seam.REGISTRIES)


def source_mistake(source: str) -> str:
    """What is wrong with where content is, and what to do; empty where nothing is."""
    scheme, colon, _ = source.partition(":")
    known = kinds(Seam.REGISTRIES)
    if is_known(source):
        try:
            registry, rest = registry_of(source)
        except StackError as error:
            return f"source '{source}': {error}"
        said = registry.mistake(rest)
        return f"source '{source}' {said}" if said else ""
    what = "is of a kind that can't be read" if colon else "has no scheme"
    more = [f"'{kind}:'" for kind in known if kind not in _OURS]
    others = f" Installed besides: {', '.join(more)}." if more else ""
    near = did_you_mean(scheme, known) if colon else ""
    nearest = f" {near}" if near.startswith("Did you mean") else ""
    package = f" Another one is brought by a package, as '{scheme}' in '{Seam.REGISTRIES}'." if colon else ""
    return (
        f"source '{source}' {what}, so there is no content to pin.{nearest} Supported: 'file:PATH' below the project, "
        f"and for a hosted model 'vendor:NAME' with a date in the name.{others}{package}"
    )


__all__ = ["Registry", "is_known", "registry_of", "source_mistake"]
