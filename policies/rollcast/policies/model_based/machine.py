"""Hypothesis chooses the moves of a walk: a state machine to run as it is, with a rule, or to extend.

    class OurRollouts(RolloutMachine):
        reviews = project.reviews()

        @invariant()
        def ours(self):
            assert self.walk.state...

The shrunk counterexample is raised as `Counterexample`, whose message is the story.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky
from hypothesis.internal.conjecture import engine
from hypothesis.reporting import with_reporter
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from rollcast.policies.model_based.evidence import StageEvidence
from rollcast.policies.model_based.profiles import SearchProfile
from rollcast.policies.model_based.reviews import reviews
from rollcast.policies.model_based.trace import Counterexample
from rollcast.policies.model_based.walk import MOODY, Walk
from rollcast.policies.rules.review import Review
from rollcast.policies.rules.rule import Policy

_TELEMETRY = (StageEvidence.HEALTHY, StageEvidence.HEALTHY, *StageEvidence, None)


_LAST: list[Walk | None] = [None]  # the walk of the shrunk example is replayed last, and reports its trace


class RolloutMachine(RuleBasedStateMachine):
    """Walks any rollout that `reviews` draws, with crashes, bad evidence, aborts and requests in flight.

    After every move the rollout's own invariants and each of `policies` are checked; add `@invariant()` methods, or
    `@rule()` moves, that use `self.walk`.
    """

    reviews: ClassVar[st.SearchStrategy[Review]] = reviews()
    policies: ClassVar[Sequence[Policy]] = ()
    walk: Walk

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        self.walk = Walk(data.draw(self.reviews), self.policies)
        _LAST[0] = self.walk
        self.walk.check()

    @rule(choice=st.integers(0, 5))
    def operate(self, choice: int) -> None:
        self.walk.operate(choice)

    @rule()
    def reach(self) -> None:
        self.walk.reach()

    @rule(milestones=st.integers(0, 3), evidence=st.sampled_from(_TELEMETRY), patient=st.booleans())
    def onward(self, milestones: int, evidence: StageEvidence | None, patient: bool) -> None:
        for _ in range(milestones):
            self.walk.onward()
        self.walk.reach()
        self.watch(evidence, patient)

    @rule(operations=st.integers(1, 3), order=st.sampled_from(("crash", "crash", "crash", "abort")))
    def half_way(self, operations: int, order: str) -> None:
        for choice in range(operations):
            self.walk.operate(choice)
        if order == "abort":
            self.walk.abort()
        else:
            self.walk.crash()

    @rule(remembers=st.booleans())
    def crash(self, remembers: bool) -> None:
        self.walk.crash(remembers)

    @rule(evidence=st.sampled_from(_TELEMETRY), patient=st.booleans())
    def watch(self, evidence: StageEvidence | None, patient: bool) -> None:
        if evidence is None:
            self.walk.wait_out()
        else:
            self.walk.watch(evidence, patient)

    @rule(user=st.integers(0, 200), count=st.integers(0, 5))
    def request(self, user: int, count: int) -> None:
        chosen = self.walk.users[user % len(self.walk.users)]
        self.walk.request(chosen.pipeline, chosen.key, chosen.attributes)
        if count:
            self.walk.visit(len(self.walk.world.requests) - 1, count)

    @precondition(lambda self: bool(self.walk.world.requests))
    @rule(choice=st.integers(0, 9), count=st.integers(1, 5))
    def visit(self, choice: int, count: int) -> None:
        self.walk.visit(choice, count)

    @rule(order=st.sampled_from(("go on", "pause", "promote", "promote in full", "pause and promote", "abort")))
    def person(self, order: str) -> None:
        if order == "go on":
            self.walk.go_on()
        elif order.startswith("pause"):
            self.walk.pause()
            if order == "pause and promote":
                self.walk.promote()
        elif order == "abort":
            self.walk.abort()
        else:
            self.walk.promote(order == "promote in full")


def walk_everywhere(
    drawn: st.SearchStrategy[Review],
    policies: Sequence[Policy] = (),
    *,
    profile: SearchProfile,
    machine: type[RolloutMachine] = RolloutMachine,
) -> None:
    """Walk many rollouts of those drawn. Raises Broken with the shrunk story where something does not hold."""
    chosen: type[RolloutMachine] = type(machine.__name__, (machine,), {"reviews": drawn, "policies": tuple(policies)})
    if profile.seed is not None:
        chosen = seed(profile.seed)(chosen)
    try:
        with _shrinking_for(profile.shrink_s), with_reporter(lambda _: None):
            run_state_machine_as_test(chosen, settings=settings_of(profile))
    except Counterexample as story:
        raise Counterexample(str(story)) from None
    except AssertionError as failed:
        raise Counterexample(_story_of(failed)) from None
    except Flaky:
        raise Counterexample(f"A rule gives two verdicts on the same state. {MOODY}") from None


def _story_of(failed: AssertionError) -> str:
    """The story of an assertion of an extended machine."""
    text = str(failed).strip().splitlines()
    what = text[0] if text else "its assertion fails"
    return _LAST[0].emit("An invariant", what) if _LAST[0] is not None else what


@contextmanager
def _shrinking_for(seconds: float) -> Iterator[None]:
    """Hypothesis shrinks for up to five minutes and has no setting for it; a person waits for the story."""
    before = engine.MAX_SHRINKING_SECONDS
    engine.MAX_SHRINKING_SECONDS = seconds  # type: ignore[assignment]
    try:
        yield
    finally:
        engine.MAX_SHRINKING_SECONDS = before


def settings_of(profile: SearchProfile) -> settings:
    """Hypothesis settings of a profile. With a seed nothing else decides what is tried."""
    return settings(
        max_examples=profile.examples,
        stateful_step_count=profile.steps,
        deadline=None,
        derandomize=False,  # Hypothesis' own profile where the variable CI is set would pass the seed over
        database=None,
        print_blob=False,
        report_multiple_bugs=False,
        phases=(Phase.generate, Phase.shrink) if profile.shrink_s else (Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
