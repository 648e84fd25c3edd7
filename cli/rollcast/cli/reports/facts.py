"""The tables of a report as plain values: made once, written as Markdown and as HTML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rollcast.cli.reports.amounts import UNKNOWN, amount, between, count, duration, percent
from rollcast.cli.reports.page import Tone
from rollcast.cli.reports.sentence import times_caught
from rollcast.cli.reports.subject import Subject
from rollcast.planner.plan.models import Milestone, Plan
from rollcast.planner.releases.changes import SYMBOLS, Change
from rollcast.policies import Judgement
from rollcast.simulator.forecast.models import UNPROVED, Forecast, MetricForecast, Moved, StageForecast


@dataclass(frozen=True, slots=True)
class Facts:
    """A table: head, rows of strings, a tone for each row or none; which columns are names, and which are numbers."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    tones: Sequence[Tone | None] = ()
    names: frozenset[int] = frozenset()
    numbers: frozenset[int] = frozenset()


def changes(plan: Plan) -> Facts:
    """What changes, slot by slot. A reason that only repeats the two versions is not said twice."""
    tracks = len({*plan.to_release, *(change.line for change in plan.changes)}) > 1
    reasons = any(_reason(change) for change in plan.changes)
    head = ["", "component", "from", "to", *(["why"] if reasons else []), *(["channel"] if tracks else [])]
    rows = [
        [
            SYMBOLS[c.action], c.component, c.from_ or UNKNOWN, c.to or UNKNOWN,
            *([_reason(c)] if reasons else []), *([c.line] if tracks else []),
        ]
        for c in plan.changes
    ]  # fmt: skip
    return Facts("What changes", head, rows, names=frozenset({1, 2, 3}))


def _reason(change: Change) -> str:
    return "" if change.reason in (f"{change.from_} -> {change.to}", "not there yet") else change.reason


def metrics(forecast: Forecast) -> Facts:
    """Every metric without and with the rollout, with the difference and its interval."""
    several = len({metric.audience for metric in forecast.metrics}) > 1
    head = ["metric", *(["audience"] if several else []), "now", "after", "difference", "95 % interval", "limit"]
    known = [metric for metric in forecast.metrics if metric.rollout is not None]
    rows = [[m.name, *([m.audience] if several else []), *_values(m)] for m in known]
    proved = forecast.proof not in UNPROVED
    tones: list[Tone | None] = [_tone(metric) if proved or not metric.ok else None for metric in known]
    shift = int(several)
    caption = "Now, after, and the difference over the same requests"
    return Facts(caption, head, rows, tones, frozenset({0}), frozenset(range(1 + shift, 6 + shift)))


def _values(metric: MetricForecast) -> list[str]:
    name = metric.name
    return [
        amount(name, metric.baseline),
        amount(name, metric.rollout),
        amount(name, metric.difference, signed=True),
        between(name, metric.interval, signed=True),
        amount(name, metric.limit),
    ]


def _tone(metric: MetricForecast) -> Tone | None:
    if metric.limit is None:
        return None
    return "good" if metric.ok else "bad"


def exposure(plan: Plan, forecast: Forecast | None) -> Facts:
    """Who is exposed when: every milestone. Those at the end that no run reached share one row."""
    stages = {stage.milestone: stage for stage in forecast.stages} if forecast else {}
    head = ["", "milestone", "gates", "bake"]
    if forecast:
        head += ["reached", "after", "lasts", "requests", "on the new release"]
    reached = [m for m in plan.milestones if not forecast or _is_reached(stages.get(m.index))]
    rows = [
        [str(m.index), m.title, ", ".join(m.gates), _bake(m), *(_stage(stages.get(m.index)) if forecast else [])]
        for m in plan.milestones[: reached[-1].index + 1 if reached else 0]
    ]
    left = plan.milestones[len(rows) :]
    if left:
        title = left[0].title if len(left) == 1 else f"{left[0].title}, and {len(left) - 1} more"
        rows.append([str(left[0].index), title, "", "", *_stage(None)])
    return Facts("Who is exposed when", head, rows, numbers=frozenset(range(4, 9)))


def _is_reached(stage: StageForecast | None) -> bool:
    return stage is not None and stage.reached > 0


def _bake(milestone: Milestone) -> str:
    if not milestone.gates and not milestone.bake_min_s:
        return ""
    return f"{duration(milestone.bake_min_s)} to {duration(milestone.bake_max_s)}, {milestone.bake_then}"


def _stage(stage: StageForecast | None) -> list[str]:
    if stage is None or stage.reached == 0:
        return ["never", "", "", "", ""]
    after = duration(stage.entered_s) if stage.entered_s is not None else UNKNOWN
    exposed = count(stage.exposed) if stage.exposed else ""
    return [percent(stage.reached), after, duration(stage.seconds), count(stage.requests), exposed]


def detection(forecast: Forecast) -> Facts:
    """What this very rollout would catch."""
    head = ["metric", "regression", "component", "caught", "after", "requests exposed", "users exposed"]
    rows = []
    for found in forecast.detection:
        exposed = [count(n) if n is not None else UNKNOWN for n in (found.requests_exposed, found.users_exposed)]
        size = amount(found.metric, found.regression, signed=True)
        rows.append([found.metric, size, found.component, times_caught(found), duration(found.seconds), *exposed])
    return Facts(
        "What this rollout would catch", head, rows, names=frozenset({0, 2}), numbers=frozenset({1, 3, 4, 5, 6})
    )


def guardrails(subject: Subject) -> Facts:
    """What each guardrail says, those that fail first."""
    found = subject.guardrails
    rows = [[rule.policy, rule.level, _said(rule), rule.message or rule.reason] for rule in found]
    tones: list[Tone | None] = [
        "good" if rule.passed else "bad" if rule.blocks("plan") else "plain" if not rule.judged else "warn"
        for rule in found
    ]
    return Facts("Guardrails", ["rule", "level", "verdict", ""], rows, tones, frozenset({0}))


def _said(rule: Judgement) -> str:
    if rule.passed:
        return "passes"
    if not rule.judged:
        return "not judged"
    if rule.override is not None:
        return "fails, overridden"
    return "blocks" if rule.blocks("plan") else "fails"


def stations(forecast: Forecast) -> Facts:
    """How busy each instance is: the capacity head-room."""
    head = ["component", "artifact", "busy", "requests", "longest queue", "can't keep up"]
    rows = []
    tones: list[Tone | None] = []
    for station in sorted(forecast.stations, key=lambda one: (-one.utilization, one.component, one.artifact)):
        behind = f"since {duration(station.behind_since_s)}" if station.behind_since_s is not None else ""
        queue = count(station.longest_queue)
        busy = percent(station.utilization, 1)
        rows.append([station.component, station.artifact, busy, count(station.requests), queue, behind])
        tones.append("bad" if behind else "warn" if station.utilization > 0.8 else None)
    return Facts("Capacity", head, rows, tones, frozenset({0, 1}), frozenset({2, 3, 4}))


def moved_in_words(moved: Moved) -> str:
    """Whom a change of routes sends another way, and how many of the recorded users they are."""
    release = (
        f"from {moved.from_release} to {moved.to_release}"
        if moved.from_release != moved.to_release
        else f"and stay on {moved.to_release}"
    )
    who = f"{count(moved.users)} users ({percent(moved.share, 1)}), {count(moved.requests)} requests"
    return f"{who}: {moved.source} -> {moved.target}, {release}"


def comparison(subject: Subject) -> Facts:
    """Several forecasts side by side: outcome, time, exposure, and every metric's difference."""
    forecasts = [named.forecast for named in subject.forecasts]
    head = ["", *(named.name for named in subject.forecasts)]
    rows = [
        ["promoted", *(percent(f.outcome.promoted) for f in forecasts)],
        ["rolled back", *(percent(f.outcome.rolled_back) for f in forecasts)],
        ["held", *(percent(f.outcome.held) for f in forecasts)],
        ["lasts (median)", *(duration(f.duration_s.p50) for f in forecasts)],
        ["requests exposed", *(count(f.exposure.requests) for f in forecasts)],
        ["users exposed", *(count(f.exposure.users) for f in forecasts)],
        *_differences(forecasts),
        ["runs", *(count(f.runs) for f in forecasts)],
        ["seed", *(str(f.seed) for f in forecasts)],
    ]
    return Facts("Forecasts side by side", head, rows, numbers=frozenset(range(1, len(head))))


def _differences(forecasts: Sequence[Forecast]) -> Iterator[list[str]]:
    tables = [{(m.name, m.audience): m for m in f.metrics if m.rollout is not None} for f in forecasts]
    for name, audience in dict.fromkeys(key for table in tables for key in table):
        found = [table.get((name, audience)) for table in tables]
        yield [f"{name} of {audience}", *(_difference(metric) if metric else UNKNOWN for metric in found)]


def _difference(metric: MetricForecast) -> str:
    text = amount(metric.name, metric.difference, signed=True)
    return text if metric.interval is None else f"{text} ({between(metric.name, metric.interval, signed=True)})"


def reality(subject: Subject) -> Facts:
    """What really happened beside what was forecast, milestone by milestone."""
    assert subject.reality is not None
    stages = {stage.milestone: stage for stage in subject.forecast.stages} if subject.forecast else {}
    rows: list[list[str]] = []
    tones: list[Tone | None] = []
    for reached in subject.reality.reached:
        stage = stages.get(reached.milestone) if not reached.rollback else None
        within = stage.entered_interval_s if stage else None
        expected = duration(stage.entered_s) if stage and stage.entered_s is not None else UNKNOWN
        band = f"{duration(within[0])} to {duration(within[1])}" if within else UNKNOWN
        title = f"rollback, step {reached.milestone}" if reached.rollback else _title(subject.plan, reached.milestone)
        rows.append([str(reached.milestone), title, duration(reached.seconds), expected, band])
        inside = None if within is None else within[0] <= reached.seconds <= within[1]
        tones.append(None if inside is None else "good" if inside else "warn")
    head = ["", "milestone", "really after", "forecast", "95 % of runs"]
    return Facts("What really happened", head, rows, tones, numbers=frozenset({2, 3, 4}))


def _title(plan: Plan, index: int) -> str:
    return plan.milestones[index].title if 0 <= index < len(plan.milestones) else f"milestone {index}"


def evidence(subject: Subject) -> Facts:
    """What each gate really said when its stage was decided."""
    assert subject.reality is not None
    words: dict[str, tuple[str, Tone]] = {
        "advance": ("advance", "good"), "roll_back": ("roll back", "bad"), "hold": ("hold", "warn"),
    }  # fmt: skip
    rows = [
        [str(g.milestone), g.metric, words.get(g.verdict, (g.verdict, "plain"))[0], g.sentence]
        for g in subject.reality.gates
    ]
    tones: list[Tone | None] = [words.get(g.verdict, ("", "plain"))[1] for g in subject.reality.gates]
    return Facts("What the gates said", ["", "metric", "verdict", "evidence"], rows, tones, frozenset({1}))
