"""What the live page shows, read again each time: what serves, the rollout under way, those that are past."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rollcast.cli.output.status import not_judged
from rollcast.cli.reports import facts, pictures
from rollcast.cli.reports.amounts import UNKNOWN, count, duration, percent
from rollcast.cli.reports.content import page_of, table_of
from rollcast.cli.reports.figures import chart_figure
from rollcast.cli.reports.page import Block, Cell, Page, Row, Section, Table, Tile, Tone, Words
from rollcast.cli.reports.subject import Named, Reality, Subject, reality_of
from rollcast.planner.plan.models import Plan
from rollcast.simulator.forecast.models import Forecast
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.ledger.payloads import StartedBody
from rollcast.stacks.ledger.records import Record
from rollcast.stacks.ledger.rollouts import FINISHED, STARTED, ledger_of, load
from rollcast.stacks.project import Project
from rollcast.stacks.rollout.status import status

MOST_PAST = 100
MOST_NOTES = 6
MOST_DIFFERING = 3
_ENDS: dict[str, tuple[str, Tone]] = {
    "promoted": ("Promoted", "good"),
    "rolled_back": ("Rolled back", "bad"),
    "nothing_to_do": ("Nothing to do", "plain"),
}


class LivePage:
    """Reads one project. Forecasts are matched to rollouts by the digest of their plan. Safe between threads."""

    def __init__(self, project: Project, forecasts: Sequence[Named]) -> None:
        self.project, self._forecasts = project, forecasts
        self._ledger = ledger_of(project)
        self._records: list[Record] = []
        self._plans: dict[str, Plan] = {}
        self._lock = threading.Lock()

    def page(self) -> Page:
        """The page as things are now. An error of the world is shown on the page, not raised."""
        with self._lock:
            try:
                self._catch_up()
                report = status(self.project)
            except StackError as error:
                return Page(self._title, "", "bad", "The state can't be read", [str(error)], [])
            return self._page(report)

    def past(self, rollout: str) -> Page | None:
        """The report of one rollout; None when the ledger does not know it."""
        with self._lock:
            self._catch_up()
            subject = self._subject(rollout)
        return page_of(subject) if subject else None

    @property
    def _title(self) -> str:
        return f"{self.project.declaration.pipeline} in {self.project.environment_name}"

    def _catch_up(self) -> None:
        """Takes the records that were added: the ledger only grows."""
        self._records += self._ledger.records(self._records[-1].seq if self._records else -1)

    def _subject(self, rollout: str) -> Subject | None:
        started = next((r for r in self._records if r.kind == STARTED and r.rollout == rollout), None)
        reality = reality_of(self._records, rollout)
        if started is None or reality is None:
            return None
        plan = self._plans.setdefault(rollout, load(self._ledger, started).plan)
        return Subject(plan, self._of(plan, started), reality)

    def _of(self, plan: Plan, started: Record) -> list[Named]:
        """Forecasts of a plan: the one that apply kept, and those that the command was given."""
        kept = started.read(StartedBody).forecast
        own = [Named("forecast", Forecast.from_json(self._ledger.get(kept)))] if kept else []
        return [*own, *(named for named in self._forecasts if named.forecast.plan_digest == plan.digest)]

    def _page(self, report: Mapping[str, Any]) -> Page:
        rollout = report["rollout"]
        subject = self._subject(rollout["id"]) if rollout else None
        tone, verdict = _verdict(rollout)
        notes = [*(str(note) for note in report["notes"]), *not_judged(report["measured"])]
        if notes and tone == "good":
            tone = "warn"
        more = [f"… and {len(notes) - MOST_NOTES} more: 'rollcast status'"] if len(notes) > MOST_NOTES else []
        reasons = [*_position_of(rollout), *notes[:MOST_NOTES], *more]
        sections = [
            Section("serving", "What serves whom", list(_serving(report))),
            Section("rollout", "The rollout", list(_rollout(rollout, subject))),
            Section("past", "Rollouts", [self._past()], "Newest first; each leads to its report."),
        ]
        return Page(
            title=self._title,
            subtitle="Live view",
            tone=tone,
            verdict=verdict,
            reasons=reasons,
            tiles=list(_tiles(rollout, subject)),
            sections=[section for section in sections if section.blocks],
            label="Now",
            foot="Read from the ledger and the data plane. Times are UTC.",
        )

    def _past(self) -> Table:
        rows = []
        started = [record for record in self._records if record.kind == STARTED]
        ended = {record.rollout: record for record in self._records if record.kind == FINISHED}
        for record in reversed(started[-MOST_PAST:]):
            end = ended.get(record.rollout)
            word, tone = _ENDS.get(str(end.body["outcome"]), ("Ended", "plain")) if end else ("Under way", "plain")
            to = ", ".join(str(name) for name in record.body["to_release"].values())
            lasted = duration(end.time_s - record.time_s) if end else UNKNOWN
            reason = str(end.body["reason"]) if end else ""
            link = f"/rollouts/{record.rollout}"
            cells = [Cell(record.rollout, code=True, link=link), Cell(_when(record.time_s)), Cell(word, tone)]
            rows.append(Row([*cells, Cell(lasted, end=True), Cell(to, code=True), Cell(reason)]))
        left = len(started) - len(rows)
        note = f"{left:,} older ones: 'rollcast history'." if left > 0 else ""
        return Table("Rollouts", ["rollout", "began", "ended", "lasted", "to", "why"], rows, note=note)


def _when(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _verdict(rollout: Mapping[str, Any] | None) -> tuple[Tone, str]:
    if rollout is None:
        return "plain", "No rollout yet"
    if rollout["outcome"] is not None:
        word, tone = _ENDS.get(rollout["outcome"], ("Ended", "plain"))
        return tone, f"{word}: no rollout is under way"
    if rollout["held"]:
        return "warn", f"Held: {rollout['held']}"
    if "rollback" in rollout["stand"]:
        return "bad", f"Rolling back: {rollout['stand']}"
    return "good", f"Under way: {rollout['stand']}"


def _position_of(rollout: Mapping[str, Any] | None) -> Iterator[str]:
    if rollout is None:
        return
    if rollout["outcome"] is not None:
        yield f"Rollout {rollout['id']}: {rollout['reason']}"
        return
    yield f"Rollout {rollout['id']}, carried on by {rollout['holder'] or 'nobody at the moment'}."


def _tiles(rollout: Mapping[str, Any] | None, subject: Subject | None) -> Iterator[Tile]:
    if rollout is None or subject is None or subject.reality is None:
        return
    real: Reality = subject.reality
    reached = max((r.milestone for r in real.reached if not r.rollback), default=-1)
    yield Tile("milestones reached", f"{reached + 1} of {len(subject.plan.milestones)}")
    if real.seconds is not None:
        yield Tile("lasted", duration(real.seconds))
    if subject.forecast is not None:
        yield Tile("forecast", percent(subject.forecast.outcome.promoted), "promoted")
        lasts = subject.forecast.duration_s
        yield Tile("forecast lasts", duration(lasts.p50), f"95 %: {duration(lasts.p95)}")


def _serving(report: Mapping[str, Any]) -> Iterator[Block]:
    measured = {share["release"]: share for share in report["measured"]["shares"]}
    differing = _differing(report["releases"])
    rows = []
    for share in report["serving"]:
        found = measured.get(share["release"])
        part = percent(found["measured"], 2) if found and found["measured"] is not None else UNKNOWN
        requests = count(found["requests"]) if found else UNKNOWN
        cells = [Cell(share["line"]), Cell(share["audience"]), Cell(share["release"], code=True)]
        numbers = [Cell(text, end=True) for text in (f"{share['percent']:g} %", part, requests)]
        own = [Cell(differing.get(share["release"], ""))] if differing else []
        rows.append(Row([*cells, *own, *numbers]))
    if rows:
        own_head = ["what differs"] if differing else []
        head = ["channel", "audience", "release", *own_head, "desired", "measured", "requests since the shift"]
        yield Table("What serves whom", head, rows)
    releases = [
        Row([Cell(name, code=True), Cell(", ".join(f"{slot} {reference}" for slot, reference in slots.items()))])
        for name, slots in report["releases"].items()
    ]
    if releases:
        yield Table("What is in each release", ["release", "components"], releases, folded=True)


def _differing(releases: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """What each of several releases has that another of them has not; nothing where there is only one."""
    slots = dict.fromkeys(slot for parts in releases.values() for slot in parts)
    moving = [slot for slot in slots if len({parts.get(slot) for parts in releases.values()}) > 1]
    said = {
        name: [f"{slot} {parts.get(slot, 'none')}" for slot in moving[:MOST_DIFFERING]]
        for name, parts in releases.items()
    }
    left = len(moving) - MOST_DIFFERING
    more = [f"and {left} more"] if left > 0 else []
    return {name: ", ".join([*parts, *more]) for name, parts in said.items()} if moving else {}


def _rollout(rollout: Mapping[str, Any] | None, subject: Subject | None) -> Iterator[Block]:
    if rollout is None or subject is None or subject.reality is None:
        return
    chart = pictures.progress(subject.plan, subject.forecast, subject.reality)
    if chart is not None:
        yield chart_figure(chart, "real-progress")
    if subject.forecast is None:
        yield Words(["No forecast of this plan was given: start with --forecast FILE to see its band."])
    if rollout["outcome"] is None:
        yield from _evidence(rollout)
    yield table_of(facts.reality(subject))
    evidence = facts.evidence(subject)
    if evidence.rows:
        yield table_of(evidence)


def _evidence(rollout: Mapping[str, Any]) -> Iterator[Block]:
    """What the gates and guards of the stage under way said at the last look."""
    tones: dict[str, Tone] = {"advance": "good", "roll_back": "bad", "hold": "warn"}
    rows = [
        Row([Cell(g["metric"], code=True), Cell(g["verdict"].replace("_", " "), tones.get(g["verdict"], "plain")),
             Cell(g["sentence"])])
        for g in rollout["gates"]
    ]  # fmt: skip
    rows += [
        Row([Cell(g["name"], code=True), Cell("ok" if g["ok"] else "not ok", "good" if g["ok"] else "warn"),
             Cell(g["sentence"])])
        for g in rollout["guards"]
    ]  # fmt: skip
    if rows:
        yield Table("The stage under way, at the last look", ["gate or guard", "says", "evidence"], rows)
