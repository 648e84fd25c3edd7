"""Judges a review by policies: one judgement each, whatever the policies do.

A rule that raises, does not end, or returns anything but violations has failed. A rule that changes the plan under
review has failed too; the ones beside it, which may have judged the changed plan, are judged again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from itertools import islice
from typing import Literal

from pydantic import Field

from rollcast.planner.base.errors import did_you_mean
from rollcast.planner.declaration.models import Json, Model, Override
from rollcast.policies.rules.review import Review
from rollcast.policies.rules.rule import Level, Policy, Violation
from rollcast.policies.rules.running import BrokenRule, Declined, Returned, run

MOST_VIOLATIONS = 1000
Command = Literal["plan", "simulate", "apply"]


class Finding(Model):
    """One violation, with its place in the declaration as `file:line:column` and the state that breaks the rule."""

    message: str
    place: str = ""
    remedy: str = ""
    state: str = ""

    def __str__(self) -> str:
        where = f" ({self.state})" if self.state else ""
        return f"{self.place + ': ' if self.place else ''}{self.message}{where}" + (
            f" {self.remedy}" if self.remedy else ""
        )


class Judgement(Model):
    """What one policy says of a plan. Not judged is not passed; an overridden failure stays a failure."""

    policy: str
    level: Level
    passed: bool
    message: str = ""
    judged: bool = True
    broken: bool = Field(False, description="the rule itself failed: it raised, did not end, or returned nonsense")
    findings: tuple[Finding, ...] = ()
    override: Override | None = Field(None, description="the override in force on the day of judgement")
    reason: str = ""

    def blocks(self, command: Command = "apply") -> bool:
        """Whether it forbids a command to go on. A mandatory rule without its forecast forbids only apply."""
        if self.level != "mandatory" or self.passed or self.override is not None:
            return False
        return self.judged or command == "apply"

    def to_json(self) -> dict[str, Json]:
        """The entry of a plan's `guardrails`."""
        return self.model_dump(mode="json")


def evaluate(review: Review, policies: Iterable[Policy]) -> tuple[Judgement, ...]:
    """One judgement for each policy that is not disabled, and one more where an override names none of them."""
    known = tuple(policies)
    enabled = [one for one in known if one.level != "disabled"]
    copy = _on_a_copy(review)
    judgements = [judge_one(copy, one) for one in enabled]
    if copy.plan != review.plan:
        judgements = [_judge_apart(review, one) for one in enabled]
    return (*judgements, *_odd_overrides(review, known))


def _on_a_copy(review: Review) -> Review:
    """The same review of a copy of the plan, so that no rule can change the plan that goes on to be applied."""
    return replace(review, plan=review.plan.model_copy(deep=True))


def judge_one(review: Review, one: Policy) -> Judgement:
    """What one policy says of a review, whatever the policy does."""
    answer = run(lambda: _violations(one.rule(review)), one.limit_s)
    if isinstance(answer, Declined):
        return _conclude(review, one, f"not judged: {answer.why}.", judged=False)
    if isinstance(answer, BrokenRule):
        return _conclude(review, one, _broken(one, answer.why), broken=True)
    if isinstance(answer.value, str):
        return _conclude(review, one, _broken(one, answer.value), broken=True)
    if answer.value:
        findings = tuple(_finding(review, violation) for violation in answer.value)
        return _conclude(review, one, _sentence(findings), findings)
    return Judgement(policy=one.name, level=one.level, passed=True, reason=one.reason)


def pass_all(review: Review, policies: Sequence[Policy]) -> bool:
    """Whether all of these surely pass; asked together, because asking each apart takes longer."""
    answer = run(lambda: [_violations(one.rule(review)) for one in policies], max(one.limit_s for one in policies))
    return isinstance(answer, Returned) and not any(answer.value)


def _judge_apart(review: Review, one: Policy) -> Judgement:
    """Judge on a copy of its own, and fail the rule that changes it."""
    own = _on_a_copy(review)
    judgement = judge_one(own, one)
    if own.plan == review.plan:
        return judgement
    return _conclude(review, one, _broken(one, "it changed the plan that it was to judge"), broken=True)


def _violations(returned: object) -> list[Violation] | str:
    """The violations that a rule returned, or in words why that is none."""
    advice = "return a list of violations, empty when there are none"
    if returned is None:
        return f"it returned None; {advice}"
    if isinstance(returned, str | bytes | dict | bool) or not isinstance(returned, Iterable):
        shown = repr(returned)
        return f"it returned {shown[:80]}; {advice}"
    found: list[Violation] = []
    for item in islice(returned, MOST_VIOLATIONS):
        if isinstance(item, str) and item.strip():
            found.append(Violation(item))
        elif isinstance(item, Violation) and isinstance(item.message, str) and item.message.strip():
            found.append(item)
        else:
            return f"it returned {repr(item)[:80]} among its violations; each is a text or a Violation with a message"
    return found


def _broken(one: Policy, why: str) -> str:
    where = f" ({one.source})" if one.source else ""
    return f"the rule '{one.name}'{where} is broken: {why}. Nothing passes by a broken rule: correct it."


def _finding(review: Review, violation: Violation) -> Finding:
    place = review.place(tuple(violation.path)) if violation.path else None
    return Finding(
        message=violation.message,
        place=str(place) if place else ".".join(str(part) for part in violation.path),
        remedy=violation.remedy,
        state=violation.state.where if violation.state else "",
    )


def _sentence(findings: Sequence[Finding]) -> str:
    more = f" And {len(findings) - 1} more." if len(findings) > 1 else ""
    return f"{findings[0]}{more}"


def _conclude(
    review: Review,
    one: Policy,
    message: str,
    findings: tuple[Finding, ...] = (),
    *,
    judged: bool = True,
    broken: bool = False,
) -> Judgement:
    """A judgement that is no pass, with the override that is in force, or the one that has expired."""
    override, note = _override(review, one.name)
    return Judgement(
        policy=one.name, level=one.level, passed=False, message=message + note, judged=judged, broken=broken,
        findings=findings, override=override, reason=one.reason,
    )  # fmt: skip


def _override(review: Review, name: str) -> tuple[Override | None, str]:
    note = ""
    for override in review.declaration.overrides:
        if override.policy != name:
            continue
        try:
            expires = date.fromisoformat(override.expires)
        except ValueError:
            note = f" Its override has a date that is none, {override.expires}, and does not count."
            continue
        if review.today <= expires:
            return override, f" Overridden until {override.expires}: {override.reason}"
        note = f" Its override ended on {override.expires}."
    return None, note


def _odd_overrides(review: Review, known: Sequence[Policy]) -> list[Judgement]:
    """Overrides that name no policy: a misspelt one must not look like one in force."""
    names = [one.name for one in known]
    found = []
    for position, override in enumerate(review.declaration.overrides):
        if override.policy not in names:
            message = f"the override names a policy '{override.policy}', which there is not."
            violation = Violation(message, ("overrides", position), did_you_mean(override.policy, names))
            found.append(_finding(review, violation))
    if not found:
        return []
    reason = "an override that names no policy overrides nothing"
    return [
        Judgement(
            policy="overrides", level="advisory", passed=False, message=_sentence(found), findings=tuple(found),
            reason=reason,
        )
    ]  # fmt: skip
