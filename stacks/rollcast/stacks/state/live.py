"""The live state, read back from the data plane's own files: never remembered, never assumed.

A flag says in its metadata what rollcast wrote. Where it now says something else it was edited by hand: the reader
is given what differs, and chooses what is taken for live.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import Any

from rollcast.planner.base.audiences import parse, targeting
from rollcast.planner.declaration.models import Environment
from rollcast.planner.plan.models import LiveState, Serving, Share, WorldState
from rollcast.planner.releases.releases import Release, Track
from rollcast.planner.routing.split import Router, flag_key
from rollcast.stacks.base.errors import DriftError, StackError
from rollcast.stacks.flags.definitions import (
    CONTENT,
    LINES,
    RELEASES,
    SERVING,
    compiled,
    content_digest,
    stored,
)
from rollcast.stacks.instances import Placed
from rollcast.stacks.state.edits import edits_of
from rollcast.stacks.targets.addresses import addressed_flag
from rollcast.stacks.targets.opening import target_of
from rollcast.stacks.targets.target import Target

REMEDY = "Put it back with 'rollcast apply', or, while a rollout is under way, roll back with 'rollcast abort'."


class EditedFlags(Enum):
    """What a reader takes a flag for that was edited by hand."""

    REFUSED = auto()
    LEFT_OUT = auto()
    AS_WRITTEN = auto()


@dataclass(frozen=True)
class LiveReading:
    """What serves and exists, with what is needed to write a flag again.

    `flags` holds those that are as rollcast wrote them; `edits` says by pipeline what of the others is not, and
    `foreign` names those of them that say nothing of rollcast; `others` are the pipelines of other projects that the
    target serves. `down` says which instances nobody keeps up.
    """

    state: LiveState
    flags: Mapping[str, dict[str, Any]]
    placed: Mapping[str, Placed]
    lines: Mapping[str, Track]
    audiences: Mapping[str, Mapping[str, Any]]
    edits: Mapping[str, str]
    foreign: tuple[str, ...]
    others: tuple[str, ...] = ()
    down: tuple[str, ...] = ()

    @property
    def routing(self) -> dict[str, Any]:
        """Tracks and audiences as a document."""
        return {
            "lines": {key: track.model_dump(mode="json") for key, track in self.lines.items()},
            "audiences": {name: dict(rule) for name, rule in self.audiences.items()},
        }


def target_at(folder: Path, settings: Environment, scope: str = "") -> Target:
    """The target of an environment; `scope`: the ledger's, where it is to be written."""
    return target_of(settings, folder.resolve(), scope)


def read(target: Target, pipelines: Iterable[str], edited: EditedFlags = EditedFlags.REFUSED) -> LiveReading:
    """Everything that a target says of these pipelines; what belongs to others is no part of it, so nothing touches it.

    A flag edited by hand raises DriftError, or is left out, or is taken for what rollcast wrote. One that rollcast did
    not write is never known, so it is left out where it is not refused.
    """
    found, pipelines = _Found(target), sorted({*pipelines})
    there = target.flags()
    flags = {name: flag for name in pipelines if isinstance(flag := there.get(flag_key(name)), dict)}
    edits: dict[str, str] = {}
    foreign = []
    for name, flag in flags.items():
        written = found.written(flag)
        foreign += [name] if written is None else []
        edits[name] = _edited(name, flag, written)
        if edits[name] and edited is EditedFlags.REFUSED:
            raise DriftError(f"{edits[name]}. {REMEDY}")
        if written is not None and (not edits[name] or edited is EditedFlags.AS_WRITTEN):
            found.take(written)
    placed = _own(target, target.placed(), found, {*pipelines})
    state = LiveState(
        serving={track: shares for track, shares in found.serving.items() if shares},
        releases=found.releases,
        instances={folder: (item.release, item.slot) for folder, item in placed.items() if item.release},
        lines=found.lines,
    )
    whole = {name: flag for name, flag in flags.items() if not edits[name]}
    edits = {name: text for name, text in edits.items() if text}
    others = [key.removeprefix(flag_key("")) for key in sorted(there) if key.startswith(flag_key(""))]
    return LiveReading(
        state, whole, placed, found.lines, found.audiences, edits, tuple(foreign),
        tuple(name for name in others if name not in pipelines),
        tuple(f"instance {folder} is down: {why}" for folder, why in target.down().items() if folder in placed),
    )  # fmt: skip


def _own(target: Target, placed: Mapping[str, Placed], found: _Found, pipelines: set[str]) -> dict[str, Placed]:
    """The instances that were made for a release of these pipelines, and those that say nothing of a release."""
    kept = {}
    for folder, item in placed.items():
        if item.pipeline and item.pipeline not in pipelines:
            continue
        release = found.releases.get(item.release) if item.release else None
        if item.release and release is None:
            release = _release(target, item.release, item.document)
            if release.pipeline in pipelines:
                found.releases[item.release] = release
        if release is None or release.pipeline in pipelines:
            kept[folder] = item
    return kept


@dataclass
class _Found:
    """What flags say of themselves, gathered."""

    target: Target
    serving: Serving = field(default_factory=dict)
    releases: dict[str, Release] = field(default_factory=dict)
    lines: dict[str, Track] = field(default_factory=dict)
    audiences: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def written(self, flag: Mapping[str, Any]) -> _Found | None:
        """What rollcast wrote with a flag; None where it did not write it, or where its metadata can't be read."""
        metadata = flag.get("metadata") or {}
        if not {SERVING, RELEASES, LINES} <= set(metadata):
            return None
        own = _Found(self.target)
        try:
            for track, shares in json.loads(metadata[SERVING]).items():
                own.serving[track] = tuple(stored(Share, share, f"Channel '{track}'") for share in shares)
            named = json.loads(metadata[RELEASES]).items()
        except (ValueError, AttributeError, TypeError):
            return None
        for release, digest in named:
            own.releases[release] = _release(self.target, release, digest)
        about = self.target.document(metadata[LINES])
        tracks = {key: stored(Track, track, f"Channel '{key}'") for key, track in about["lines"].items()}
        own.lines.update(
            tracks if all("place" in track for track in about["lines"].values()) else as_tried(flag, tracks)
        )
        own.audiences.update(about["audiences"])
        return own

    def take(self, other: _Found) -> None:
        self.serving.update(other.serving)
        self.releases.update(other.releases)
        self.lines.update(other.lines)
        self.audiences.update(other.audiences)


def as_tried(flag: Mapping[str, Any], tracks: Mapping[str, Track]) -> dict[str, Track]:
    """Tracks that were stored without their places, with those that the rules of their flag have them in."""
    order: list[Any] = []
    rule = flag.get("targeting")
    while isinstance(rule, Mapping) and isinstance(links := rule.get("if"), list) and len(links) == 3:
        order.append(links[0])
        rule = links[2]
    rules = {key: None if track.route is None else targeting(parse(track.route)) for key, track in tracks.items()}
    places = {key: order.index(rule) if rule in order else len(order) for key, rule in rules.items()}
    return {key: track.model_copy(update={"place": places[key]}) for key, track in tracks.items()}


def _edited(pipeline: str, flag: Mapping[str, Any], written: _Found | None) -> str:
    """How a flag differs from what rollcast wrote; empty where it does not."""
    if written is None:
        return f"the flag {flag_key(pipeline)} was not written by rollcast, so what it serves is not known"
    if content_digest(flag) == flag["metadata"].get(CONTENT):
        return ""
    return f"the flag {flag_key(pipeline)} was edited by hand: {'; '.join(_differences(pipeline, flag, written))}"


def _differences(pipeline: str, flag: Mapping[str, Any], written: _Found) -> list[str]:
    unknown = ["what it serves is not what rollcast wrote"]
    served = {share.release for shares in written.serving.values() for share in shares}
    if not served <= set(written.releases):
        return unknown
    plain, _ = compiled(pipeline, written.lines, written.serving, written.releases, written.audiences)
    wanted = addressed_flag(plain, written.target, strict=False)
    router = Router(pipeline, written.lines, written.serving, written.audiences)
    return edits_of(flag, wanted, router) or unknown


def _release(target: Target, name: str, digest: str) -> Release:
    release = stored(Release, target.document(digest), f"Release {name}")
    if release.id != name:
        raise StackError(f"The definition {digest} is that of {release.id}, not of {name}. Restore it from a backup.")
    return release


def moved(live: LiveState, *expected: WorldState) -> list[str]:
    """What of the live state is like none of the expected states: each a sentence. Empty where nothing moved."""
    found = []
    for track in sorted({*live.serving, *(key for state in expected for key in state.serving)}):
        now = live.serving.get(track, ())
        if all(now != state.serving.get(track, ()) for state in expected):
            wanted = shares_in_words(expected[-1].serving.get(track, ()))
            found.append(f"{track} is served by {shares_in_words(now)}, not by {wanted}")
    for folder in sorted({*live.instances, *(key for state in expected for key in state.instances)}):
        known = [state.instances.get(folder) for state in expected]
        if live.instances.get(folder) not in known:
            there = "is there" if folder in live.instances else "is gone"
            found.append(f"instance {folder} {there}, and rollcast did not do that")
    return found


def shares_in_words(shares: Iterable[Share]) -> str:
    """Who is served by what."""
    return ", ".join(f"{s.release} ({s.percent:g} % of {s.audience})" for s in shares) or "nothing"
