"""One try to have a program or a webhook confirm a milestone: a question as JSON, an answer as JSON, within its time.

A question goes to the declared address and no other: no redirect is followed. What is no answer (a timeout, another
status than 2xx, a program that fails, JSON of another form) says neither yes nor no, and is tried again by the caller.
No error quotes an address, which may be a secret.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from rollcast.planner.declaration.confirmations import Confirmation
from rollcast.planner.plan.models import Milestone
from rollcast.planner.releases.releases import digest_of
from rollcast.stacks.base.programs import ProgramCancelled, ProgramLate, last_lines, wait_for, with_this_python
from rollcast.stacks.base.strict_json import strict_json
from rollcast.stacks.ledger.rollouts import RolloutContext
from rollcast.stacks.notifying.posting import Refusal, SignedPost, deliver

FORMAT_VERSION = "1.0"
_MOST_BYTES = 64 * 1024
_MOST_LETTERS = 2000  # of a reason
_LAST_LINES = 3


@dataclass(frozen=True)
class Heard:
    """What came of a try: yes, no, or, with None, nothing that decides and why."""

    confirmed: bool | None
    reason: str = ""


@dataclass(frozen=True)
class Question:
    """What a program or a webhook gets. `id` is one for each milestone of a rollout, however often it is put."""

    id: str
    body: Mapping[str, Any]

    @property
    def text(self) -> bytes:
        return json.dumps(self.body, sort_keys=True, allow_nan=False).encode()


def question_of(
    context: RolloutContext, milestone: Milestone, which: int, verdict: Mapping[str, Any] | None = None
) -> Question:
    """The question before a milestone; `verdict`: of the gates before it."""
    plan = context.plan
    ident = digest_of([context.id, context.plan_digest, milestone.index, which]).removeprefix("sha256:")[:32]
    said = {name: verdict.get(name) for name in ("milestone", "verdict", "sentence")} if verdict else None
    about = {
        "format_version": FORMAT_VERSION,
        "id": ident,
        "pipeline": plan.pipeline,
        "environment": plan.environment,
        "rollout": context.id,
        "plan_digest": context.plan_digest,
        "from_release": plan.from_release,
        "to_release": plan.to_release,
        "milestone": {
            "index": milestone.index, "of": len(plan.milestones), "title": milestone.title,
            "audience": milestone.audience, "percent": milestone.percent,
        },
        "gates": said,
    }  # fmt: skip
    return Question(ident, about)


def ask(declared: Confirmation, question: Question, root: Path, stopped: Callable[[], bool]) -> Heard:
    """Asks once, a program in `root`; never longer than it may take."""
    if declared.command:
        return _ask_program(declared, question, root, stopped)
    assert declared.url is not None
    sent = SignedPost(declared.url, declared.secret, question.id, question.text, "application/json", declared.timeout)
    found = deliver(sent, _read, _MOST_BYTES)
    return Heard(None, found.why) if isinstance(found, Refusal) else found


def _read(answer: httpx.Response) -> Heard:
    return _understood(answer.read(), f"it answered {answer.status_code}")


def _understood(text: bytes, what: str) -> Heard:
    """An answer, read strictly: what is not exactly yes or no is neither."""
    try:
        found = strict_json(text)
    except ValueError as error:
        return Heard(None, f"{what} with no JSON ({error})")
    confirmed = found.get("confirmed") if isinstance(found, dict) else None
    if not isinstance(confirmed, bool):
        return Heard(None, f'{what} without "confirmed": true or false')
    reason = found.get("reason", "")
    return Heard(confirmed, reason[:_MOST_LETTERS] if isinstance(reason, str) else "")


def _ask_program(declared: Confirmation, question: Question, root: Path, stopped: Callable[[], bool]) -> Heard:
    with tempfile.TemporaryFile() as question_in, tempfile.TemporaryFile() as said, _errors() as wrong:
        question_in.write(question.text)
        question_in.seek(0)
        try:
            process = subprocess.Popen(
                with_this_python(declared.command), cwd=root, stdin=question_in, stdout=said, stderr=wrong,
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            return Heard(None, f"it can't be run ({error.strerror})")
        try:
            wait_for(process, declared.timeout, stopped)
        except ProgramCancelled:
            return Heard(None, "it was stopped with the process that asks")
        except ProgramLate:
            return Heard(None, f"it took more than {declared.timeout:g} s")
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.returncode != 0:
            return Heard(None, f"it ended with {process.returncode}: {last_lines(wrong, _LAST_LINES)[:_MOST_LETTERS]}")
        said.seek(0)
        return _understood(said.read(_MOST_BYTES), "it ended")


def _errors() -> Any:
    return tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")


__all__ = ["Heard", "Question", "ask", "question_of"]
