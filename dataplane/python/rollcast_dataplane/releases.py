"""A release as a request sees it: one variant of the flag, read-only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rollcast_dataplane.errors import BadDefinition, NoRelease


class ServingRelease:
    """What serves a request, from the first component to the last. Made once for each variant; never changes.

    `components`: slot -> {artifact, digest, instance, …}; `artifacts`: slot -> name@version, as outcomes are tagged;
    `flags`: feature flags; `variant`: the whole variant as it stands in the flag.
    """

    __slots__ = ("artifacts", "channel", "components", "flags", "id", "parameters", "variant")

    def __init__(self, variant: Mapping[str, Any]) -> None:
        """Raises BadDefinition where the variant is no release."""
        identity, components = variant.get("release"), variant.get("components", {})
        if not isinstance(identity, str) or not 0 < len(identity) <= 256 or not _is_id(identity):
            raise BadDefinition(f"a variant names the release {identity!r:.80}, which can't be an id")
        if not isinstance(components, dict) or not all(isinstance(each, dict) for each in components.values()):
            raise BadDefinition(f"release {identity} has components that are no objects")
        self.id = identity
        self.channel = str(variant.get("channel") or "default")
        self.components: Mapping[str, Mapping[str, Any]] = components
        self.artifacts = {slot: str(each.get("artifact", "")) for slot, each in components.items()}
        self.parameters: Mapping[str, Any] = variant.get("parameters") or {}
        self.flags: Mapping[str, Any] = variant.get("flags") or {}
        self.variant = variant

    def __repr__(self) -> str:
        return f"<release {self.id}, channel {self.channel}>"

    def component(self, slot: str) -> Mapping[str, Any]:
        """All that fills a slot. Raises NoRelease where the release has no such slot."""
        try:
            return self.components[slot]
        except KeyError:
            raise NoRelease(f"Release {self.id} has no component '{slot}'. Correct the declaration.", self.id) from None

    def instance(self, slot: str) -> str:
        """Where the component of a slot runs: a folder below the target's instances, or what the target names."""
        return str(self.component(slot).get("instance", ""))

    def address(self, slot: str) -> str:
        """What the instance of a slot is called by. Raises NoRelease where it is one without an address."""
        found = self.component(slot).get("address")
        if not isinstance(found, str) or not found:
            raise NoRelease(
                f"Component '{slot}' of release {self.id} runs at no address. Declare what it runs as, under the "
                "environment's 'instances'.",
                self.id,
            )
        return found

    def digest(self, slot: str) -> str:
        """Digest of the content of the artifact in a slot."""
        return str(self.component(slot).get("digest", ""))

    def parameter(self, slot: str, name: str, default: Any = None) -> Any:
        """A declared parameter of a slot."""
        return (self.component(slot).get("parameters") or {}).get(name, default)

    def flag(self, name: str, default: Any = None) -> Any:
        """A feature flag of the release."""
        return self.flags.get(name, default)

    def cache_key(self, *slots: str) -> str:
        """What a cached value is kept under (spec K1): the release, or with `slots` whatever can have made theirs.

        A slot whose upstream did not change keeps its cache in the next release.
        """
        if not slots:
            return self.id
        keys = [str(self.component(slot).get("cache") or self.id) for slot in slots]
        return "|".join(keys)


def _is_id(text: str) -> bool:
    return text.isascii() and text.isprintable() and not set(text) & set(' ",;\\')
