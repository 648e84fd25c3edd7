"""Templates against what fills them: a variable that no component gives would reach its model as it is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from rollcast.planner.base.errors import did_you_mean
from rollcast.planner.declaration.models import ArtifactKind, Declaration
from rollcast.planner.releases.releases import releases_of, tracks_of
from rollcast.stacks.artifacts.comparing import files_here
from rollcast.stacks.artifacts.words import variables_of


def template_mistakes(
    declaration: Declaration, digests: Mapping[str, str], project: Path
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """(place in the declaration, sentence) of every prompt that wants what its component does not give.

    Judged are components that say their `variables`, and prompts whose content is on this machine.
    """
    said: set[tuple[str, str]] = set()
    pipelines = declaration.each_pipeline()
    if all(one.variables is None for pipeline in pipelines.values() for one in pipeline.components.values()):
        return
    tracks = tracks_of(declaration)
    for track, release in releases_of(declaration, digests).items():
        name = tracks[track].pipeline
        for slot, version in release.slots.items():
            own = slot.partition(".")[0]
            component = pipelines[name].components.get(own)
            if component is None or component.variables is None or (slot, version.reference) in said:
                continue
            if version.artifact.kind != ArtifactKind.PROMPT_TEMPLATE:
                continue
            said.add((slot, version.reference))
            files = files_here(version.artifact, version.digest, project) or {}
            wanted = {one for text in files.values() for one in variables_of(text.decode("utf-8", "replace"))}
            for variable in sorted(wanted - {*component.variables}):
                near = did_you_mean(variable, component.variables)
                given = ", ".join(component.variables) or "nothing"
                path = ("pipelines", name, "components", own) if declaration.pipelines else ("components", own)
                yield (
                    path,
                    (
                        f"{version.reference} is to be filled with '{variable}', and {own} gives {given}. "
                        f"{near if near.startswith('Did you mean') else ''} Correct the template, or 'variables'."
                    ).replace("  ", " "),
                )


__all__ = ["template_mistakes"]
