"""The live state, read back from the data plane's own files: never remembered, never assumed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollcast.planner.declaration import Environment
from rollcast.planner.plan import LiveState, Serving, Share, WorldState
from rollcast.planner.releases import Line, Release
from rollcast.planner.split import flag_key
from rollcast.stacks.definitions import CONTENT, LINES, RELEASES, SERVING, content_digest, stored
from rollcast.stacks.errors import DriftError, StackError
from rollcast.stacks.ledger import existing_ledger
from rollcast.stacks.project import Project
from rollcast.stacks.rollouts import scope_of, serial_of
from rollcast.stacks.targets import Placed, Target, target_of


@dataclass(frozen=True)
class Live:
    """What serves and exists, with what is needed to write a flag anew."""

    state: LiveState
    flags: Mapping[str, dict[str, Any]]
    placed: Mapping[str, Placed]
    lines: Mapping[str, Line]
    audiences: Mapping[str, Mapping[str, Any]]


def read_live(project: Project) -> LiveState:
    """What serves now. Raises StackError, or DriftError when it was edited by hand into something unknown."""
    live = read(target_at(project.folder, project.environment), project.declaration.each_pipeline())
    ledger = existing_ledger(project.folder, scope_of(project.declaration, project.environment_name))
    return live.state.model_copy(update={"serial": serial_of(ledger) if ledger else 0})


def target_at(folder: Path, settings: Environment) -> Target:
    """The target of an environment."""
    return target_of(settings.target.kind, folder.resolve(), settings.target.model_dump())


def read(target: Target, pipelines: Iterable[str], lenient: bool = False) -> Live:
    """Everything that a target says. Raises DriftError on a flag edited by hand, or, `lenient`, leaves it out."""
    serving: Serving = {}
    releases: dict[str, Release] = {}
    lines: dict[str, Line] = {}
    audiences: dict[str, Mapping[str, Any]] = {}
    flags = {name: flag for name in pipelines if (flag := target.flag(flag_key(name))) is not None}
    for name, flag in list(flags.items()):
        metadata = flag.get("metadata") or {}
        edited = _edited(name, flag)
        if edited and lenient:
            del flags[name]
            continue
        if edited:
            raise DriftError(edited)
        for line, shares in json.loads(metadata[SERVING]).items():
            serving[line] = tuple(stored(Share, share, f"Line '{line}'") for share in shares)
        for release, digest in json.loads(metadata[RELEASES]).items():
            releases[release] = _release(target, release, digest)
        about = target.document(metadata[LINES])
        lines.update({key: stored(Line, line, f"Line '{key}'") for key, line in about["lines"].items()})
        audiences.update(about["audiences"])
    placed = target.placed()
    for item in placed.values():
        if item.release and item.release not in releases:
            releases[item.release] = _release(target, item.release, item.document)
    instances = {folder: (item.release, item.slot) for folder, item in placed.items() if item.release}
    state = LiveState(
        serving={line: shares for line, shares in serving.items() if shares},
        releases=releases,
        instances=instances,
        lines=lines,
    )
    return Live(state, flags, placed, lines, audiences)


def _edited(pipeline: str, flag: Mapping[str, Any]) -> str:
    """What is wrong with a flag that rollcast did not write; empty when it did."""
    metadata = flag.get("metadata") or {}
    if SERVING not in metadata:
        return (
            f"The flag {flag_key(pipeline)} was not written by rollcast, so what it serves is not known. "
            "Remove it from the definition, or choose another target."
        )
    if content_digest(flag) != metadata.get(CONTENT):
        return (
            f"The flag {flag_key(pipeline)} was edited by hand: what it serves is not what rollcast wrote. "
            "Restore it, or write it anew with 'rollcast rollback' or 'rollcast abort'."
        )
    return ""


def _release(target: Target, name: str, digest: str) -> Release:
    release = stored(Release, target.document(digest), f"Release {name}")
    if release.id != name:
        raise StackError(f"The definition {digest} is that of {release.id}, not of {name}. Restore it from a backup.")
    return release


def moved(live: LiveState, *expected: WorldState) -> list[str]:
    """What of the live state is like none of the expected states: each a sentence. Empty where nothing moved."""
    found = []
    for line in sorted({*live.serving, *(key for state in expected for key in state.serving)}):
        now = live.serving.get(line, ())
        if all(now != state.serving.get(line, ()) for state in expected):
            wanted = shares_in_words(expected[-1].serving.get(line, ()))
            found.append(f"{line} is served by {shares_in_words(now)}, not by {wanted}")
    for folder in sorted({*live.instances, *(key for state in expected for key in state.instances)}):
        known = [state.instances.get(folder) for state in expected]
        if live.instances.get(folder) not in known:
            there = "is there" if folder in live.instances else "is gone"
            found.append(f"instance {folder} {there}, and rollcast did not do that")
    return found


def shares_in_words(shares: Iterable[Share]) -> str:
    """Who is served by what."""
    return ", ".join(f"{s.release} ({s.percent:g} % of {s.audience})" for s in shares) or "nothing"
