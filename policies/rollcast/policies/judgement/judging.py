"""What plan, simulate and apply call: the policies of a project over one plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from rollcast.planner.declaration.models import Declaration
from rollcast.planner.plan.models import LiveState, Plan
from rollcast.policies.judgement.base_rules import BaseRules, judged_by
from rollcast.policies.judgement.discovery import discover
from rollcast.policies.judgement.evaluation import Command, Judgement, evaluate
from rollcast.policies.rules.places import Places
from rollcast.policies.rules.review import Review
from rollcast.simulator.forecast.models import Forecast


@dataclass(frozen=True, slots=True)
class Judgements:
    """Every policy's judgement of one plan, and the digest of the policies that judged."""

    each: tuple[Judgement, ...]
    policy_digest: str

    def blocking(self, command: Command) -> tuple[Judgement, ...]:
        """Those that forbid a command to go on: it then exits with 3."""
        return tuple(one for one in self.each if one.blocks(command))

    def on(self, plan: Plan) -> Plan:
        """The plan with these judgements as its guardrails, bound to the digest of the policies."""
        binding = plan.binding.model_copy(update={"policy_digest": self.policy_digest})
        guardrails = tuple(one.to_json() for one in self.each)
        return plan.model_copy(update={"guardrails": guardrails, "binding": binding})


def judge(
    folder: Path,
    declaration: Declaration,
    plan: Plan,
    *,
    today: date,
    forecast: Forecast | None = None,
    digests: Mapping[str, str] | None = None,
    file: str = "rollcast.yaml",
    base: BaseRules | None = None,
) -> Judgements:
    """Judge a plan by the policies of a project folder. `digests` are those of the lock file, None without one.

    `base`: the rules of the branch that a change is to be merged into, which it may add to and not weaken.

    Raises PolicyError when the policies themselves can't be loaded.
    """
    places = places_of(folder, file)
    review = Review(declaration, live_of(plan), plan, today, forecast, digests, places)
    if base is not None:
        return Judgements(*judged_by(base, folder, review))
    policies = discover(folder)
    return Judgements(evaluate(review, policies.policies), policies.digest)


def live_of(plan: Plan) -> LiveState:
    """The live state that a plan was made from."""
    serving = {share.release for shares in plan.start.values() for share in shares}
    releases = {name: plan.releases[name] for name in sorted(serving)}
    return LiveState(serving=plan.start, releases=releases, instances=plan.start_instances)


def places_of(folder: Path, file: str) -> Places | None:
    """Places of the declaration in a project folder; None where it can't be read (a plan without its project)."""
    path = folder / file
    read: Callable[[str], str] = lambda name: (path.parent / name).read_text("utf-8")  # noqa: E731
    try:
        return Places(path.read_text("utf-8"), file, read)
    except OSError:
        return None
