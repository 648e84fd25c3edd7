"""The live view of a rollout on a terminal: stages, the split desired and measured, gates with evidence, time left.

It shows the same events as the plain lines do and decides nothing. What scrolls by above it are the milestones reached;
the table below is drawn again with every event.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rollcast.cli.output.rollout import sentence
from rollcast.cli.output.status import not_judged
from rollcast.cli.terminal import clean
from rollcast.planner.plan.models import Plan
from rollcast.simulator.forecast.models import Forecast
from rollcast.stacks.base.events import Event, Looked, Progressed, Reached, Working

_AROUND = 4  # milestones shown before and after the one under way
_VERDICTS = {"advance": "green", "roll_back": "red", "hold": "yellow", "continue": "cyan"}


class LiveView:
    """A context that gives the function which takes events."""

    def __init__(self, plan: Plan, forecast: Forecast | None, console: Console | None = None) -> None:
        self._plan = plan
        self._console = console or Console()
        self._began = time.monotonic()
        self._reached: dict[int, float] = {}
        self._working: int | None = None
        self._look: Looked | None = None
        self._note = ""
        self._expected = {stage.milestone: stage.entered_s for stage in forecast.stages} if forecast else {}
        self._lasts_s = forecast.duration_s.p50 if forecast else None
        self._live = Live(console=self._console, refresh_per_second=4, transient=True, get_renderable=self.render)

    def __enter__(self) -> Any:
        self._live.__enter__()
        return self.emit

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def emit(self, event: Event) -> None:
        """One event of the rollout."""
        match event:
            case Progressed():
                self._note = clean(event.text)
            case Looked():
                self._look = event
            case Working():
                self._working, self._note = event.milestone, ""
            case Reached(rollback=False):
                self._reached[event.milestone] = time.monotonic() - self._began
                self._working, self._look = None, None
        if not isinstance(event, Progressed | Looked | Working) and (text := sentence(event)):
            self._console.print(Text.from_ansi(text))

    def render(self) -> RenderableType:
        """The view as it is now."""
        parts: list[RenderableType] = [self._milestones()]
        if self._look is not None:
            parts.append(self._gates(self._look))
            parts.append(Text(self._split(self._look)))
        parts.append(Text(" · ".join(filter(None, [self._time(), self._note])), style="dim"))
        return Group(*parts)

    def _milestones(self) -> Table:
        table = Table(box=None, show_header=False, padding=(0, 1))
        last = max(self._reached, default=-1)
        for milestone in self._plan.milestones:
            index = milestone.index
            if not last - _AROUND <= index <= last + _AROUND:
                continue
            if index in self._reached:
                mark, style = "●", "green" if index < last else "bold green"
                when = _clock(self._reached[index])
            else:
                mark, style = ("◐", "cyan") if index == self._working else ("○", "dim")
                expected = self._expected.get(index)
                when = f"~{_clock(expected)}" if expected is not None else ""
            table.add_row(Text(mark, style), Text(str(index)), Text(clean(milestone.title), style), Text(when, "dim"))
        return table

    @staticmethod
    def _gates(look: Looked) -> Table:
        table = Table(box=None, show_header=False, padding=(0, 1))
        for gate in look.gates:
            verdict = gate["verdict"]
            shown = Text(verdict.replace("_", " "), _VERDICTS.get(verdict, ""))
            table.add_row(Text("gate", "dim"), shown, Text(clean(gate["sentence"])))
        for guard in look.guards:
            if not guard["ok"]:
                table.add_row(Text("guard", "dim"), Text("not yet", "yellow"), Text(clean(guard["sentence"])))
        return table

    @staticmethod
    def _split(look: Looked) -> str:
        seen = look.tally["stage"]
        total = sum(seen.values())
        parts = []
        for release, desired in look.asked.items():
            measured = f"{seen.get(release, 0) / total * 100:.2f} %" if total else "nothing yet"
            parts.append(f"  {clean(release)}: {desired * 100:g} % desired, {measured} measured of {total} requests")
        parts += [f"  {text}" for text in not_judged(look.tally)]
        return "\n".join([*parts, f"  mixed configurations: {look.tally['mixed']}"])

    def _time(self) -> str:
        passed = time.monotonic() - self._began
        if self._lasts_s is None:
            return f"  {_clock(passed)} since it began"
        left = max(0.0, self._lasts_s - passed)
        return f"  {_clock(passed)} since it began, about {_clock(left)} left by the forecast"


def _clock(seconds: float | None) -> str:
    whole = round(seconds or 0.0)
    return (
        f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}" if whole >= 3600 else f"{whole // 60}:{whole % 60:02}"
    )
