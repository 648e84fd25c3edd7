"""What is kept of flags, as text: definitions, who holds which pipeline, releases by digest, wherever that is kept.

A flag definition has one reader here, for the target, relays and the conformance test.

The kits read theirs themselves, as services that stand alone do.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

from rollcast.stacks.base.strict_json import strict_json
from rollcast.stacks.flags import Holding

MOST_BYTES = 8 * 1024 * 1024


def definition_of(text: str) -> dict[str, Any]:
    """A definition as data. Raises ValueError where it is not `{"flags": {key: {…}}}` in strict JSON, or too long."""
    if not text.strip():
        raise ValueError("it is empty")
    if len(text) > MOST_BYTES:
        raise ValueError(f"it has {len(text):,} characters, over {MOST_BYTES:,}")
    data = strict_json(text)
    if not isinstance(data, dict) or not isinstance(data.get("flags"), dict):
        raise ValueError('it needs {"flags": {…}}')
    wrong = next((key for key, flag in data["flags"].items() if not isinstance(flag, dict)), None)
    if wrong is not None:
        raise ValueError(f"flag '{wrong}' is no object")
    return data


def with_flag(definition: Mapping[str, Any], key: str, flag: Mapping[str, Any] | None) -> str:
    """The text of a definition in which one flag is replaced; None takes it away."""
    flags = {name: value for name, value in definition["flags"].items() if name != key}
    if flag is not None:
        flags[key] = dict(flag)
    return json.dumps({**definition, "flags": flags}, indent=1, ensure_ascii=False) + "\n"


def holdings_of(text: str) -> dict[str, Holding]:
    """Who holds which pipeline; none where that can't be read: it only says where to go, and marks say whose it is."""
    try:
        return {str(name): Holding.model_validate(item) for name, item in json.loads(text).items()}
    except (ValueError, AttributeError):
        return {}


def with_holding(text: str, pipelines: Collection[str], holding: Holding) -> str:
    """The text of holdings in which these pipelines have this one."""
    said = {**holdings_of(text), **dict.fromkeys(pipelines, holding)}
    body = {name: item.model_dump(mode="json") for name, item in sorted(said.items())}
    return json.dumps(body, indent=1, ensure_ascii=False) + "\n"


def is_of_digest(text: str, digest: str) -> bool:
    """Whether a definition of a release is what its digest says."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest() == digest
