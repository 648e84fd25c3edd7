"""`rollcast.lock`: every artifact reference pinned to a digest. Written by the tool, committed by people.

A digest is computed from the artifact's recipe (see `recipes`), so that a lock can be checked without building or
fetching anything. An artifact never changes: content that differs from its pinned digest is refused, and the remedy is
a new version. What a source in a registry stood for stands in `sources`; what is used is that, wherever its name leads
by now. A hosted model has no content here: `by_name` says which digests are only of a name. Content that differs is
refused where it is read: recipes and files by `stacks.project`, what was fetched by `cache`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from rollcast.planner.declaration.models import Artifact, Declaration, SourcePin
from rollcast.planner.releases.lineage import lineage_graph
from rollcast.planner.releases.releases import digest_of
from rollcast.stacks.artifacts.recipes import definitions_of, digests_of
from rollcast.stacks.base import atomic_files
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.registries.sources import StoredSignature

NAME = "rollcast.lock"
_REMEDY = "Restore it from version control. Without one delete it, and 'rollcast lock' pins everything as it is now."
FORMAT_VERSION = "1.1"


class LockedSource(BaseModel):
    """What a source stood for when it was locked; what its registry says it was made from, and has signed of it."""

    model_config = ConfigDict(frozen=True)
    source: str
    pin: SourcePin
    lineage: tuple[str, ...] = ()
    signatures: tuple[StoredSignature, ...] = ()

    @property
    def unsaid(self) -> set[str]:
        """What a lock file leaves out, for there is none."""
        return {name for name in ("lineage", "signatures") if not getattr(self, name)}


@dataclass(frozen=True)
class Lock:
    """A lock file. artifacts: reference -> digest of its recipe. by_name: those pinned by a name alone."""

    artifacts: dict[str, str]
    sources: dict[str, LockedSource] = field(default_factory=dict)
    by_name: dict[str, str] = field(default_factory=dict)

    def pins_of(self, declaration: Declaration) -> Declaration:
        """The declaration with what is locked of each artifact's source, as long as that is the source still.

        A pin that is declared itself counts before that. Of what registries say that something was made from, the
        artifacts of this declaration become its `made_from`; what else they name has no place in a release.
        """
        said = {name: one.source for name, one in self.sources.items()}
        declared = {artifact.reference for artifact in declaration.artifacts}
        makers = self.makers()

        def locked(artifact: Artifact) -> Artifact:
            name = artifact.reference
            stands = name in said and said[name] == artifact.source
            if not stands:
                return artifact if artifact.pin is None else artifact.model_copy(update={"pinned": artifact.pin})
            made_from = tuple(maker for maker in makers[name] if maker in declared and maker != name)
            pin = artifact.pin or self.sources[name].pin
            return artifact.model_copy(update={"pinned": pin, "made_from": made_from})

        return declaration.model_copy(update={"artifacts": tuple(locked(each) for each in declaration.artifacts)})

    def makers(self) -> dict[str, list[str]]:
        """What each artifact was made from, as its registry says: references where those are locked, else its words."""
        known: dict[str, set[str]] = {}  # a card of the Hub names no revision: the one that is locked, if it is one
        for reference, one in self.sources.items():
            known.setdefault(one.pin.identity.partition("@")[0], set()).add(reference)
        exact = {said: name for name, one in self.sources.items() for said in (one.source, one.pin.identity)}
        only = {said: next(iter(names)) for said, names in known.items() if len(names) == 1} | exact
        return {name: [only.get(maker, maker) for maker in one.lineage] for name, one in self.sources.items()}


def computed(declaration: Declaration, folder: Path) -> dict[str, str]:
    """The digest of every artifact of a declaration with its pins. Raises StackError."""
    return digests_of(definitions_of(declaration), folder)


def named_only(declaration: Declaration) -> dict[str, str]:
    """The artifacts whose content nothing here has seen: a hosted model's name, or a digest that was declared alone."""
    found = {artifact.reference: artifact.source or "" for artifact in declaration.artifacts if artifact.by_name}
    alone = (one for one in declaration.artifacts if one.digest and not one.source and not one.build)
    return {**found, **{artifact.reference: f"digest {artifact.digest}" for artifact in alone}}


def read(folder: Path) -> Lock | None:
    """The lock of a folder; None when nothing is locked yet. Raises StackError when the file can't be used."""
    path = folder / NAME
    if not path.exists():
        return None
    try:
        said = path.read_text("utf-8")
        _refuse_conflict(path, said)
        data = json.loads(said)
        major = str(data["format_version"]).split(".")[0]
        if major != FORMAT_VERSION.split(".")[0]:
            raise StackError(
                f"{path} has format {data['format_version']}, not {FORMAT_VERSION}. Use the newer rollcast."
            )
        pinned = {str(name): str(digest) for name, digest in data["artifacts"].items()}
        sources = {str(name): LockedSource.model_validate(said) for name, said in data.get("sources", {}).items()}
        named = {str(name): str(source) for name, source in data.get("by_name", {}).items()}
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise StackError(f"{path} can't be read ({where}). {_REMEDY}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StackError(f"{path} can't be read ({error}). {_REMEDY}") from None
    return Lock(pinned, sources, named)


def _refuse_conflict(path: Path, text: str) -> None:
    """Two sides of a merge pin different content, and only a person knows which is meant."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith(("<<<<<<< ", "=======", ">>>>>>> ", "||||||| ")):
            raise StackError(
                f"{path}:{number} is a mark of a merge conflict. Take one side whole ('git checkout --ours {NAME}' or "
                "'--theirs'), then run 'rollcast lock': it pins what that side lacks and moves nothing else."
            )


def write(folder: Path, lock: Lock) -> Path:
    """Pins what a lock says: sorted, so that equal locks are equal files. Raises StackError."""
    path = folder / NAME
    body: dict[str, object] = {"format_version": FORMAT_VERSION, "artifacts": dict(sorted(lock.artifacts.items()))}
    if lock.sources:
        body["sources"] = {
            name: one.model_dump(mode="json", exclude_none=True, exclude=one.unsaid)
            for name, one in sorted(lock.sources.items())
        }
    if lock.by_name:
        body["by_name"] = dict(sorted(lock.by_name.items()))
    try:
        atomic_files.write(path, json.dumps(body, indent=2) + "\n")
    except OSError as error:
        raise StackError(f"{path} can't be written ({error.strerror}). Make the folder writable.") from None
    return path


def pinned_apart(declaration: Declaration) -> set[str]:
    """The artifacts of which the lock says nothing: pinned in the declaration, or made from what is."""
    own = {artifact.reference for artifact in declaration.artifacts if artifact.pin is not None}
    if not own:
        return own
    import networkx as nx

    graph = lineage_graph(declaration.artifacts)
    return own.union(*(nx.descendants(graph, reference) for reference in own))


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
