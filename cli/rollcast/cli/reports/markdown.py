"""A report as Markdown for a pull request: under the code host's limit, readable without a picture, the same bytes
for the same input.

Every value that a template prints is escaped as Markdown unless it is `Written`, the mark of text made here. Where the
report would be too long, its tables are cut to fewer rows and its texts to fewer characters, and say so; the verdict is
never cut away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from rollcast.cli.reports import facts
from rollcast.cli.reports.contents import in_markdown
from rollcast.cli.reports.diagram import mermaid_of, mermaid_of_steps
from rollcast.cli.reports.escaping import code, markdown
from rollcast.cli.reports.facts import Facts
from rollcast.cli.reports.graph import frames_of
from rollcast.cli.reports.page import Tone
from rollcast.cli.reports.steps import steps_of
from rollcast.cli.reports.subject import Subject
from rollcast.cli.reports.verdict import verdict_of
from rollcast.cli.terminal import clean
from rollcast.simulator.forecast.models import Forecast

LIMIT = 65_536  # characters of a comment on GitHub; GitLab takes more
MOST_LINES = 6
MOST_REASONS, MOST_ROWS = 3, 10  # outside of what is folded: a reviewer has a minute
_RESERVE = 536  # for the mark of a sticky comment, and a line about what is left out
MARKS: dict[Tone, str] = {"good": "✅", "warn": "⚠️", "bad": "❌", "plain": "➖"}
# (most rows of a table, longest text of a cell): tried in turn until the report fits
_SIZES = ((60, 300), (30, 200), (15, 120), (8, 80), (4, 50), (2, 30))


class Written(str):
    """Text that is Markdown already."""

    __slots__ = ()


def markdown_of(subject: Subject) -> str:
    """The report, shorter than LIMIT in characters and in UTF-8 bytes."""
    parts = _parts(subject)
    text = ""
    for rows, longest in _SIZES:
        text = _environment(rows, longest).get_template("report.md.j2").render(**parts)
        if len(text.encode()) <= LIMIT - _RESERVE:
            break
    return text


def _parts(subject: Subject) -> dict[str, Any]:
    plan, forecast = subject.plan, subject.forecast
    lines = [(line, plan.from_release.get(line) or "nothing", to) for line, to in plan.to_release.items()]
    verdict = verdict_of(subject)
    warnings = forecast.warnings if forecast is not None else ()
    lines += [(ln, own[0].release, "removed") for ln, own in plan.start.items() if own and ln not in plan.to_release]
    rules = facts.guardrails(subject)
    passing = [tone == "good" for tone in rules.tones]
    found: dict[str, Any] = {
        "plan": plan,
        "lines": lines[:MOST_LINES],
        "lines_left": max(0, len(lines) - MOST_LINES),
        "verdict": verdict,
        "left": [text for texts in (verdict.reasons, warnings, plan.notes) for text in texts[MOST_REASONS:]],
        "mark": {tone: Written(mark) for tone, mark in MARKS.items()},
        "changes": facts.changes(plan),
        "contents": [Written(text) for text in in_markdown(plan.contents)],
        "evaluations": plan.evaluations,
        "notes": plan.notes,
        "entered": subject.reality.entered if subject.reality else "",
        "guardrails": rules,
        "failing": _some(rules, [not passes for passes in passing]),
        "passing": _some(rules, passing),
        "exposure": facts.exposure(plan, forecast),
        "diagram": Written(mermaid_of(frames_of(plan))),
        "steps": Written(mermaid_of_steps(steps_of(plan), forecast)),
        "most_reasons": MOST_REASONS,
        "most_rows": MOST_ROWS,
        "compared": facts.comparison(subject) if len(subject.forecasts) > 1 else None,
        "command": Written(_fenced(subject.command)),
        "foot": _foot(subject),
        **_forecast_parts(forecast),
    }
    return found


def _forecast_parts(forecast: Forecast | None) -> dict[str, Any]:
    if forecast is None:
        return dict.fromkeys(("metrics", "others", "detection", "costs", "stations", "within"), None) | {
            "warnings": (),
            "moved": (),
            "assumptions": (),
        }
    metrics = facts.metrics(forecast)
    costs = [row[0].endswith("_usd") for row in metrics.rows]
    first = [metric.audience for metric in forecast.metrics][:1]
    shown = [m.limit is not None or m.audience in first for m in forecast.metrics if m.rollout is not None]
    gated = [metric for metric in forecast.metrics if metric.limit is not None]
    beyond = sum(not metric.ok for metric in gated)
    within = f"{beyond} of {len(gated)} gated metrics beyond their limits" if beyond else (
        f"{len(gated)} gated metrics within their limits" if gated else "no gate watches a metric"
    )  # fmt: skip
    return {
        "within": within,
        "metrics": _some(metrics, shown),
        "others": _some(metrics, [not kept for kept in shown]),
        "detection": facts.detection(forecast),
        "costs": _some(metrics, costs),
        "stations": facts.stations(forecast),
        "warnings": forecast.warnings,
        "moved": [facts.moved_in_words(moved) for moved in forecast.moved],
        "assumptions": forecast.assumptions,
    }


def _some(table: Facts, chosen: Sequence[bool]) -> Facts:
    rows = [row for row, kept in zip(table.rows, chosen, strict=True) if kept]
    return replace(table, rows=rows, tones=[t for t, kept in zip(table.tones, chosen, strict=True) if kept])


def _fenced(command: str) -> str:
    """A command that can't end its fence. No shell command of ours has a backtick."""
    return clean(command).replace("`", "")


def _foot(subject: Subject) -> str:
    plan, forecast = subject.plan, subject.forecast
    said = [f"plan {plan.digest[:19]}", f"live state {plan.live_state_digest[:19]}"]
    if forecast is not None:
        runs = f"{forecast.runs:,} run{'s' if forecast.runs != 1 else ''}"
        said.append(f"{forecast.requests:,} recorded requests, {runs}, seed {forecast.seed}, engine {forecast.engine}")
    said.append(f"rollcast {plan.binding.tool_version}".strip())
    return " · ".join(said)


@cache
def _environment(rows: int, longest: int) -> Environment:
    loaded = Environment(
        loader=PackageLoader("rollcast.cli.reports"),
        autoescape=False,  # HTML escapes mean nothing here: `finalize` escapes every value, as Markdown
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=lambda value: value if isinstance(value, Written) else markdown(value, longest),
    )
    loaded.filters["code"] = lambda text: Written(code(text, longest))
    loaded.filters["first_of"] = lambda texts: _first_of(texts, rows)
    loaded.filters["first_rows"] = lambda table, most=MOST_ROWS: Written(_table(table, min(rows, most), longest))
    loaded.filters["table"] = lambda table: Written(_table(table, rows, longest))
    return loaded


def _first_of(texts: Sequence[str], most: int) -> list[str]:
    """The first texts of a list, and how many are left out."""
    left = len(texts) - most
    return [*texts[:most], f"… and {left:,} more"] if left > 0 else list(texts)


def _table(table: Facts, most: int, longest: int) -> str:
    """A pipe table. Rows beyond `most` are counted, not shown."""
    marked = any(table.tones)
    head = [*([""] if marked else []), *(markdown(name) for name in table.head)]
    shift = int(marked)
    rule = ["--:" if i - shift in table.numbers else "---" for i in range(len(head))]
    lines = [_line(head), _line(rule)]
    for position, row in enumerate(table.rows[:most]):
        cells = [code(t, longest) if i in table.names and t else markdown(t, longest) for i, t in enumerate(row)]
        tone = table.tones[position] if marked else None
        lines.append(_line([*([MARKS[tone] if tone else ""] if marked else []), *cells]))
    left = len(table.rows) - most
    if left > 0:
        lines.append(_line([*([""] if marked else []), f"… and {left:,} more", *([""] * (len(table.head) - 1))]))
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
