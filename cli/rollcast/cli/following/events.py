"""What a controller says: one typed stream, as lines for people or as JSON objects.

What a rollout itself emits is passed on with the project, the environment and the commit beside it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from rollcast.cli import terminal
from rollcast.cli.output.rollout import emit_json, sentence
from rollcast.stacks.base.events import Event, event_of


class Listening(Event):
    """The controller answers over HTTP here."""

    event: Literal["listening"] = "listening"
    address: str


class Waiting(Event):
    """Another process follows the source; this one waits until that one is gone."""

    event: Literal["waiting"] = "waiting"
    source: str
    holder: str


class SourceFollowed(Event):
    """This process acts on the source from now on, or stops doing so (`over`, why)."""

    event: Literal["following"] = "following"
    source: str
    over: str = ""


class CommitSeen(Event):
    """The source declares something that it did not before. `before`: what a forced push took out of its history."""

    event: Literal["commit"] = "commit"
    commit: str
    projects: Sequence[str]
    before: str = ""


class Unreachable(Event):
    """The source can't be read; the last known commit goes on."""

    event: Literal["unreachable"] = "unreachable"
    source: str
    error: str
    commit: str = ""


class ContentRefused(Event):
    """What a commit declares can't be used; the project stays as it was declared before."""

    event: Literal["refused"] = "refused"
    project: str
    commit: str
    error: str


class NotDeclared(Event):
    """The source does not declare a project or an environment any more; it stays as it is."""

    event: Literal["left"] = "left"
    project: str
    environment: str = ""


class EnvironmentLooked(Event):
    """An environment was looked at: what `apply --once` made of it."""

    event: Literal["looked"] = "looked"
    project: str
    environment: str
    commit: str
    state: str
    exit: int
    outcome: str | None = None
    reason: str = ""


class Remarked(Event):
    """Something that hinders no rollout."""

    event: Literal["noted"] = "noted"
    text: str


Say = Callable[[Event], None]


def passed_on(body: Mapping[str, Any], project: str, environment: str, commit: str) -> Event:
    """An event of a rollout, with where it happened."""
    inner = event_of(str(body.get("event", "")), {k: v for k, v in body.items() if k != "event"})
    return inner.model_copy(update={"project": project, "environment": environment, "commit": commit})


def say_json(event: Event) -> None:
    """One object a line, with the time."""
    emit_json(event.model_copy(update={"time_s": time.time()}))


def say_text(event: Event) -> None:
    """A line for people; nothing for what needs no words."""
    text = _words(event)
    if text:
        terminal.out(terminal.clean(text))
        sys.stdout.flush()


def _words(event: Event) -> str:
    match event:
        case Listening():
            return f"Controller: {event.address}  (Ctrl-C ends it)"
        case Waiting():
            return f"Waiting: {event.holder} follows {event.source}."
        case SourceFollowed():
            return f"{event.over} Nothing is begun any more." if event.over else f"Following {event.source}."
        case CommitSeen():
            forced = f" The branch was forced away from {event.before[:12]}." if event.before else ""
            what = f"Commit {event.commit[:12]}" if event.commit else "Declared"
            return f"{what}: {len(event.projects)} project(s).{forced}"
        case Unreachable():
            on = f" Going on with commit {event.commit[:12]}." if event.commit else ""
            return f"{event.error}{on}"
        case ContentRefused():
            at = f" of commit {event.commit[:12]}" if event.commit else ""
            return f"{event.project}: what is declared{at} can't be used, and nothing was changed. {event.error}"
        case NotDeclared():
            where = f", environment {event.environment}," if event.environment else ""
            return f"{event.project}{where} is not declared any more and stays as it is."
        case EnvironmentLooked():
            return f"{event.project}, {event.environment}: {event.state.replace('_', ' ')}. {event.reason}"
        case Remarked():
            return event.text
        case _:
            where = f"{getattr(event, 'project', '')}, {getattr(event, 'environment', '')}: "
            said = sentence(event).strip()
            return f"{where}{said}" if said else ""


__all__ = [
    "CommitSeen", "ContentRefused", "EnvironmentLooked", "Listening", "NotDeclared", "Remarked", "Say",
    "SourceFollowed", "Unreachable", "Waiting", "passed_on", "say_json", "say_text",
]  # fmt: skip
