"""Definitions as rollcast writes them, for services that run in tests: two releases of a small pipeline."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from rollcast.planner.declaration.models import Artifact, ArtifactKind
from rollcast.planner.plan.models import Share
from rollcast.planner.releases.releases import Release, SlotVersion, Track
from rollcast.stacks.flags.definitions import compiled

PIPELINE = "help-desk"
FLAG = f"rollcast-{PIPELINE}"
LINE = Track(id="default", pipeline=PIPELINE, channel="default")


def release(version: int, **slots: dict[str, Any]) -> Release:
    """A release whose prompt and index are of this version, and whose generator never changes."""
    kinds = {"prompt": ArtifactKind("prompt-template"), "index": ArtifactKind("retrieval-index")}
    made = {
        slot: SlotVersion(
            artifact=Artifact(kind=kind, name=slot, version=str(version)), digest=f"sha256:{version:064x}",
            upstream=() if slot == "index" else ("index",), **slots.get(slot, {}),
        )
        for slot, kind in kinds.items()
    }  # fmt: skip
    weights = Artifact(kind=ArtifactKind("model-weights"), name="chat", version="1")
    made["generator"] = SlotVersion(artifact=weights, digest=f"sha256:{1:064x}", **slots.get("generator", {}))
    return Release(pipeline=PIPELINE, slots=made)


OLD, NEW = release(1), release(2)


def flag(percent: float, new: Release = NEW, old: Release = OLD) -> dict[str, Any]:
    """The pipeline's flag with this share on the new release."""
    shares = [Share(line="default", percent=percent, release=new.id)] if percent else []
    shares += [Share(line="default", percent=100 - percent, release=old.id)] if percent < 100 else []
    known = {each.id: each for each in (new, old)}
    return compiled(PIPELINE, {"default": LINE}, {"default": tuple(shares)}, known, {})[0]


def both(percent: float, new: Release = NEW, old: Release = OLD) -> dict[str, Any]:
    """The same with both releases among the variants, whatever the share: as while one of them is drained."""
    made = flag(percent, new, old)
    made["variants"] |= {new.id: new.variant("default"), old.id: old.variant("default")}
    from rollcast.stacks.flags.definitions import CONTENT, content_digest

    made["metadata"][CONTENT] = content_digest(made)
    return made


def text_of(made: dict[str, Any] | None) -> str:
    """A definition document with this flag."""
    return json.dumps({"flags": {FLAG: made} if made else {}})


# Texts that are no definition with a flag of the pipeline that can be evaluated.
NO_DEFINITIONS = (
    "", "   ", "{", text_of(flag(10))[:-40], "[]", "null", '{"flags": []}', '{"flags": {}}', text_of(None), "garbage",
    json.dumps({"flags": {FLAG: {"state": "ENABLED"}}}),
    json.dumps({"flags": {FLAG: {**flag(10), "variants": {"a": {"release": 7}}}}}),
    json.dumps({"flags": {FLAG: {**flag(10), "variants": {"a": {"release": "a b", "components": {}}}}}}),
    json.dumps({"flags": {FLAG: {**flag(10), "variants": {"a": {"release": "r", "components": [1]}}}}}),
    json.dumps({"flags": {FLAG: {**flag(10), "metadata": {"rollcast_bucketing": "flagd-cbor-murmur3-32/1"}}}}),
    json.dumps({"flags": {FLAG: {**flag(10), "metadata": [1]}}}),
    json.dumps({"flags": {FLAG: {**flag(10), "state": "SOMEHOW"}}}),
)  # fmt: skip


def put(path: Path, made: dict[str, Any] | None) -> None:
    """Writes it as rollcast does, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}-{os.getpid()}")
    scratch.write_text(text_of(made), "utf-8")
    scratch.replace(path)
