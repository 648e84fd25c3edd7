"""What of a project another ledger holds at its target. Light: no release, no instance and no telemetry is read."""

from __future__ import annotations

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.project import Project
from rollcast.stacks.rollout.drift import lineage_of
from rollcast.stacks.state.live import target_at
from rollcast.stacks.state.ownership import others_of


def held_elsewhere(project: Project) -> list[str]:
    """Pipelines of the project that another owner holds: a sentence each, with where to go. Raises StackError."""
    target = target_at(project.folder, project.environment)
    return others_of(target, {*project.declaration.each_pipeline()}, lineage_of(project))


def refuse_foreign(project: Project) -> None:
    """Raises StackError, which says where to go, where another owner holds the project's pipelines at its target."""
    for text in held_elsewhere(project):
        raise StackError(text)
