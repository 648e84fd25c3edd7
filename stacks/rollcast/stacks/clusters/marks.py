"""Whose an object is: labels to find it by, annotations that say it. What another owner made is never touched."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGED = {MANAGED_BY: "rollcast"}
INSTANCE, PIPELINE, RECORD = "rollcast.dev/instance", "rollcast.dev/pipeline", "rollcast.dev/record"
FOLDER, LINEAGE, SCOPE, FENCE = (
    "rollcast.dev/folder",
    "rollcast.dev/lineage",
    "rollcast.dev/scope",
    "rollcast.dev/fence",
)
_LONGEST = 52  # a StatefulSet's name and its revision are a label together
_HASH = 10


@dataclass(frozen=True)
class Marks:
    """Who makes an object, for which instance, and with which fencing token."""

    name: str
    folder: str
    owner: str
    pipeline: str
    scope: str
    fence: int

    def on(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """An object that says whose it is. What it says of that itself is replaced."""
        metadata = item["metadata"]
        labels = {**MANAGED, INSTANCE: self.name, **({PIPELINE: label(self.pipeline)} if self.pipeline else {})}
        notes = {FOLDER: self.folder, LINEAGE: self.owner, SCOPE: self.scope, FENCE: str(self.fence)}
        return {
            **item,
            "metadata": {
                **metadata,
                "labels": {**(metadata.get("labels") or {}), **labels},
                "annotations": {**(metadata.get("annotations") or {}), **notes},
            },
        }


def instance_name(folder: str) -> str:
    """A name for the objects of an instance: that of its folder, as far as it may stand there, and a hash of it."""
    digest = hashlib.sha256(folder.encode()).hexdigest()[:_HASH]
    words = re.sub(r"[^a-z0-9]+", "-", folder.lower()).strip("-")
    words = words if words[:1].isalpha() else f"r-{words}"
    return f"{words[: _LONGEST - _HASH - 1].strip('-')}-{digest}"


def label(text: str) -> str:
    """A text as a label may have it: at most 63 characters, letters and digits at both ends."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", text)[:63].strip("-._")


def labels_of(item: Mapping[str, Any]) -> dict[str, str]:
    """The labels of an object."""
    return (item.get("metadata") or {}).get("labels") or {}


def notes_of(item: Mapping[str, Any]) -> dict[str, str]:
    """The annotations of an object."""
    return (item.get("metadata") or {}).get("annotations") or {}


def is_of(item: Mapping[str, Any], folder: str, owner: str) -> bool:
    """Whether an object says that it is part of this instance, and of no other owner's."""
    notes = notes_of(item)
    if labels_of(item).get(MANAGED_BY) != "rollcast" or notes.get(FOLDER) != folder:
        return False
    return not owner or notes.get(LINEAGE, "") in ("", owner)


def owner_in_words(item: Mapping[str, Any]) -> str:
    """Who made an object, as far as it says so."""
    notes, labels = notes_of(item), labels_of(item)
    if labels.get(MANAGED_BY) == "rollcast" and FOLDER in notes:
        return f"instance {notes[FOLDER]} of lineage {notes.get(LINEAGE, '')[:12] or 'unknown'}"
    managers = [str(each.get("manager")) for each in (item.get("metadata") or {}).get("managedFields") or ()]
    return labels.get(MANAGED_BY) or (f"'{managers[0]}'" if managers else "someone else")
