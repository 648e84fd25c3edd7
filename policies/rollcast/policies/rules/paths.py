"""Where in a declaration things stand: paths of keys for violations to point at."""

from __future__ import annotations

from rollcast.planner.base.sources import Path
from rollcast.planner.declaration.models import Declaration


def base_of(declaration: Declaration, track: str) -> tuple[Path, str, str]:
    """(path of the track's pipeline, name of the pipeline, channel)."""
    if declaration.pipelines and "/" in track:
        pipeline, channel = track.rsplit("/", 1)
        return ("pipelines", pipeline), pipeline, channel
    return (), declaration.pipeline, track


def component(declaration: Declaration, track: str, slot: str) -> Path:
    """What fills a slot of a track: the channel's override where there is one, else the component.

    Attachments are slots named `generator.prompt`.
    """
    base, pipeline, channel = base_of(declaration, track)
    name, _, attachment = slot.partition(".")
    rules = declaration.each_pipeline().get(pipeline)
    if rules and channel in rules.channels:
        override = rules.channels[channel].components.get(name)
        if override is not None and getattr(override, attachment or "artifact") is not None:
            return (*base, "channels", channel, "components", name, attachment or "artifact")
    return (*base, "components", name, attachment or "artifact")


def rollout(declaration: Declaration, track: str) -> Path:
    """The rollout rules of a line."""
    base, pipeline, channel = base_of(declaration, track)
    rules = declaration.each_pipeline().get(pipeline)
    if rules and channel in rules.channels and rules.channels[channel].rollout:
        return (*base, "channels", channel, "rollout")
    return (*base, "rollout") if rules and rules.rollout else ("rollout",)


def channel(declaration: Declaration, track: str) -> Path:
    """The channel of a track; the pipeline for its default channel."""
    base, pipeline, name = base_of(declaration, track)
    rules = declaration.each_pipeline().get(pipeline)
    return (*base, "channels", name) if rules and name in rules.channels else base


def artifact(declaration: Declaration, reference: str) -> Path:
    """The artifact of a reference; the whole list where it isn't declared (any more)."""
    for position, found in enumerate(declaration.artifacts):
        if found.reference == reference:
            return ("artifacts", position)
    return ("artifacts",)
