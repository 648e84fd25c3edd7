"""Artifacts as content: what they are made from, and the digest of that.

The digest of an artifact is of its recipe: definition, source files, the programs named in `build`, and the digests of
what it is derived from. It is known before anything is built or fetched, and changes whenever any of that does. Of a
source in a registry it covers what the lock pins, so that nothing is looked up to know it.

Where content comes from is a registry's to know: see `registries.sources`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rollcast.planner.declaration.models import Declaration, SourcePin
from rollcast.planner.releases.releases import digest_of
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.registries.sources import LocalRegistry, is_known, registry_of
from rollcast.stacks.registries.trees import is_content, tree_digest, tree_of

Definitions = Mapping[str, Mapping[str, Any]]  # artifact reference -> its definition as JSON
BY_NAME = "by name, not by content"


def definitions_of(declaration: Declaration) -> dict[str, dict[str, Any]]:
    """Every artifact's definition by reference, with what the lock pins of it."""
    return {a.reference: a.model_dump(mode="json", by_alias=True) for a in declaration.artifacts}


def digests_of(definitions: Definitions, project: Path, files: Mapping[str, list[Any]] | None = None) -> dict[str, str]:
    """The digest of every artifact; `files`: what `files_of` said of it, where that is known already.

    Raises StackError: a source can't be read, is not locked, or is not as declared.
    """
    known = files or {}
    found: dict[str, str] = {}

    def visit(reference: str) -> str:
        if reference not in found:
            item = definitions[reference]
            recipe: dict[str, Any] = {
                k: item.get(k) for k in ("kind", "name", "version", "source", "build", "parameters")
            }
            recipe["derived_from"] = [visit(source) for source in item.get("derived_from") or ()]
            recipe["files"] = known[reference] if reference in known else files_of(item, project)
            if item.get("digest") and not item.get("source"):
                recipe["digest"] = item["digest"]  # of content that is nowhere to be read: as declared
            found[reference] = digest_of(recipe)
        return found[reference]

    for reference in definitions:
        visit(reference)
    return found


def files_of(item: Mapping[str, Any], project: Path) -> list[Any]:
    """What an artifact is made from, as lists of files and digests. Raises StackError."""
    reference, wanted = f"{item['name']}@{item['version']}", item.get("digest")
    try:
        trees: list[Any] = [tree_of(path) for word in (item.get("build") or ()) if (path := project / word).is_file()]
        content = content_of(item, project)
        if content is None:
            if wanted and item.get("source"):
                raise StackError(
                    f"{reference}: there are no files of a hosted model to hold 'digest' against. Remove it."
                )
            return trees
        if isinstance(content, SourcePin):
            if wanted not in (None, content.digest):
                _refuse(reference, str(wanted), content.digest)
            return [*trees, [["", content.digest]]]
        tree = tree_of(content)
    except (OSError, RuntimeError, ValueError) as error:  # no right to read it, links in a ring, no path at all
        raise StackError(f"{reference}: its source can't be read ({error}). Correct 'source'.") from None
    if wanted and not is_content(tree, wanted):
        _refuse(reference, wanted, f"sha256:{tree[0][1]}" if len(tree) == 1 else tree_digest(tree))
    return [*trees, tree]


def _refuse(reference: str, wanted: str, found: str) -> None:
    raise StackError(
        f"{reference}: its content has the digest {found}, and 'digest' says {wanted}. "
        "See who changed it, or correct 'digest'."
    )


def content_of(item: Mapping[str, Any], project: Path) -> SourcePin | Path | None:
    """Where an artifact's content is: what the lock pins of it, or a place on this machine.

    None where it has no source, or one that is only a name. Raises StackError: not locked, or not there.
    """
    source, reference = item.get("source") or "", f"{item['name']}@{item['version']}"
    if not is_known(source):
        return None
    try:
        registry, rest = registry_of(source)
        if isinstance(registry, LocalRegistry):
            return registry.content(rest, project)
    except StackError as error:
        raise StackError(f"{reference}: {error}") from None
    if not item.get("pinned"):
        raise StackError(f"{reference}: {source} is not locked. Run 'rollcast lock'.")
    return SourcePin.model_validate(item["pinned"])


def recipe_of(references: Iterable[str], definitions: Definitions, digests: Mapping[str, str]) -> dict[str, Any]:
    """Everything that some artifacts are made from, and no more: definitions and digests, lineage included."""
    needed: dict[str, Mapping[str, Any]] = {}
    pending = list(references)
    while pending:
        reference = pending.pop()
        if reference not in needed:
            needed[reference] = definitions[reference]
            pending.extend(definitions[reference].get("derived_from") or ())
    return {"definitions": dict(sorted(needed.items())), "digests": {name: digests[name] for name in sorted(needed)}}
