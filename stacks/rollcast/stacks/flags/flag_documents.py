"""What a flag definition is as text: the one reader of it for the target, relays and the conformance test.

The kits read theirs themselves, as services that stand alone do.
"""

from __future__ import annotations

from typing import Any

from rollcast.stacks.base.strict_json import strict_json

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
