"""Every state that a plan may rest in: its start, each milestone, and each step of each rollback.

States are derived from the plan alone. What lies between two operations of one milestone is walked by the property
tests (`rollcast.policies.model_based`), which judge the same rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from rollcast.planner.plan.models import EVERYONE, Milestone, Plan, Serving, Share, WorldState, fold
from rollcast.planner.releases.releases import Release
from rollcast.planner.routing.residency import overlap

Instances = Mapping[str, tuple[str, str]]  # folder -> (release id, slot)
Proofs = Mapping[tuple[str, str], int]  # (track, release id) -> the milestone that proves it


@dataclass(frozen=True)
class State:
    """What serves and what runs at one point of a plan.

    `milestone` is the index of the milestone reached last (-1: the start). `back_from` is the milestone that is being
    undone, with `back_step` steps of its rollback done; None on the way forward. `where` says all that in words.
    `changed` names the tracks that are served otherwise than in the state before, for rules that must be fast.
    """

    plan: Plan
    where: str
    serving: Serving
    milestone: int = -1
    back_from: int | None = None
    back_step: int = 0
    changed: tuple[str, ...] = ()
    proofs: Proofs | None = None
    found_instances: Instances | None = None

    @cached_property
    def instances(self) -> Instances:
        """Running instances by folder -> (release id, slot)."""
        if self.found_instances is not None:
            return self.found_instances
        before = self.plan.state_at(self.milestone if self.back_from is None else self.back_from)
        way = self.plan.rollback_of(self.back_from) if self.back_from is not None else None
        if way is None:
            return before.instances
        return fold(before, (), (o for o in way.operations if o.milestone < self.back_step)).instances

    @property
    def shares(self) -> tuple[Share, ...]:
        """Every share of every track: who is served by which release."""
        return tuple(share for shares in self.serving.values() for share in shares)

    @property
    def releases(self) -> dict[str, Release]:
        """The releases that serve somebody now, by id."""
        return {share.release: self.plan.releases[share.release] for share in self.shares}

    def serves(self, track: str) -> dict[str, Release]:
        """The releases that may serve requests of a track now, by id.

        Requests of a channel that is not released yet go on to the tracks after it, as the flag does it: so a channel's
        requests may be served by another track's release, and a rule about the channel must see that.
        """
        found: dict[str, Release] = {}
        for other in self._tried(track):
            found.update({share.release: self.plan.releases[share.release] for share in self.serving.get(other, ())})
        return found

    def _tried(self, track: str) -> Iterator[str]:
        """The track, and while nothing serves there, those that its requests go on to."""
        own = self.plan.lines[track]
        yield track
        if self.serving.get(track) or own.route is None:
            return
        siblings = [other for other in self.plan.lines.values() if other.pipeline == own.pipeline]
        after = sorted(siblings, key=lambda other: other.turn)
        yield from (other.id for other in after[after.index(own) + 1 :] if overlap(own, other))

    @property
    def new_shares(self) -> tuple[Share, ...]:
        """The shares of the tracks that are served otherwise than in the state before."""
        return tuple(share for track in self.changed for share in self.serving.get(track, ()))

    def is_unproved(self, share: Share) -> bool:
        """Whether what a share serves has not yet passed a gated or baked milestone on its line.

        What served at the start is proved; so is everything during a rollback, which leads to what served before, and
        the first release of a track, which takes nobody away from one that was proved.
        """
        if self.back_from is not None or self.plan.ends_of(share.line)[0] is None:
            return False
        proofs = self.proofs if self.proofs is not None else proofs_of(self.plan)
        return not proofs.get((share.line, share.release), self.milestone) < self.milestone

    @cached_property
    def unproved(self) -> frozenset[tuple[str, str]]:
        """(track, release id) of everything unproved that serves: see `is_unproved`."""
        return frozenset((share.line, share.release) for share in self.shares if self.is_unproved(share))

    def affected(self, release: str) -> str:
        """Who is served by a release now, in words."""
        parts = [
            f"{share.percent:g} % of {share.audience}" + (f" on channel {share.line}" if len(self.serving) > 1 else "")
            for share in self.shares
            if share.release == release
        ]
        return " and ".join(parts) or "nobody"


def proofs_of(plan: Plan) -> Proofs:
    """(track, release) -> the milestone that proves it there; before all of them where it serves already."""
    found = {(share.line, share.release): -2 for shares in plan.before.values() for share in shares}
    # A new channel begins on what serves its requests already.
    found.update({(track, release): -2 for track, release in plan.from_release.items() if release})
    for milestone in plan.milestones:
        if milestone.gates or milestone.bake_min_s:
            for shares in milestone.serving.values():
                for share in shares:
                    found.setdefault((share.line, share.release), milestone.index)
    return found


@dataclass(frozen=True)
class States:
    """The states that a plan may rest in, forwards and back, derived one by one whenever they are read.

    Nothing is kept: a plan of a large platform has tens of thousands of states.
    """

    plan: Plan

    def __iter__(self) -> Iterator[State]:
        plan, proofs = self.plan, proofs_of(self.plan)
        ways = {way.from_milestone: way for way in plan.rollback}
        serving: Serving = dict(plan.start)
        yield State(plan, "the start", serving, changed=tuple(serving), proofs=proofs)
        for milestone in plan.milestones:
            serving = {**serving, **milestone.serving}
            index, where = milestone.index, where_of(plan, milestone)
            yield State(plan, where, serving, index, changed=tuple(milestone.serving), proofs=proofs)
            back = serving
            for step in ways[index].milestones if index in ways else ():
                back = {**back, **step.serving}
                said = f'during the rollback from {where}, after "{step.title}"'
                yield State(plan, said, back, index, index, step.index + 1, tuple(step.serving), proofs)


def where_of(plan: Plan, milestone: Milestone) -> str:
    """A milestone in words."""
    return f'milestone {milestone.index + 1} of {len(plan.milestones)}, "{milestone.title}"'


__all__ = ["EVERYONE", "Instances", "State", "States", "WorldState", "proofs_of", "where_of"]
