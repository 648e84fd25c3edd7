"""What a rollout emits while it runs: plain lines, or one JSON object a line."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any

from rollcast.cli import terminal
from rollcast.cli.terminal import clean, paint
from rollcast.stacks.base.events import (
    Drifted,
    Evaluated,
    Event,
    Failed,
    HeldBack,
    Looked,
    ModelChanged,
    Ordered,
    Progressed,
    Reached,
    Restored,
    RollbackBegun,
    Started,
    Working,
)


def emit_json(event: Event) -> None:
    """One JSON object a line on standard output."""
    terminal.out_json(finite(event.to_json()), indent=None)
    sys.stdout.flush()


def finite(value: Any) -> Any:
    """JSON without numbers that JSON does not have: an unbounded interval ends in null."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class Lines:
    """Plain lines on standard output: every milestone, every change of a verdict, nothing twice."""

    def __init__(self) -> None:
        self._said: object = None

    def emit(self, event: Event) -> None:
        text = sentence(event)
        said = _matter(event) or text
        if text and said != self._said:
            self._said = said
            terminal.out(text)
            sys.stdout.flush()


def _matter(event: Event) -> object:
    """What a look says once its figures are left out; None for other events."""
    if not isinstance(event, Looked):
        return None
    open_ = [gate["metric"] for gate in event.gates if gate["verdict"] == "continue"]
    return event.milestone, event.verdict, open_, [guard["name"] for guard in event.guards if not guard["ok"]]


def sentence(event: Event) -> str:
    """An event in one line; empty for one that needs no words."""
    match event:
        case Started():
            hotfix = f", a hotfix: {clean(event.hotfix)}" if event.hotfix else ""
            return f"{event.rollout}: {event.milestones} milestones{hotfix}"
        case Working() | Reached():
            way = "back, " if event.rollback else ""
            head = paint("reached", "green") if isinstance(event, Reached) else "working"
            return f"  {head}  {way}milestone {event.milestone}: {clean(event.title)}"
        case Looked():
            word = {"advance": "green", "roll_back": "red", "hold": "yellow"}.get(event.verdict)
            return f"    {paint(event.verdict.replace('_', ' '), word)}: {_shortened(event)}{_share(event)}"
        case Evaluated():
            found = ", ".join(f"{name} {value:.3g}" for name, value in sorted(event.metrics.items()))
            return f"    {clean(event.operation)}: {found or 'nothing reported'}"
        case Progressed():
            return paint(f"    {event.text}", dim=True)
        case RollbackBegun():
            return paint(f"  rolling back: {event.reason}", "red")
        case HeldBack():
            return paint(f"  held: {event.reason}", "yellow")
        case Drifted():
            return paint(f"  drift: {'; '.join(event.moved)}", "yellow")
        case ModelChanged():
            return paint(f"  model changed: {clean(event.text)}", "yellow")
        case Restored():
            return paint("  put back: what serves is what the last rollout left", "green")
        case Failed():
            return paint(f"  failed: {event.error}", "red")
        case Ordered():
            return f"  order: {clean(event.order)} {clean(event.reason)}".rstrip()
        case _:
            return ""


def _shortened(event: Looked) -> str:
    """The sentence of a look, without the figures that change with each request while nothing is decided."""
    if event.verdict == "continue":
        waits = [gate["metric"] for gate in event.gates if gate["verdict"] == "continue"]
        few = [guard["name"] for guard in event.guards if not guard["ok"]]
        return f"waiting for evidence ({', '.join(waits or few)})"
    return clean(event.sentence)


def _share(event: Looked) -> str:
    """The share that is desired and the one that telemetry measured; said when something is decided."""
    seen = event.tally["stage"]
    total = sum(seen.values())
    if event.verdict == "continue" or not total:
        return ""
    parts = [f"{desired * 100:g} % desired, {seen.get(release, 0) / total * 100:.2f} % measured"
             for release, desired in event.asked.items()]  # fmt: skip
    return f"; {'; '.join(parts)} of {total} requests" if parts else ""
