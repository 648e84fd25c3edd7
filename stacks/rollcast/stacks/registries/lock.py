"""`rollcast.lock`: every artifact reference pinned to a content digest. Written by the tool, committed by people.

A digest is computed from the artifact's recipe (see `artifacts`), so that a lock can be checked without building
anything. An artifact never changes: content that differs from its pinned digest is refused, and the remedy is a new
version. A hosted model has no content here: `by_name` says which digests are only of a name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from rollcast.planner.declaration.models import Artifact, Declaration
from rollcast.planner.releases.releases import digest_of
from rollcast.stacks.base import atomic_files
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.registries.artifacts import definitions_of, digests_of
from rollcast.stacks.registries.sources import source_mistake

NAME = "rollcast.lock"
FORMAT_VERSION = "1.0"


def computed(declaration: Declaration, folder: Path) -> dict[str, str]:
    """The digest of every declared artifact, from the files that are there now. Raises StackError."""
    return digests_of(definitions_of(declaration), folder)


def refuse_hollow(declaration: Declaration, place: Callable[[int], str]) -> None:
    """Raises StackError for every source of which there would be no more than its own text to pin.

    `place` says where the artifact of that number is declared.
    """
    found = [_mistake(artifact) for artifact in declaration.artifacts]
    wrong = [f"{place(index)}: {text}" for index, text in enumerate(found) if text]
    if wrong:
        more = f" ({len(wrong) - 1} more of this kind.)" if len(wrong) > 1 else ""
        raise StackError(f"{wrong[0]}{more}")


def _mistake(artifact: Artifact) -> str:
    said = source_mistake(artifact.source) if artifact.source is not None else ""
    return f"{artifact.reference}: {said}" if said else ""


def named_only(declaration: Declaration) -> dict[str, str]:
    """The artifacts that are pinned by name, not by content, with the name."""
    return {artifact.reference: artifact.source or "" for artifact in declaration.artifacts if artifact.by_name}


def read(folder: Path) -> dict[str, str] | None:
    """The pinned digests; None when nothing is locked yet. Raises StackError when the file can't be used."""
    path = folder / NAME
    if not path.exists():
        return None
    try:
        data = json.loads(path.read_text("utf-8"))
        major = str(data["format_version"]).split(".")[0]
        pinned = {str(name): str(digest) for name, digest in data["artifacts"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StackError(f"{path} can't be read ({error}). Run 'rollcast lock' to write it again.") from None
    if major != FORMAT_VERSION.split(".")[0]:
        raise StackError(f"{path} has format {data['format_version']}, not {FORMAT_VERSION}. Use the newer rollcast.")
    return pinned


def write(folder: Path, digests: Mapping[str, str], named: Mapping[str, str] | None = None) -> Path:
    """Pins the digests: sorted, so that equal locks are equal files. `named`: those only by name. Raises StackError."""
    path = folder / NAME
    body = {"format_version": FORMAT_VERSION, "artifacts": dict(sorted(digests.items()))}
    text = json.dumps({**body, **({"by_name": dict(sorted(named.items()))} if named else {})}, indent=2) + "\n"
    try:
        atomic_files.write(path, text)
    except OSError as error:
        raise StackError(f"{path} can't be written ({error.strerror}). Make the folder writable.") from None
    return path


def differences(pinned: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """What of `found` is not as pinned, a sentence each, in order of name."""
    sentences = []
    for reference in sorted(found):
        if reference not in pinned:
            sentences.append(f"{reference} is not in {NAME}")
        elif pinned[reference] != found[reference]:
            sentences.append(f"the content of {reference} is not what {NAME} pins")
    return sentences


def digest(pinned: Mapping[str, str] | None) -> str:
    """The digest of a lock; empty when there is none."""
    return "" if pinned is None else digest_of(dict(pinned))
