"""A saved plan that no longer fits: the world, the declaration, the lock, the ledger or rollcast itself moved on."""

from __future__ import annotations

from rollcast.planner.plan.models import Plan
from rollcast.stacks.base.errors import StaleError
from rollcast.stacks.project import Project, tool_version
from rollcast.stacks.rollout.drift import LiveBaseline, lineage_of


def refuse_stale(project: Project, plan: Plan, found: LiveBaseline, *, own: bool = True) -> None:
    """A plan is carried out only in the world that it was made for, and once; `own`: from what the project declares.

    Whether it was used is what the ledger says: every rollout that began makes the plans of before it stale. So a plan
    that says nothing of what it was made from is as stale as one that says something else.
    """
    binding, serial, moved = plan.binding, found.state.serial, []
    if plan.live_state_digest != found.digest:
        by_hand = f" ({'; '.join(found.drift)})" if found.drift else ""
        moved.append(f"the live state{by_hand}")
    if own and binding.declaration_digest != project.declaration_digest:
        moved.append(project.file)
    if own and binding.lock_digest != project.lock_digest:
        moved.append("rollcast.lock")
    if binding.serial != serial:
        moved.append(f"the ledger ({serial} rollouts have begun, {binding.serial} when the plan was made)")
    if (binding.serial or binding.lineage) and binding.lineage != lineage_of(project):
        moved.append("the ledger (it is another one)")
    if binding.tool_version != tool_version():
        moved.append(f"rollcast itself ({binding.tool_version or 'nothing'} made the plan, this is {tool_version()})")
    if moved:
        raise StaleError(
            f"The plan is stale: {' and '.join(moved)} moved since it was made. Run 'rollcast plan' again."
        )
