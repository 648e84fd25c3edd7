"""What changes inside an artifact from one version to the next: words of a text, calls of tools, files of all else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rollcast.planner.declaration.models import Artifact, ArtifactKind
from rollcast.planner.plan.models import ContentChange, Plan
from rollcast.planner.releases.releases import SlotVersion
from rollcast.stacks.artifacts import cache
from rollcast.stacks.artifacts.building import MANIFEST, folder_of
from rollcast.stacks.artifacts.recipes import content_of, digests_of
from rollcast.stacks.artifacts.tool_schemas import breaks_of, tools_of
from rollcast.stacks.artifacts.words import word_diff
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.registries.trees import files_below

MOST_BYTES = 256 * 1024  # of a text that is compared by words
MOST_WORDS = 400  # runs of words that a plan carries
_TEXTS = (ArtifactKind.PROMPT_TEMPLATE, ArtifactKind.SAFETY_POLICY, ArtifactKind.POST_PROCESSING_RULE)
Files = Mapping[str, bytes]


def changes_of(plan: Plan, project: Path) -> tuple[ContentChange, ...]:
    """What changes inside the prompts, policies, rules and tool schemas that a plan replaces.

    Nothing is fetched for it: of content that is not on this machine nothing is said.
    """
    found: list[ContentChange] = []
    for line, target in plan.to_release.items():
        source = plan.from_release.get(line)
        if source is None or source not in plan.releases:
            continue
        before = plan.releases[source].slots
        for slot, version in plan.releases[target].slots.items():
            old = before.get(slot)
            if old is not None and old.reference != version.reference and version.artifact.kind == old.artifact.kind:
                change = _change(line, slot, old, version, project)
                if change is not None:
                    found.append(change)
    return tuple(found)


def compare(before: Artifact, after: Artifact, old: Files, new: Files) -> ContentChange:
    """What changes from one artifact to another of its kind."""
    change = ContentChange(before=before.reference, after=after.reference, kind=after.kind)
    files = _files(old, new)
    if after.kind == ArtifactKind.TOOL_SCHEMA and len(old) == len(new) == 1:
        try:
            broken = breaks_of(tools_of(_text(old)), tools_of(_text(new)))
            return change.model_copy(update={"breaking": tuple(broken), "words": _words(old, new)})
        except ValueError as error:
            return change.model_copy(
                update={"note": f"not compared by their tools ({error})", "words": _words(old, new)}
            )
    if len(old) == len(new) == 1 and after.kind in (*_TEXTS, ArtifactKind.MEMORY_CUE_SET, ArtifactKind.TOOL_SCHEMA):
        words = _words(old, new)
        if words:
            return change.model_copy(update={"words": words})
    return change.model_copy(update={"files": tuple(files)})


def files_here(artifact: Artifact, digest: str, project: Path) -> Files | None:
    """The files of an artifact that are on this machine: made into an instance, in the cache, or in the project.

    digest: of its recipe; a file of the project that has changed since is not what it was made from.
    """
    made = folder_of(project, artifact.reference, digest)
    if (made / MANIFEST).is_file():
        return files_in(made)
    if artifact.pinned is not None:
        return cache.files_at_hand(artifact.pinned)
    item = artifact.model_dump(mode="json")
    try:
        content = content_of(item, project)
        if not isinstance(content, Path) or (
            not artifact.derived_from
            and digests_of({artifact.reference: item}, project) != {artifact.reference: digest}
        ):
            return None
    except StackError:
        return None
    return _read(content)


def files_in(folder: Path) -> Files:
    """The files of a folder that an artifact was made into."""
    return {name: body for name, body in _read(folder).items() if name != MANIFEST}


def _change(line: str, slot: str, old: SlotVersion, new: SlotVersion, project: Path) -> ContentChange | None:
    if new.artifact.kind not in (*_TEXTS, ArtifactKind.TOOL_SCHEMA):
        return None
    before = files_here(old.artifact, old.digest, project)
    after = files_here(new.artifact, new.digest, project)
    if before is None or after is None:
        return None
    found = compare(old.artifact, new.artifact, before, after)
    cut = found.words[:MOST_WORDS]
    return found.model_copy(update={"line": line, "slot": slot, "words": cut, "cut": len(found.words) > len(cut)})


def _words(old: Files, new: Files) -> tuple[tuple[str, str], ...]:
    """Word by word, where both are texts of a size that somebody reads."""
    if max(len(text) for files in (old, new) for text in files.values()) > MOST_BYTES:
        return ()
    try:
        return tuple(word_diff(_text(old), _text(new)))
    except UnicodeDecodeError:
        return ()


def _text(files: Files) -> str:
    [content] = files.values()
    return content.decode("utf-8")


def _files(old: Files, new: Files) -> list[str]:
    found = [f"- {name}" for name in sorted(old.keys() - new.keys())]
    found += [f"+ {name}" for name in sorted(new.keys() - old.keys())]
    return found + [f"~ {name}" for name in sorted(old.keys() & new.keys()) if old[name] != new[name]]


def _read(path: Path) -> Files:
    return {name: file.read_bytes() for name, file in files_below(path)}


__all__ = ["changes_of", "compare", "files_here", "files_in"]
