"""Plans as commands get them: made from a project, or read from a file that one of them saved."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from rollcast.planner.plan.models import LiveState, Plan
    from rollcast.policies import BaseRules
    from rollcast.stacks.base.keys import PrivateKey
    from rollcast.stacks.project import Project
    from rollcast.stacks.rollout.supersede import AfterSupersede

_LOG = logging.getLogger(__name__)


class Planned(NamedTuple):
    """A plan, judged and bound to what it was made from; changes by hand before it; what is rolled back first."""

    plan: Plan
    drift: tuple[str, ...]
    supersedes: AfterSupersede | None = None


def plan_of(project: Project, from_: str | None = None, base: BaseRules | None = None, signed_by: str = "") -> Planned:
    """The plan of a project from what is live, or from another declaration: there is no drift from that.

    `base`: the rules of the branch that it is to be merged into, which judge it. `signed_by`: who is about to sign it.

    While a rollout is under way it begins where rolling that back will end.

    Raises PlannerError, StackError or PolicyError.
    """
    from rollcast.cli.inputs.guardrails import judged
    from rollcast.planner.planning.planner import make_plan
    from rollcast.stacks.artifacts import signatures
    from rollcast.stacks.artifacts.comparing import changes_of
    from rollcast.stacks.rollout.evaluations import findings_of

    begins = _beginning(project, from_)
    project.refuse_templates()
    made = make_plan(project.declaration, begins.live, project.environment_name, project.digests)
    made = made.model_copy(
        update={
            "evaluations": findings_of(project, made),
            "contents": changes_of(made, project.folder),
            "signatures": signatures.findings_of(made, project.locked, project.folder),
            "signed_by": signed_by,
        }
    )
    _explain(made, begins.drift)
    bound = _bound(project, made, begins.live.serial, begins.digest, begins.notes)
    return Planned(judged(project, bound, base=base), begins.drift, begins.first)


def digest_of_plan(project: Project) -> str:
    """The digest of the plan that `plan_of` would give now. Raises PlannerError or StackError."""
    return unjudged_plan_of(project).digest


def unjudged_plan_of(project: Project, from_: str | None = None) -> Plan:
    """The plan that `plan_of` would give, before anyone judges it. Raises PlannerError or StackError."""
    from rollcast.planner.planning.planner import make_plan

    begins = _beginning(project, from_)
    made = make_plan(project.declaration, begins.live, project.environment_name, project.digests)
    return _bound(project, made, begins.live.serial, begins.digest, begins.notes)


class _Beginning(NamedTuple):
    """What a plan starts from: the live state and its digest, what was changed by hand, what is to be said of it.

    `first`: the rollout under way that is rolled back before.
    """

    live: LiveState
    digest: str
    drift: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    first: AfterSupersede | None = None


def _beginning(project: Project, from_: str | None = None) -> _Beginning:
    from rollcast.planner.planning.planner import live_as_declared
    from rollcast.stacks.rollout.drift import baseline_of
    from rollcast.stacks.rollout.supersede import after_supersede

    if from_ is not None:
        live = live_as_declared(*project.sibling(from_))
        return _Beginning(live, live.digest)
    first = after_supersede(project)
    found = first.baseline if first else baseline_of(project)
    return _Beginning(found.state, found.digest, found.drift, _others_in_words(found.live.others), first)


def _explain(made: Plan, drift: tuple[str, ...]) -> None:
    """How a plan came about, for diagnostics: what changes, what goes first or together and why, and each operation."""
    if not _LOG.isEnabledFor(logging.DEBUG):
        return
    for moved in drift:
        _LOG.debug("changed by hand: %s", moved)
    for line in made.changes:
        _LOG.debug("change: %s", line.model_dump(exclude_defaults=True))
    for milestone in made.milestones:
        _LOG.debug("milestone %d, wave %d: %s", milestone.index, milestone.wave, milestone.title)
        for operation in made.operations_of(milestone.index):
            after = f", after {', '.join(operation.after)}" if operation.after else ""
            _LOG.debug("  %s%s: %s", operation.id, after, operation.why or "no reason of its own")


def removal_of(project: Project) -> Planned:
    """The plan that takes everything of a project down in an environment; no guardrail judges it.

    Raises PlannerError or StackError.
    """
    from rollcast.planner.planning.planner import make_removal
    from rollcast.stacks.rollout.drift import baseline_of

    found = baseline_of(project)
    made = make_removal(project.declaration, found.state, project.environment_name)
    notes = _others_in_words(found.live.others)
    return Planned(_bound(project, made, found.state.serial, found.digest, notes), found.drift)


def _bound(project: Project, made: Plan, serial: int, live_digest: str, notes: tuple[str, ...]) -> Plan:
    """A plan with what it was made from, and what else is to be said about where it is carried out."""
    from rollcast.planner.plan.models import Binding
    from rollcast.stacks.project import tool_version
    from rollcast.stacks.rollout.drift import lineage_of

    binding = Binding(
        lineage=lineage_of(project),
        serial=serial,
        declaration_digest=project.declaration_digest,
        lock_digest=project.lock_digest,
        tool_version=tool_version(),
    )
    update = {"binding": binding, "live_state_digest": live_digest, "notes": (*made.notes, *notes)}
    return made.model_copy(update=update)


def _others_in_words(others: tuple[str, ...]) -> tuple[str, ...]:
    """That what this project does not declare stays as it is: of other projects, or what it was called before."""
    from rollcast.planner.base.wording import some_of

    if not others:
        return ()
    return (
        f"The target serves other pipelines as well, which are not declared here and stay as they are: "
        f"{some_of(list(others), 6)}. One that was renamed is taken down under its old name with 'rollcast destroy'.",
    )


def read_plan(path: Path, *, approved: bool = False) -> Plan:
    """A saved plan, exactly as it was saved; `approved`: it must say so itself, because it is about to be carried out.

    Raises StackError; StaleError where the file was changed since.
    """
    from rollcast.cli.inputs.saved import is_sealed, read_saved
    from rollcast.planner.plan.models import Plan
    from rollcast.stacks.base.errors import StaleError

    def parse(document: Any) -> Plan:
        sealed = is_sealed(path, document)
        plan = Plan.from_json(document)
        if approved and not sealed:
            raise StaleError(
                f"{path} does not say its digest: an older version of rollcast saved it, or it was taken out. "
                "Nothing was done. Plan again with 'rollcast plan --out FILE', and have that approved."
            )
        return plan

    return read_saved(path, parse, "a saved plan", "plan")


def save_plan(made: Plan, path: Path, key: PrivateKey | None = None) -> None:
    """Writes a plan for `apply`, signed where there is a key, readable by its owner alone. Raises StackError."""
    from rollcast.cli import files
    from rollcast.cli.inputs.saved import sealed

    files.write_json(path, sealed(made.to_json(), key), "The plan", private=True)


__all__ = ["Planned", "digest_of_plan", "plan_of", "read_plan", "save_plan"]
