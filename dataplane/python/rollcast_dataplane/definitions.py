"""A flag definition of one pipeline, as OpenFeature's flagd evaluator reads it. A new text is a new one.

What is not whole (half a file, another tool's file, a variant that is no release, a split made for another hash) is
refused here, before anything is evaluated by it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import OpenFeatureError

from rollcast_dataplane.errors import BadDefinition, NoRelease
from rollcast_dataplane.releases import ServingRelease

BUCKETING = "flagd-murmur3-32/1"


def flag_key(pipeline: str) -> str:
    """The key of a pipeline's one flag."""
    return f"rollcast-{pipeline}"


class Definition:
    """One text of definitions. `content`: digest of what is evaluated of the pipeline's flag."""

    def __init__(self, text: str, pipeline: str) -> None:
        """Raises BadDefinition."""
        self.text, self.key = text, flag_key(pipeline)
        flag = _flag_of(text, self.key)
        self.content = content_digest(flag)
        self._metadata = flag.get("metadata") or {}
        bucketing = self._metadata.get("rollcast_bucketing", BUCKETING)
        if bucketing != BUCKETING:
            raise BadDefinition(f"{self.key} was split for {bucketing}, and this kit evaluates {BUCKETING}")
        self._variants: dict[str, ServingRelease] = {}
        self._known: dict[str, dict[str, ServingRelease]] = {}
        for name, variant in flag["variants"].items():
            if variant.get("release") is not None:
                release = self._variants[name] = ServingRelease(variant)
                self._known.setdefault(release.id, {})[release.channel] = release
        self._core = FlagdCore()
        try:
            self._core.set_flags(text)
        except (OpenFeatureError, TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
            raise BadDefinition(f"flagd's evaluator can't read it: {error or type(error).__name__}") from None

    def evaluate(self, key: str, attributes: Mapping[str, Any]) -> ServingRelease:
        """The release that the flag gives a key with these attributes. Raises NoRelease."""
        try:
            found = self._core.resolve_object_value(self.key, {}, EvaluationContext(key, attributes))
            return self._variants[found.variant or ""]
        except KeyError:
            raise NoRelease(f"The flag {self.key} names no release: it is paused. Apply a release, or wait.") from None
        except Exception as error:  # whatever an attribute does to the evaluator, nothing is served by a guess
            raise NoRelease(f"The flag {self.key} can't be evaluated ({error!r:.200}). See the attributes.") from None

    def known(self, release: str, channel: str | None = None) -> ServingRelease | None:
        """A release among the variants, in this channel where it has it; None where it is none."""
        channels = self._known.get(release)
        if not channels:
            return None
        return channels.get(channel or "default") or next(iter(channels.values()))

    @property
    def releases(self) -> frozenset[str]:
        """Ids of all releases among the variants."""
        return frozenset(self._known)


def content_digest(flag: Mapping[str, Any]) -> str:
    """Digest of all that an evaluator reads of a flag: state, variants, defaultVariant, targeting."""
    content = {key: flag.get(key) for key in ("state", "variants", "defaultVariant", "targeting")}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _flag_of(text: str, key: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise BadDefinition("it is no whole JSON" if text.strip() else "it is empty") from None
    flags = document.get("flags") if isinstance(document, dict) else None
    if not isinstance(flags, dict):
        raise BadDefinition('it is no flag definition: it needs {"flags": {…}}')
    flag = flags.get(key)
    if flag is None:
        raise BadDefinition(f"it holds no flag {key}")
    variants = flag.get("variants") if isinstance(flag, dict) else None
    if not isinstance(variants, dict) or not all(isinstance(each, dict) for each in variants.values()):
        raise BadDefinition(f"the flag {key} has no variants that are releases")
    if flag.get("metadata") is not None and not isinstance(flag["metadata"], dict):
        raise BadDefinition(f"the flag {key} has metadata that are no object")
    return dict(flag)
