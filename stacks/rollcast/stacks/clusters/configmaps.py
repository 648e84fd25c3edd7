"""ConfigMaps that rollcast keeps things in: marked as such, no longer than a cluster takes, and read as text."""

from __future__ import annotations

from collections.abc import Mapping

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.clusters.cluster import Object
from rollcast.stacks.clusters.marks import MANAGED, MANAGED_BY, RECORD, labels_of, owner_in_words

MOST_BYTES = 900 * 1024  # a ConfigMap takes 1 MiB with its names; the rest is left for these
FLAGS = "flags.json"
CONFIG_NAME = r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$"


def config_map(name: str, what: str) -> Object:
    """A ConfigMap without data. `what` it keeps is a label of it."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {**MANAGED, RECORD: what}}}


def body_of(found: Object, key: str = "body") -> str:
    """A text that a ConfigMap keeps; empty where there is none."""
    return str((found.get("data") or {}).get(key, ""))


def refuse_too_long(data: Mapping[str, str], shown: str) -> None:
    """Raises StackError where a cluster would not take it."""
    size = sum(len(text.encode()) for text in data.values())
    if size > MOST_BYTES:
        raise StackError(
            f"{shown} would have {size:,} bytes, over {MOST_BYTES:,}. Give some pipelines an environment with another "
            "ConfigMap, or flags of another kind."
        )


def refuse_unmarked(found: Object, shown: str) -> None:
    """Raises StackError where a ConfigMap is not one of rollcast's."""
    if labels_of(found).get(MANAGED_BY) != "rollcast":
        raise StackError(
            f"{shown} was made by {owner_in_words(found)}, and stays as it is. Choose another name, or delete it."
        )
