"""The addresses of instances, in the variants that name them: so a data plane calls the instance of its release.

An address is known once an instance exists, so it is put into a flag when that is written, and its content's digest is
taken then. A flag of instances without addresses stays as the planner compiled it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.flags.definitions import CONTENT, content_digest
from rollcast.stacks.targets.target import Target


def addressed_flag(flag: Mapping[str, Any], target: Target, *, strict: bool = True) -> dict[str, Any]:
    """A flag whose variants name the address of each instance that has one.

    Raises StackError where an instance that should have one is not there; with `strict` off it is left without.
    """
    if not target.addressed or not isinstance(flag.get("variants"), Mapping):
        return dict(flag)
    known = _addresses(target)
    variants = {name: _addressed(value, known, target, strict) for name, value in flag["variants"].items()}
    if variants == flag["variants"]:
        return dict(flag)
    found = {**flag, "variants": variants}
    if CONTENT in (flag.get("metadata") or {}):
        found["metadata"] = {**flag["metadata"], CONTENT: content_digest(found)}
    return found


def addressed_variant(variant: Mapping[str, Any], target: Target) -> dict[str, Any]:
    """A release as the data plane receives it, with the addresses of its instances. Raises StackError."""
    return dict(_addressed(variant, _addresses(target), target, True)) if target.addressed else dict(variant)


def _addresses(target: Target) -> dict[str, str]:
    return {folder: item.address for folder, item in target.placed().items()}


def _addressed(variant: Any, known: Mapping[str, str], target: Target, strict: bool) -> Any:
    components = variant.get("components") if isinstance(variant, Mapping) else None
    if not isinstance(components, Mapping):
        return variant
    found = {}
    for name, part in components.items():
        folder = str(part.get("instance", ""))
        address = known.get(folder, "")
        own = {key: value for key, value in part.items() if key != "address"}
        if strict and not address and target.instances_of(folder, name, str(part.get("kind", ""))).addressed:
            raise StackError(
                f"Instance {folder} of {variant.get('release')} does not run, so nothing can be sent "
                "there. Run 'rollcast apply'."
            )
        found[name] = {**own, "address": address} if address else own
    return {**variant, "components": found}
