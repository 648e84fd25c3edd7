"""What the search for percentages and bakes found: what to declare, how it compares, what is left to doubt."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rollcast.cli.output import comparing
from rollcast.cli.reports.amounts import duration, percent
from rollcast.cli.reports.sentence import cause_of
from rollcast.cli.terminal import paint
from rollcast.simulator.forecast.models import Forecast
from rollcast.simulator.tuning.search import TuningGoal

FORMAT_VERSION = "1.0"


@dataclass(frozen=True)
class Tuned:
    """The chosen way beside what is declared and the next best ones, each with its forecast.

    `chosen`: its name. `declaration`: the part of a declaration that it is. `tried`: how many ways were forecast.
    `blocked`: how many more each guardrail forbids, by its name.
    """

    chosen: str
    declaration: Mapping[str, Any]
    forecasts: Mapping[str, Forecast]
    goal: TuningGoal
    tried: int
    blocked: Mapping[str, int]
    file: str

    @property
    def lacks(self) -> dict[str, float]:
        """What even the chosen way falls short of."""
        return self.goal.lacks(self.forecasts[self.chosen])


def text_of(found: Tuned) -> str:
    """The answer in a sentence, what to declare, and the table of ways."""
    return "\n".join([
        paint(_sentence(found), bold=True), *_blocked(found), "", *_snippet(found), "",
        comparing.text_of(found.forecasts, _luck(found)),
    ])  # fmt: skip


def markdown_of(found: Tuned) -> str:
    """The same for a pull request."""
    table = comparing.markdown_of(found.forecasts, _luck(found))
    lines = [_sentence(found), *_blocked(found), "", "```yaml", *_snippet(found), "```", "", table]
    return "\n".join(lines)


def json_of(found: Tuned) -> dict[str, Any]:
    """The same as data: each forecast whole."""
    return {
        "format_version": FORMAT_VERSION, "within_s": found.goal.within_s, "sure": found.goal.sure,
        "tried": found.tried, "chosen": found.chosen, "lacks": found.lacks, "declaration": found.declaration,
        "blocked": dict(found.blocked),
        "compared": comparing.json_of(found.forecasts)["compared"],
    }  # fmt: skip


def _sentence(found: Tuned) -> str:
    wanted = f"go through within {duration(found.goal.within_s)} and catch each harm"
    share = f"{percent(found.goal.sure)} of the time"
    if not found.lacks:
        if found.chosen == next(iter(found.forecasts)):
            return f"What is declared is best of {found.tried} ways that {wanted}, {share}."
        return f"Best of {found.tried} ways that {wanted}, {share}, with the fewest users harmed:"
    short = ", ".join(_lacking(name, value) for name, value in found.lacks.items())
    return (
        f"None of {found.tried} ways is known to {wanted}, {share}. The closest one falls short: {short}{_why(found)}. "
        "More time (--within), more traffic, a smaller 'min_sample' or a wider margin would help."
    )


def _why(found: Tuned) -> str:
    """What most often ends it otherwise."""
    reasons = found.forecasts[found.chosen].reasons
    reason = max(reasons, key=lambda one: one.probability, default=None)
    return f". It is stopped most often by {cause_of(reason)}" if reason else ""


def _lacking(name: str, short: float) -> str:
    if name == "in time":
        return f"5 % last {percent(short)} longer than that"
    return f"{name}, by {round(short * 100)} points"


def _blocked(found: Tuned) -> list[str]:
    return [f"Not tried: {ways} ways that guardrail '{name}' forbids." for name, ways in found.blocked.items()]


def _snippet(found: Tuned) -> list[str]:
    from ruamel.yaml import YAML

    writer, text = YAML(), io.StringIO()
    writer.default_flow_style = None
    writer.width = 110
    writer.dump(dict(found.declaration), text)
    return [f"# in {found.file}", *text.getvalue().rstrip().splitlines()]


def _luck(found: Tuned) -> str:
    runs = next(iter(found.forecasts.values())).runs
    return f"All of them with the same traffic and {runs} runs of luck that nothing was chosen by."


__all__ = ["Tuned", "json_of", "markdown_of", "text_of"]
