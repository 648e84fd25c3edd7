"""Judges a review by policies: one judgement each, whatever the policies do.

A rule that raises, does not end, ends its process, or returns anything but violations has failed. A rule that changes
the plan under review has failed too; the ones beside it, which may have judged the changed plan, are judged again.

`evaluate`, which commands call, judges by a project's own rules in a process of their own, within limits; by the
library's in this one. `judge_one` and `pass_all` judge in this process, without a limit, because property tests judge
thousands of times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import date
from itertools import islice
from typing import Any, Literal, assert_never

from pydantic import Field

from rollcast.planner.base.errors import did_you_mean
from rollcast.planner.declaration.models import Json, Model, Override
from rollcast.policies.rules.review import Review
from rollcast.policies.rules.rule import Level, Policy, Violation
from rollcast.policies.rules.running import BrokenRule, Declined, Returned, run_apart, run_here

MOST_VIOLATIONS = 1000
_COMPARING_S = 60.0
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
    own = [one for one in enabled if not one.of_library]
    found = dict(zip((one.name for one in own), _judged_apart(review, own), strict=True))
    judgements = [found[one.name] if one.name in found else judge_one(review, one) for one in enabled]
    return (*judgements, *_odd_overrides(review, known))


def _judged_apart(review: Review, own: Sequence[Policy]) -> list[Judgement]:
    """What a project's own rules say, in a process of their own."""
    if not own:
        return []
    copy = _on_a_copy(review)
    works: list[Callable[[], Any]] = [lambda one=one: _found(copy, one) for one in own]  # type: ignore[misc]
    answers = run_apart([*works, lambda: copy.plan != review.plan], [*(one.limit_s for one in own), _COMPARING_S])
    changed, stopped = answers.pop(), [isinstance(one, BrokenRule) and one.stopped for one in answers]
    if any(stopped) or changed != Returned(False):  # what a process that is gone had changed, nobody knows
        again = [(n, one) for n, (one, gone) in enumerate(zip(own, stopped, strict=True)) if not gone]
        works = [lambda one=one: _found_alone(review, one) for _, one in again]  # type: ignore[misc]
        apart = run_apart(works, [one.limit_s for _, one in again])
        for (number, _), answer in zip(again, apart, strict=True):
            answers[number] = answer
    return [_judgement(review, one, answer) for one, answer in zip(own, answers, strict=True)]


def _on_a_copy(review: Review) -> Review:
    """The same review of a copy of the plan, so that no rule can change the plan that goes on to be applied."""
    return replace(review, plan=review.plan.model_copy(deep=True))


def judge_one(review: Review, one: Policy) -> Judgement:
    """What one policy says of a review, in this process: whatever it raises, but for as long as it takes."""
    return _judgement(review, one, run_here(lambda: _found(review, one)))


def pass_all(review: Review, policies: Sequence[Policy]) -> bool:
    """Whether all of these surely pass, in this process."""
    answer = run_here(lambda: [_violations(one.rule(review)) for one in policies])
    return isinstance(answer, Returned) and not any(answer.value)


def _found(review: Review, one: Policy) -> list[dict[str, Json]] | str:
    """What a policy finds, or in words why that is no answer: plain data, which a process can send."""
    violations = _violations(one.rule(review))
    if isinstance(violations, str):
        return violations
    return [_finding(review, violation).model_dump(mode="json") for violation in violations]


def _found_alone(review: Review, one: Policy) -> list[dict[str, Json]] | str:
    """What a policy finds on a copy of its own; a rule that changes it is broken."""
    own = _on_a_copy(review)
    found = _found(own, one)
    return found if own.plan == review.plan else "it changed the plan that it was to judge"


def _judgement(review: Review, one: Policy, answer: Returned[Any] | BrokenRule | Declined) -> Judgement:
    match answer:
        case Declined(why):
            return _conclude(review, one, f"not judged: {why}.", judged=False)
        case BrokenRule(why):
            return _conclude(review, one, _broken(one, why), broken=True)
        case Returned(str(why)):
            return _conclude(review, one, _broken(one, why), broken=True)
        case Returned(value):
            findings = tuple(Finding.model_validate(found) for found in value)
            if findings:
                return _conclude(review, one, _sentence(findings), findings)
            return Judgement(policy=one.name, level=one.level, passed=True, reason=one.reason)
        case _:
            assert_never(answer)


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
