"""The sections of a report's page, from a subject. What there is nothing to say of has no section.

Long because a report's sections are listed in the order in which they are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from markupsafe import Markup

from rollcast.cli.reports import courses, facts, pictures
from rollcast.cli.reports.amounts import count, duration, percent
from rollcast.cli.reports.charts import Chart, Ranges
from rollcast.cli.reports.contents import rewordings
from rollcast.cli.reports.facts import Facts
from rollcast.cli.reports.figures import chart_figure, ranges_figure
from rollcast.cli.reports.graph import boxes_of, frames_of, graph_svg
from rollcast.cli.reports.page import Block, Cell, Figure, Graph, Page, Row, Section, Table, Tile, Tone, Words
from rollcast.cli.reports.rendering import html_of
from rollcast.cli.reports.subject import Subject
from rollcast.cli.reports.verdict import verdict_of
from rollcast.planner.plan.models import Plan, Serving
from rollcast.simulator.forecast.models import Forecast

MOST_OPERATIONS = 400
MOST_ROWS = 200


def report_of(subject: Subject) -> str:
    """The report as one HTML file."""
    return html_of(page_of(subject))


def page_of(subject: Subject) -> Page:
    """The page of a subject."""
    plan = subject.plan
    verdict = verdict_of(subject)
    releases = [f"{old or 'nothing'} → {plan.to_release[track]}" for track, old in plan.from_release.items()]
    return Page(
        title=f"{plan.pipeline} in {plan.environment}",
        subtitle="; ".join(releases[:4]) + (f"; and {len(releases) - 4} more channels" if len(releases) > 4 else ""),
        tone=verdict.tone,
        verdict=verdict.headline,
        reasons=verdict.reasons,
        tiles=list(_tiles(subject)),
        sections=[section for section in _sections(subject) if section.blocks],
        foot=_foot(subject),
        signed=f"{plan.pipeline} in {plan.environment}, plan {plan.digest}",
    )


def _tiles(subject: Subject) -> Iterator[Tile]:
    forecast = subject.forecast
    if forecast is not None:
        outcome = forecast.outcome
        tone: Tone = "good" if outcome.promoted >= 0.9 else "bad" if outcome.rolled_back >= 0.5 else "warn"
        yield Tile(
            "promoted",
            percent(outcome.promoted),
            f"of {count(forecast.runs)} run{'s' if forecast.runs != 1 else ''}",
            tone,
        )
        yield Tile("rolled back", percent(outcome.rolled_back), f"held {percent(outcome.held)}")
        yield Tile("lasts", duration(forecast.duration_s.p50), f"95 %: {duration(forecast.duration_s.p95)}")
        exposed = forecast.exposure
        yield Tile("exposed", f"{count(exposed.users)} users", f"{count(exposed.requests)} requests, before proof")
    rules = subject.guardrails
    if rules:
        failing = sum(1 for rule in rules if rule.judged and not rule.passed)
        unknown = sum(1 for rule in rules if not rule.judged)
        words = f"{failing} of {len(rules)} fail" if failing else f"{len(rules) - unknown} pass"
        tone = "bad" if any(rule.blocks("plan") for rule in rules) else "warn" if failing else "good"
        yield Tile("guardrails", words, f"{unknown} not judged" if unknown else "", tone)
    plan = subject.plan
    yield Tile("milestones", f"{len(plan.milestones):,}", f"{len(plan.operations):,} operations")


def _sections(subject: Subject) -> Iterator[Section]:
    plan, forecast = subject.plan, subject.forecast
    if subject.reality is not None:
        yield Section("reality", "Reality", list(_reality(subject)), _how_it_ended(subject))
    moved = [facts.moved_in_words(moved) for moved in forecast.moved] if forecast else []
    changed = [table_of(facts.changes(plan)), *_words(moved), *_words(plan.notes)] if plan.changes else []
    yield Section("changes", "What changes", changed)
    if forecast is not None:
        yield Section(
            "metrics",
            "Now and after",
            [table_of(facts.metrics(forecast)), *_evidence(subject, forecast)],
        )
        if len(subject.forecasts) > 1:
            lead = "The same plan under other conditions; the first forecast is the one of the verdict."
            yield Section("what-if", "What if", list(_what_if(subject)), lead)
        yield Section("traffic", "Traffic and latency", list(_traffic(plan, forecast)))
    yield Section("exposure", "Exposure", list(_exposure(subject)))
    if forecast is not None and forecast.detection:
        lead = (
            "How large a regression of each guarded metric this very rollout would catch, after how long, at what cost."
        )
        yield Section("detection", "Detection power", [table_of(facts.detection(forecast))], lead)
    rules = facts.guardrails(subject)
    yield Section("guardrails", "Guardrails", [table_of(rules)] if rules.rows else [])
    yield Section("content", "Content", list(rewordings(plan.contents)))
    evaluated = Words(items=[str(found) for found in plan.evaluations])
    yield Section("evaluations", "Evaluations", [evaluated] if plan.evaluations else [])
    if not plan.empty:
        yield Section("plan", "Plan", list(_plan(plan)))
    if forecast is not None:
        stations = facts.stations(forecast)
        yield Section("capacity", "Capacity", [table_of(stations)] if stations.rows else [])
        rests = [*(f"Warning: {text}" for text in forecast.warnings), *forecast.assumptions]
        yield Section("assumptions", "What it rests on", _words(rests))
    yield Section("reproduce", "Reproduce", [Words(command=subject.command)] if subject.command else [])


def _reality(subject: Subject) -> Iterator[Block]:
    yield from _chart(pictures.progress(subject.plan, subject.forecast, subject.reality), "real-progress")
    yield table_of(facts.reality(subject))
    evidence = facts.evidence(subject)
    if evidence.rows:
        yield table_of(evidence)


def _how_it_ended(subject: Subject) -> str:
    assert subject.reality is not None
    real = subject.reality
    entered = f" {real.entered}" if real.entered else ""
    if real.outcome is None:
        return f"Rollout {real.rollout} is under way.{entered}"
    outcome = real.outcome.replace("_", " ")
    return f"Rollout {real.rollout}: {outcome} after {duration(real.seconds)}. Why: {real.reason}.{entered}"


def _what_if(subject: Subject) -> Iterator[Block]:
    yield table_of(facts.comparison(subject))
    yield ranges_figure(pictures.outcomes(subject.forecasts), "outcomes")
    for position, chart in enumerate(pictures.differences(subject.forecasts)):
        yield ranges_figure(chart, f"difference-{position}")


def _evidence(subject: Subject, forecast: Forecast) -> Iterator[Block]:
    yield from _range(pictures.margins(subject), "margins")
    yield from _chart(courses.worse(forecast), "worse")
    yield from _chart(courses.harm(forecast), "harm")


def _traffic(plan: Plan, forecast: Forecast) -> Iterator[Block]:
    yield from _chart(courses.traffic(plan, forecast), "split")
    yield from _chart(courses.split(plan, forecast), "split-of-runs")
    yield from _chart(pictures.latency(forecast), "latency")


def _exposure(subject: Subject) -> Iterator[Block]:
    forecast = subject.forecast
    if subject.plan.empty:
        return
    if forecast is not None:
        yield from _chart(pictures.exposure(subject.plan, forecast), "exposed")
        if subject.reality is None:
            yield from _chart(pictures.progress(subject.plan, forecast, None), "progress")
    table = facts.exposure(subject.plan, forecast)
    splits = _splits(subject.plan, min(len(table.rows), MOST_ROWS))
    rows = [
        Row(
            [
                Cell(row[0]),
                Cell(row[1], picture=picture),
                *(_cell(table, i + 2, text) for i, text in enumerate(row[2:])),
            ]
        )
        for row, picture in zip(table.rows, splits, strict=False)
    ]
    yield Table(table.caption, table.head, rows, note=_left_out(table))


def _splits(plan: Plan, rows: int) -> Iterator[Markup | None]:
    """A bar for each row: what the track that moves serves once the milestone is reached."""
    releases = pictures.order_of_releases(plan)
    servings = plan.servings()
    for milestone, serving in islice(zip(plan.milestones, servings, strict=True), rows):
        track = milestone.lines[0] if milestone.lines else next(iter(serving), None)
        yield _split(serving, track, milestone.audience, releases) if track in serving else None


def _split(serving: Serving, track: str | None, audience: str | None, releases: Sequence[str]) -> Markup:
    shares = [share for share in serving[track or ""] if audience in (None, share.audience)] or serving[track or ""]
    parts, x = [Markup('<svg class="split" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">')], 0.0
    for share in shares:
        width = share.percent * 100 / max(sum(s.percent for s in shares), 1e-9)
        colour = releases.index(share.release) % pictures.PALETTE
        parts.append(Markup('<rect class="c{}" x="{:.2f}" y="0" width="{:.2f}" height="8"/>').format(colour, x, width))
        x += width
    return Markup("").join([*parts, Markup("</svg>")])


def _plan(plan: Plan) -> Iterator[Block]:
    frames = frames_of(plan)
    shown = [*dict.fromkeys(box.target for box in boxes_of(frames))]
    chosen = set(shown)
    shown += [operation.id for operation in plan.operations if operation.id not in chosen]
    rows = {name: number for number, name in enumerate(shown[:MOST_OPERATIONS])}
    yield Graph(graph_svg(frames, rows))
    by_id = {operation.id: operation for operation in plan.operations}
    listed = [by_id[operation.id] for operation in plan.operations if operation.id in rows]
    table = [
        Row(
            [
                Cell(str(one.milestone), end=True), Cell(one.kind), Cell(one.component or "", code=True),
                Cell(one.artifact or "", code=True),
                Cell(", ".join(one.after[:4]) + (" …" if len(one.after) > 4 else "")),
                Cell(one.why),
            ],
            f"op-{rows[one.id]}",
        )
        for one in listed
    ]  # fmt: skip
    left = len(plan.operations) - len(listed)
    note = f"{left:,} more operations are in 'rollcast plan --format json'." if left else ""
    head = ["milestone", "operation", "component", "artifact", "after", "why"]
    yield Table("Operations", head, table, folded=True, searchable=True, note=note)
    yield from _rollback_of(plan)


def _rollback_of(plan: Plan) -> Iterator[Block]:
    if not plan.rollback:
        return
    reached = sorted(rollback.from_milestone for rollback in plan.rollback)
    longest = max(plan.rollback, key=lambda rollback: len(rollback.milestones))
    steps = ", then ".join(milestone.title for milestone in longest.milestones)
    yield Words([f"The rollback from any of milestones {reached[0]} to {reached[-1]}: {steps}."])


# ---- from facts and charts to blocks ------------------------------------------------------------


def table_of(table: Facts) -> Table:
    """Facts as a table of the page."""
    rows = []
    for position, row in enumerate(table.rows[:MOST_ROWS]):
        tone = table.tones[position] if table.tones else None
        cells = [_cell(table, i, text) for i, text in enumerate(row)]
        if tone is not None:
            cells[0] = Cell(cells[0].text, tone, cells[0].code, cells[0].end)
        rows.append(Row(cells))
    return Table(table.caption, table.head, rows, note=_left_out(table))


def _left_out(table: Facts) -> str:
    left = len(table.rows) - MOST_ROWS
    return f"{left:,} more rows are in the JSON form." if left > 0 else ""


def _cell(table: Facts, column: int, text: str) -> Cell:
    return Cell(text, code=column in table.names, end=column in table.numbers)


def _words(items: Sequence[str]) -> list[Block]:
    return [Words(items=items)] if items else []


def _chart(chart: Chart | None, anchor: str) -> Iterator[Figure]:
    if chart is not None:
        yield chart_figure(chart, anchor)


def _range(chart: Ranges | None, anchor: str) -> Iterator[Figure]:
    if chart is not None:
        yield ranges_figure(chart, anchor)


def _foot(subject: Subject) -> str:
    plan, forecast = subject.plan, subject.forecast
    said = [f"Plan {plan.digest}", f"live state {plan.live_state_digest}"]
    if forecast is not None:
        said.append(f"forecast of {forecast.requests:,} recorded requests ({forecast.traffic}), seed {forecast.seed}")
        if forecast.plan_digest != plan.digest:
            said.append("the forecast was made of another plan")
    said.append(f"rollcast {plan.binding.tool_version}".strip())
    return " · ".join(said)
