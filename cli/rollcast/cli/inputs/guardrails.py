"""Guardrails in the commands: every plan is judged, every judgement shown, and a mandatory one that blocks exits 3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import typer

from rollcast.cli import terminal

if TYPE_CHECKING:
    from rollcast.planner.plan.models import Plan
    from rollcast.policies import BaseRules, Judgement
    from rollcast.simulator.forecast.models import Forecast
    from rollcast.stacks.project import Project

BLOCKED = 3
Command = Literal["plan", "simulate", "apply"]


def judged(project: Project, plan: Plan, forecast: Forecast | None = None, base: BaseRules | None = None) -> Plan:
    """The plan with today's judgement of the project's policies, bound to their digest. Raises PolicyError.

    `base`: the rules of the branch that it is to be merged into, which hold instead of its own of the same names.
    """
    from datetime import date

    from rollcast.policies import judge

    return judge(
        project.folder, project.declaration, plan, today=date.today(), forecast=forecast, digests=project.pinned,
        file=project.file, base=base,
    ).on(plan)  # fmt: skip


def judged_again(project: Project, plan: Plan, forecast: Forecast | None = None) -> Plan:
    """A saved plan, judged today. Raises StaleError when the policies are not those that it was made under."""
    from rollcast.stacks.base.errors import StaleError

    again = judged(project, plan, forecast)
    if plan.binding.policy_digest != again.binding.policy_digest:
        raise StaleError("The policies have changed since this plan was made. Plan again: it may be judged otherwise.")
    return again


def lines_of(plan: Plan, most_advice: int | None = None) -> list[str]:
    """What the guardrails say, as text: those that do not pass with their reason, the others counted.

    `most_advice`: advice beyond so many is counted, too; what blocks is always said.
    """
    found = _judgements(plan)
    if not found:
        return []
    lines = [terminal.paint("Guardrails", bold=True)]
    by_said: dict[tuple[str, str | None, str], list[str]] = {}
    for one in (one for one in found if not one.passed):
        said = terminal.clean(one.message.removeprefix("not judged: "))
        by_said.setdefault((*_word(one), said), []).append(one.policy)
    advised = 0
    for (word, colour, said), policies in by_said.items():
        advised += word == "advises"
        if word != "advises" or most_advice is None or advised <= most_advice:
            lines.append(f"  {terminal.paint(word, colour)} {terminal.paint(', '.join(policies))}: {said}")
    passed = sum(one.passed for one in found)
    digest = plan.binding.policy_digest[:19]
    left = 0 if most_advice is None else max(0, advised - most_advice)
    more = f"; {left} more advise" if left else ""
    lines.append(terminal.paint(f"  {passed} of {len(found)} pass{more}, judged by policies {digest}", dim=True))
    return [*lines, ""]


def _word(one: Judgement) -> tuple[str, str | None]:
    if one.override is not None:
        return "overridden", "yellow"
    if not one.judged:
        return ("blocks apply", "red") if one.blocks("apply") else ("not judged", None)
    return ("blocks", "red") if one.blocks("plan") else ("advises", "yellow")


def refuse(plan: Plan, command: Command) -> None:
    """Exits 3 with the reasons where a mandatory guardrail forbids the command to go on."""
    found = blocking(plan, command)
    for one in found:
        terminal.note(f"Guardrail '{one.policy}' blocks: {one.message}")
    if found:
        terminal.note("Satisfy it, or declare an override with its reason and its last day under 'overrides'.")
        raise typer.Exit(BLOCKED)


def blocking(plan: Plan, command: Command) -> list[Judgement]:
    """The judgements that forbid the command to go on."""
    return [one for one in _judgements(plan) if one.blocks(command)]


def _judgements(plan: Plan) -> list[Judgement]:
    from rollcast.policies import Judgement

    return [Judgement.model_validate(dict(entry)) for entry in plan.guardrails]
