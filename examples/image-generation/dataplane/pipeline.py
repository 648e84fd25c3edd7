"""One brief through one release, from the first component to the last. Nothing here asks which version is live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dataplane.classifiers import Floats
from dataplane.engines import SUBJECTS
from dataplane.errors import InstanceNotReady
from dataplane.instances import Instances
from rollcast_dataplane import ServingRelease

SLOTS = ("prompt-moderation", "expander", "expander.prompt", "synthesis", "synthesis.adapter", "alignment", "upscaler",
         "image-moderation")  # fmt: skip
HOUSE, PLAIN = "house", "plain"


@dataclass(frozen=True)
class Made:
    """A finished picture and the 8 x 8 that it was made from; or None and the component that refused it.

    `steps`: those of the engine that were taken, also for what was then refused.
    """

    image: Floats | None
    picture: Floats | None
    refused_by: str | None
    steps: int


def parts_of(release: ServingRelease, instances: Instances) -> dict[str, Any]:
    """Every component of a release. Raises InstanceNotReady."""
    missing = set(SLOTS) - set(release.components)
    if missing:
        raise InstanceNotReady(f"Release {release.id} lacks {', '.join(sorted(missing))}. Correct the declaration.")
    return {slot: instances.get(release.instance(slot), release.digest(slot)) for slot in SLOTS}


def make(parts: dict[str, Any], brief: str, style: str, steps: int, size: int, seed: int) -> Made:
    """A picture of what a brief asks for. The same seed gives the same picture. Raises DataPlaneError."""
    if parts["prompt-moderation"].refuses(brief):
        return Made(None, None, "prompt-moderation", 0)
    subject = np.zeros(SUBJECTS)
    subject[parts["expander"].subject(parts["expander.prompt"].replace("{brief}", brief))] = 1.0
    engine = parts["synthesis"]
    styled = engine.styled(parts["synthesis.adapter"])  # an adapter that does not fit is found by every request
    engine = styled if style == HOUSE else engine
    alignment = parts["alignment"].of(engine.codec.space)
    checked = {min(steps - 1, int(part * steps)) for part in alignment.checked}
    taken = 0

    def watch(time: float, end: Floats) -> bool:
        nonlocal taken
        taken += 1
        return round(time * steps) in checked and bool(alignment.stops(end))

    noise = np.random.default_rng(seed).standard_normal(len(engine.codec.scale))
    picture = engine.draw(subject, steps, noise, watch)
    if picture is None:
        return Made(None, None, "alignment", taken)
    if parts["image-moderation"].refuses(picture):
        return Made(None, None, "image-moderation", taken)
    return Made(parts["upscaler"].apply(picture, size), picture, None, taken)
