"""What every source stands for now: looked up in all registries at once, with every mistake found, or nothing said.

This is the one place where a registry resolves a name. All else uses what the lock says of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rollcast.planner.declaration.models import Artifact, Declaration, SourcePin
from rollcast.stacks.artifacts import cache
from rollcast.stacks.artifacts.lock import Lock, LockedSource, named_only
from rollcast.stacks.artifacts.recipes import definitions_of, digests_of, files_of
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.registries.sources import Found, SigningRegistry, remote_of, source_mistake

_TOGETHER = 16  # sources that are looked up at once
Progress = Callable[[str, int, int | None], None]  # artifact, bytes that are here, bytes in all


@dataclass(frozen=True)
class MovedSource:
    """A source that stands for something else than what is locked. pushed_s: since when, where its registry says."""

    reference: str
    before: SourcePin
    after: SourcePin
    pushed_s: float | None


@dataclass(frozen=True)
class Resolution:
    """What `rollcast lock` would write, or the mistakes that keep it from it: (number of the artifact, sentences)."""

    lock: Lock
    moved: list[MovedSource] = field(default_factory=list)
    mistakes: list[tuple[int, str]] = field(default_factory=list)


def resolve(
    declaration: Declaration,
    project: Path,
    known: Lock | None = None,
    *,
    only: Collection[str] | None = None,
    offline: bool = False,
    progress: Progress = lambda reference, done, total: None,
) -> Resolution:
    """Pins every artifact. What stays as `known` says: sources not in `only`, all of them when `offline`.

    only: references or names of artifacts; None for all. Nothing is written but to the cache.
    """
    locked = known or Lock({})
    mistakes = list(hollow(declaration))
    refused = {index for index, _ in mistakes}
    wanted: dict[str, str] = {}  # source -> the first artifact that has it
    for index, artifact in enumerate(declaration.artifacts):
        source = artifact.source or ""
        if artifact.pin is not None or index in refused or _stays(artifact, locked, only, offline):
            continue
        if remote_of(source):
            wanted.setdefault(source, artifact.reference)
    signed = {one.source or "" for one in declaration.artifacts if one.signature and not one.signature.bundle}
    answers = _ask(wanted, signed, project, locked, offline, progress)
    sources: dict[str, LockedSource] = {}
    moved: list[MovedSource] = []
    for index, artifact in enumerate(declaration.artifacts):
        answer = answers.get(artifact.source or "") if artifact.pin is None else None
        if isinstance(answer, StackError):
            mistakes.append((index, f"{artifact.reference}: source '{artifact.source}': {answer}"))
            continue
        before = _pin_in(locked, artifact)
        if answer is not None:
            said, pushed_s = answer
        elif before is not None:
            said, pushed_s = locked.sources[artifact.reference], None
        else:
            continue
        pin, sources[artifact.reference] = said.pin, said
        if before is not None and before.digest != pin.digest:
            moved.append(MovedSource(artifact.reference, before, pin, pushed_s))
    pinned = Lock({}, sources).pins_of(declaration)
    definitions = definitions_of(pinned)
    wrong = {index for index, _ in mistakes}
    files: dict[str, list[Any]] = {}
    for index, artifact in enumerate(pinned.artifacts):
        if index not in wrong:
            try:
                files[artifact.reference] = files_of(definitions[artifact.reference], project)
            except StackError as error:
                mistakes.append((index, str(error)))
    if mistakes:
        return Resolution(locked, moved, sorted(mistakes))
    digests = digests_of(definitions, project, files)
    return Resolution(Lock(digests, sources, named_only(declaration)), moved)


def _pin_in(locked: Lock, artifact: Artifact) -> SourcePin | None:
    """What is locked of an artifact, as long as its source is the same."""
    said = locked.sources.get(artifact.reference)
    return said.pin if said is not None and said.source == artifact.source else None


def _stays(artifact: Artifact, locked: Lock, only: Collection[str] | None, offline: bool) -> bool:
    named = only is None or artifact.reference in only or artifact.name in only
    return (offline or not named) and _pin_in(locked, artifact) is not None


Answer = tuple[LockedSource, float | None]  # what is locked, and since when it is that
Answers = Mapping[str, Answer | StackError]


def _ask(
    wanted: Mapping[str, str], signed: Collection[str], project: Path, locked: Lock, offline: bool, progress: Progress
) -> Answers:
    """What each source stands for, or why that is not known; of those in `signed` with their signatures."""
    pins = {said.pin.identity: said.pin for said in locked.sources.values()}

    def one(source: str) -> Answer | StackError:
        reference = wanted[source]
        try:
            if offline:
                raise StackError("it is not locked, and nothing is looked up offline. Lock it with a network.")
            remote = remote_of(source)
            assert remote is not None
            registry, rest = remote
            found = registry.resolve(rest, project)
            pin = _pinned(found, reference, pins, progress)
            signing = registry if source in signed and isinstance(registry, SigningRegistry) else None
            signatures = signing.signatures(found.identity.partition(":")[2]) if signing is not None else ()
            return LockedSource(source=source, pin=pin, lineage=found.lineage, signatures=signatures), found.pushed_s
        except StackError as error:
            return error

    with ThreadPoolExecutor(_TOGETHER) as pool:
        return dict(zip(wanted, pool.map(one, wanted), strict=True))


def _pinned(found: Found, reference: str, pins: Mapping[str, SourcePin], progress: Progress) -> SourcePin:
    """The pin of what a registry said. An identity that is locked already is not fetched again."""
    if found.digest:
        return SourcePin(identity=found.identity, digest=found.digest, covers="manifest", size=found.size)
    if found.identity in pins:
        return pins[found.identity]
    return cache.admit(found, reference, progress=lambda done, total: progress(reference, done, total))


def hollow(declaration: Declaration) -> Iterator[tuple[int, str]]:
    """Every source of which there would be no more than its own text to pin: its artifact's number, and why."""
    for index, artifact in enumerate(declaration.artifacts):
        said = source_mistake(artifact.source) if artifact.source is not None else ""
        if said:
            yield index, f"{artifact.reference}: {said}"


__all__ = ["MovedSource", "Progress", "Resolution", "hollow", "resolve"]
