"""After a recovery in the middle of a split: everybody goes wholly to one of the releases that serve."""

from __future__ import annotations

from collections.abc import Collection

from rollcast.planner.plan.models import Binding, Plan
from rollcast.planner.planning.settlement import make_settlement
from rollcast.stacks.project import Project, tool_version
from rollcast.stacks.rollout.drift import baseline_of, lineage_of
from rollcast.stacks.rollout.start import found_under_way, refuse_second
from rollcast.stacks.rollout.steering import without_gates


def settlement_of(project: Project, to: Collection[str]) -> tuple[Plan, tuple[str, ...]]:
    """The plan from what is split to one release of each channel, and what was changed by hand before.

    Raises StackError, LockedError where a rollout is under way: that one knows the way; PlannerError.
    """
    refuse_second(found_under_way(project).started)
    found = baseline_of(project)
    made = make_settlement(without_gates(project.declaration, project), found.state, to, project.environment_name)
    binding = Binding(lineage=lineage_of(project), serial=found.state.serial, tool_version=tool_version())
    return made.model_copy(update={"live_state_digest": found.digest, "binding": binding}), found.drift


__all__ = ["settlement_of"]
