"""A declaration that gives exactly the releases that served, lineage included.

Its artifacts have the digests that served as long as their content is as it was: files of the project by themselves,
sources in a registry by what they stood for then, wherever their names lead and whatever the lock says by now.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any

from ruamel.yaml import YAML

from rollcast.planner.declaration.models import ATTACHMENTS, Declaration
from rollcast.planner.releases.releases import Release, SlotVersion, releases_of
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.ledger.rollouts import RolloutContext


def declaration_of(context: RolloutContext, releases: Mapping[str, Release]) -> str:
    """YAML text of a declaration whose releases are these, by track. Raises StackError when it would not be exact."""
    data = context.declaration.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    data = {"schema": "rollcast/v1", **{k: v for k, v in data.items() if k not in ("schema", "include")}}
    data["artifacts"] = list(_artifacts(context, releases))
    for track, release in releases.items():
        _put(data, track, release)
    made = Declaration.model_validate(data)
    again = {track: release.id for track, release in releases_of(made, context.digests).items()}
    wrong = [track for track, release in releases.items() if again.get(track) != release.id]
    if wrong:
        raise StackError(
            f"The declaration would not give back exactly what served {', '.join(wrong)}. "
            "Use the release definitions of 'rollcast audit --format json' instead."
        )
    text = io.StringIO()
    YAML(typ="safe", pure=True).dump(data, text)
    return text.getvalue()


def _put(data: dict[str, Any], track: str, release: Release) -> None:
    """Makes one line of a declaration that release."""
    pipeline, _, channel = track.rpartition("/")
    home = data["pipelines"][pipeline] if pipeline else data
    components = {name: _component(release, name) for name in release.slots if "." not in name}
    if channel == "default":
        home["components"] = components
        home["flags"] = {name: {"value": value} for name, value in release.flags.items()}
        return
    kept = ("artifact", *ATTACHMENTS, "parameters", "regions")
    home["channels"][channel]["components"] = {
        name: {key: value for key, value in component.items() if key in kept} for name, component in components.items()
    }
    home["channels"][channel]["flags"] = dict(release.flags)


def _component(release: Release, name: str) -> dict[str, Any]:
    slot = release.slots[name]
    own = [up for up in slot.upstream if not up.startswith(f"{name}.")]
    attached = {
        key: release.slots[f"{name}.{key}"].reference for key in ATTACHMENTS if f"{name}.{key}" in release.slots
    }
    found = {
        "artifact": slot.reference,
        **attached,
        "upstream": own,
        "independent_of": list(slot.independent_of),
        "requires": {key: need.model_dump(mode="json", exclude_none=True) for key, need in slot.requires.items()},
        "provides": slot.provides,
        "parameters": slot.parameters,
        "in_place": slot.in_place and slot.held_in is None,
        "shared": slot.shared,
        "needs": slot.needs,
        "replicas": slot.replicas,
        "regions": list(slot.regions),
        "timeout": slot.timeout_s,
        "fallback": slot.fallback,
    }
    empty: tuple[Any, ...] = (None, [], {}, False)
    return {key: value for key, value in found.items() if value not in empty}


def _artifacts(context: RolloutContext, releases: Mapping[str, Release]) -> Iterator[dict[str, Any]]:
    """Every artifact of the releases as it was declared, and what they are derived from."""
    slots: dict[str, SlotVersion] = {s.reference: s for release in releases.values() for s in release.slots.values()}
    pending, seen = list(slots), set[str]()
    while pending:
        reference = pending.pop()
        if reference in seen:
            continue
        seen.add(reference)
        slot = slots.get(reference)
        if slot is not None:
            item = slot.artifact.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        elif reference in context.definitions:
            full = context.definitions[reference]
            item = {k: value for k, value in full.items() if value not in (None, [], {}, False)}
        else:
            continue
        if pinned := item.pop("pinned", None):
            item["pin"] = {name: value for name, value in pinned.items() if value is not None}
        made_from = item.pop("made_from", [])
        pending.extend([*(item.get("derived_from") or ()), *made_from])
        yield item
