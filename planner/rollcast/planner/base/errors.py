"""What can be wrong with a declaration or a plan, said with its place and its remedy.

A `Diagnostic` is data; the command line prints it, editors and CI read it as JSON.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Diagnostic:
    """One mistake: where it is, what is wrong, what to do. Lines and columns count from 1; 0 is unknown."""

    file: str
    line: int
    column: int
    summary: str
    remedy: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}: " if self.line else f"{self.file}: "
        return place + self.summary + (f" {self.remedy}" if self.remedy else "")


class PlannerError(Exception):
    """Any refusal of the planner. The message says what is wrong and what to do."""


class KindError(PlannerError):
    """A kind that can't be used: nothing offers it, two do, or what offers it is broken."""

    def __init__(self, summary: str, remedy: str) -> None:
        self.summary, self.remedy = summary, remedy
        super().__init__(f"{summary[:1].upper()}{summary[1:]} {remedy}".strip())


class DeclarationError(PlannerError):
    """A declaration that can't be used, with every mistake found in it at once."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics = tuple(sorted(diagnostics))
        super().__init__("\n".join(str(diagnostic) for diagnostic in self.diagnostics))


class CapacityError(PlannerError):
    """No wave fits the declared capacity: says what is missing, where and by how much.

    `slots`: (line, slot) of the step that has no room. `missing`: what it lacks, in words.
    """

    def __init__(self, step: str, slots: Sequence[tuple[str, str]], missing: str, reasons: Sequence[str] = ()) -> None:
        self.step, self.slots, self.missing = step, tuple(slots), missing
        remedy = "Raise the capacity for the time of the rollout, or declare smaller 'needs'."
        why = " ".join(dict.fromkeys(f"{reason[0].upper()}{reason[1:]}" for reason in reasons))
        super().__init__(f"{step} does not fit beside what runs: {missing}. {why}{' ' if why else ''}{remedy}")

    def because(self, reasons: Sequence[str]) -> CapacityError:
        """The same refusal, with the reasons why a change in place is no way out."""
        return CapacityError(self.step, self.slots, self.missing, reasons)


class NoSafeOrder(PlannerError):
    """Components that must switch together can't, because one of them runs only once: the problem and its remedy."""

    def __init__(self, problem: str, remedy: str) -> None:
        self.problem, self.remedy = problem, remedy
        super().__init__(f"{problem}. {remedy}")


class UnsafePlan(PlannerError):
    """A plan broke an invariant: a defect of the planner, never shown as a plan."""


class MixedLiveState(PlannerError):
    """What is live is in the middle of a rollout, so it is no starting point for a new plan."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The nearest valid name as a sentence, or the valid names when none is near."""
    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if near:
        return f"Did you mean '{near[0]}'?"
    if not names:
        return ""
    shown = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
    return f"Known here: {shown}."
