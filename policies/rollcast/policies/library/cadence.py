"""Guardrails over how traffic moves: how many get what is unproved, for how long, and with a rollback."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rollcast.planner.declaration.models import Strategy
from rollcast.planner.plan.models import EVERYONE, Milestone, Plan
from rollcast.planner.releases.releases import canonical
from rollcast.policies.rules.review import Review
from rollcast.policies.rules.rule import Level, Policy, Violation, register


def all_at_once(*, level: Level = "mandatory", name: str = "all-at-once") -> Policy:
    """Nobody is moved to a new release all at once outside development environments.

    Why: a step from nothing to everyone has no concurrent baseline, so no gate can separate harm from a bad day, and
    everyone is harmed. A canary whose first step is 100 is all at once under another name, and is refused as well.
    First releases, in-place changes (which can't be split) and blue-green (which keeps the old environment warm for
    one switch back) are not.
    """

    def rule(review: Review) -> Iterator[Violation]:
        if review.environment.development:
            return
        remedy = "Use 'canary' or 'staged', or mark the environment 'development: true'."
        reported: set[str] = set()
        for milestone, track in _jumps(review.plan):
            if track not in reported:
                reported.add(track)
                strategy = review.plan.lines[track].rollout.strategy
                key = "strategy" if strategy is Strategy.ALL_AT_ONCE else "percent"
                message = f"{milestone.step} serves all of channel {track} at once in '{review.plan.environment}'."
                yield Violation(message, review.rollout_path(track, key), remedy)

    return register(rule, name, level, "a step from nothing to everyone has no baseline to be judged against")


def moved_by_stages(*, level: Level = "mandatory", name: str = "moved-by-stages") -> Policy:
    """Requests that another channel takes from now on go to its release by stages and gates, never all at once.

    Why: whoever changes release gets what is unproved for them. The plan moves them at once only where the channel
    that takes them does not allow the regions in which they are served today.
    """

    def rule(review: Review) -> Iterator[Violation]:
        for one in review.plan.reroutes:
            if one.moves == "at once" and one.from_release != one.to_release:
                message = (
                    f"requests of {one.source} that match {canonical(one.where)} go from {one.from_release} to "
                    f"{one.target} all at once and without a gate: {one.target} does not allow where they are served."
                )
                remedy = "Release what serves them within the regions first, then change the route."
                yield Violation(message, review.channel_path(one.target), remedy)

    return register(rule, name, level, "whoever changes release is served by what is unproved for them")


def _jumps(plan: Plan) -> Iterator[tuple[Milestone, str]]:
    """(milestone, track) that takes a track from none of a release to all of it, of its own free will."""
    title = {milestone.index: milestone.step for milestone in plan.milestones}
    in_place = {title[operation.milestone] for operation in plan.operations if operation.in_place}
    seen: dict[tuple[str, str], set[str]] = {}
    for milestone in plan.milestones:
        for track, shares in milestone.serving.items():
            known = seen.setdefault((milestone.step, track), set())
            new = {share.release for share in shares} - known
            known |= new
            if milestone.kind != "shift" or milestone.percent != 100.0 or milestone.audience != EVERYONE or not new:
                continue
            chosen = plan.lines[track].rollout.strategy if track in plan.lines else None
            free = chosen is not Strategy.BLUE_GREEN and milestone.step not in in_place
            if free and plan.ends_of(track)[0] is not None:
                yield milestone, track


def max_exposure(
    percent: float = 1.0,
    *,
    trusted: Sequence[str] = (),
    level: Level = "mandatory",
    name: str = "max-exposure",
) -> Policy:
    """At most `percent` of any audience is served by a release that has passed no gate yet, except `trusted` ones.

    Why: until its first gate has passed, a release is a guess, and the number of people who get a wrong guess is the
    one thing that is known beforehand. Internal testers, who agreed to it, are the usual `trusted` audience.
    """

    def rule(review: Review) -> Iterator[Violation]:
        reported: set[tuple[str, str]] = set()
        for state in review.states:
            for share in state.new_shares:
                key = (share.line, share.audience)
                trusted_here = share.audience in trusted or share.line in trusted
                if share.percent <= percent or trusted_here or key in reported or not state.is_unproved(share):
                    continue
                reported.add(key)
                message = (
                    f"{share.percent:g} % of {share.audience} on channel {share.line} would be served by "
                    f"{share.release}, which "
                    f"has passed no gate; at most {percent:g} % may."
                )
                remedy = f"Begin its steps at {percent:g} percent or less."
                yield Violation(message, review.rollout_path(share.line), remedy, state)

    return register(rule, name, level, "until its first gate has passed, a release is a guess")


def min_bake(seconds: float, *, level: Level = "mandatory", name: str = "min-bake") -> Policy:
    """Every step that has gates lasts at least `seconds`, whatever the evidence says.

    Why: statistics can be sure within a minute about the minute; slow harm (leaks, caches that fill, habits of users)
    needs time whatever the sample.
    """

    def rule(review: Review) -> Iterator[Violation]:
        reported: set[str] = set()
        for milestone in review.plan.milestones:
            for track in milestone.lines:
                short = milestone.kind == "shift" and milestone.gates and milestone.bake_min_s < seconds
                if short and track not in reported:
                    reported.add(track)
                    message = f"'{milestone.title}' bakes for {milestone.bake_min_s:g} s; {seconds:g} s are required."
                    remedy = f"Declare 'bake: {{min: {seconds:g}s}}'."
                    yield Violation(message, review.rollout_path(track, "bake"), remedy)

    return register(rule, name, level, "slow harm needs time, whatever the sample")


def rollback_possible(*, level: Level = "mandatory", name: str = "rollback-possible") -> Policy:
    """From every state in which traffic still has to move there is a rollback to where the rollout began.

    Why: evidence against a release may come at its last step. A plan that capacity cuts into waves retires old
    instances before later steps are proved: from then on, going back is a new release.
    """

    def rule(review: Review) -> Iterator[Violation]:
        plan = review.plan
        ways = {way.from_milestone for way in plan.rollback}
        last = {pipeline: m.index for m in plan.milestones if m.kind == "shift" for pipeline in _pipelines(plan, m)}
        for milestone in plan.milestones:
            if milestone.step == "routing" and not any(one.moves == "at once" for one in plan.reroutes):
                continue  # nobody changes release by it, so there is nothing to take back
            moves = any(last.get(pipeline, -1) > milestone.index for pipeline in _pipelines(plan, milestone))
            if milestone.index not in ways and moves:
                message = f"after '{milestone.title}' there is no rollback, and traffic still has to move."
                remedy = "Give the environment room for all old and new instances at once, or release in two changes."
                yield Violation(message, ("environments", plan.environment), remedy)

    return register(rule, name, level, "evidence against a release may come at its last step")


def _pipelines(plan: Plan, milestone: Milestone) -> set[str]:
    return {plan.lines[track].pipeline for track in milestone.lines if track in plan.lines}


def one_cadence(*, level: Level = "mandatory", name: str = "one-cadence") -> Policy:
    """Never two changes under analysis at once: a regression must have one suspect.

    Why: with two changes in the air, a worse number accuses both, and rolling back the wrong one costs a day.
    Components that are declared to ship together are one change.
    """

    def rule(review: Review) -> Iterator[Violation]:
        split: set[str] = set()
        for state in review.states:
            if state.back_from is not None:
                continue
            counts = {track: len({share.release for share in state.serving.get(track, ())}) for track in state.changed}
            split = {track for track in {*split, *counts} if counts.get(track, 2) > 1}
            crowded = {track for track, count in counts.items() if count > 2}
            if len(split) > 1 or crowded:
                message = f"two changes are under analysis at once on {', '.join(sorted(split | crowded))}."
                yield Violation(message, ("rollout",), "Release them one after another, or 'ship_together'.", state)
                return

    return register(rule, name, level, "a regression must have one suspect")


__all__ = ["all_at_once", "max_exposure", "min_bake", "moved_by_stages", "one_cadence", "rollback_possible"]
