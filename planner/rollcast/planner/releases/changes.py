"""Live against declared: what changes in each track, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from rollcast.planner.declaration.models import Model
from rollcast.planner.releases.releases import Release, SlotVersion

Action = Literal["create", "update", "replace", "delete", "flag"]
SYMBOLS: dict[Action, str] = {"create": "+", "update": "~", "replace": "±", "delete": "-", "flag": "~"}


class Change(Model):
    """One slot or flag of one line that is not as declared."""

    line: str
    component: str
    action: Action
    from_: str | None = Field(None, alias="from")
    to: str | None = None
    reason: str


def diff(live: Mapping[str, Release], declared: Mapping[str, Release]) -> list[Change]:
    """Every change of every declared track, in the order of the declaration. Nothing that is the same is named."""
    changes: list[Change] = []
    for track, release in declared.items():
        old = live.get(track)
        before = old.slots if old else {}
        for name, slot in release.slots.items():
            change = _slot_change(track, name, before.get(name), slot)
            if change:
                changes.append(change)
        for name, slot in before.items():
            if name not in release.slots:
                reason = "no longer declared"
                changes.append(
                    Change(line=track, component=name, action="delete", **{"from": slot.reference}, reason=reason)
                )
        changes.extend(_flag_changes(track, old.flags if old else {}, release.flags))
    return changes


def _slot_change(track: str, name: str, old: SlotVersion | None, new: SlotVersion) -> Change | None:
    if old is None:
        return Change(line=track, component=name, action="create", to=new.reference, reason="not there yet")
    pair: dict[str, Any] = {"from": old.reference, "to": new.reference}
    if old.identity == new.identity:
        said = "; ".join(_contracts(old, new))
        return (
            Change(line=track, component=name, action="update", reason=f"contracts: {said}", **pair) if said else None
        )
    action: Action = "update" if old.instance_id == new.instance_id else "replace"
    return Change(line=track, component=name, action=action, reason=_reason(old, new), **pair)


def _contracts(old: SlotVersion, new: SlotVersion) -> Iterator[str]:
    """What a slot that is the same says otherwise than before: only from now on can a plan honour it."""
    for verb in ("provides", "requires"):
        before, after = _said(old, verb), _said(new, verb)
        for key in sorted({*before, *after}):
            if before.get(key) != after.get(key):
                yield f"{verb} {key} {before.get(key, 'unsaid')} -> {after.get(key, 'unsaid')}"
    if set(old.independent_of) != set(new.independent_of):
        yield f"independent of {', '.join(new.independent_of) or 'none'}"


def _said(slot: SlotVersion, verb: str) -> dict[str, str]:
    if verb == "provides":
        return slot.provides
    return {key: f"{one.value} of {one.of}" if one.of else one.value for key, one in slot.requires.items()}


def _reason(old: SlotVersion, new: SlotVersion) -> str:
    if old.reference != new.reference:
        return f"{old.reference} -> {new.reference}"
    if old.digest != new.digest:
        return f"content of {new.reference} changed under the same version ({old.digest[:15]}… -> {new.digest[:15]}…)"
    if old.parameters != new.parameters:
        keys = sorted({*old.parameters, *new.parameters})
        parts = [
            f"{k} {old.parameters.get(k)!r} -> {new.parameters.get(k)!r}"
            for k in keys
            if old.parameters.get(k) != new.parameters.get(k)
        ]
        return "parameters: " + ", ".join(parts)
    for key in ("replicas", "needs", "timeout_s", "fallback"):
        if getattr(old, key) != getattr(new, key):
            return f"{key.removesuffix('_s')}: {getattr(old, key)} -> {getattr(new, key)}"
    if old.upstream != new.upstream:
        return f"upstream: {', '.join(old.upstream) or 'none'} -> {', '.join(new.upstream) or 'none'}"
    return f"regions: {', '.join(old.regions) or 'all'} -> {', '.join(new.regions) or 'all'}"


def _flag_changes(track: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    changes = []
    for name in sorted({*old, *new}):
        if old.get(name) == new.get(name) and (name in old) == (name in new):
            continue
        before, after = (repr(side[name]) if name in side else None for side in (old, new))
        reason = f"{before or 'unset'} -> {after or 'unset'}"
        pair: dict[str, Any] = {"from": before, "to": after}
        changes.append(Change(line=track, component=f"flag:{name}", action="flag", reason=reason, **pair))
    return changes
