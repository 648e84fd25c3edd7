"""Texts of requests through a project's own redaction, before anything of them is written down.

The program is run once, for all of them: it reads JSON lines, `{"question": "…"}`, and answers each with one line,
the texts as they may be kept, or `null` where none may. A Python function (`FILE:NAME`) gets and gives the same as a
dictionary. It never sees keys or ids. Whatever goes wrong, nothing is kept; what the program said of it may hold
texts, so it is not repeated.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from rollcast.planner.declaration.models import Recording
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.base.programs import ProgramLate, wait_for, with_this_python

Texts = Mapping[str, str]
_MOST_BYTES = 1024 * 1024 * 1024  # of all that a redaction gives back
_HIDDEN = "ROLLCAST_"  # secrets of ours are none of its business
_FUNCTION = """
import importlib.util, json, sys
said, sys.stdout = sys.stdout, sys.stderr
spec = importlib.util.spec_from_file_location("redaction", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
for line in sys.stdin:
    said.write(json.dumps(getattr(module, sys.argv[2])(json.loads(line))) + "\\n")
"""


def redacted(texts: Sequence[Texts], recording: Recording, project: Path) -> list[dict[str, str]]:
    """What may be kept of each request's texts, of those that are declared. Raises StackError: nothing may be kept."""
    allowed = [{name: each[name] for name in recording.texts if name in each} for each in texts]
    lines = _run(_program(recording, project), allowed, recording, project)
    found = list(_read(lines, recording))
    if len(found) != len(allowed):
        raise _broken(recording, f"gave {len(found)} lines for {len(allowed)} requests")
    return found


def _program(recording: Recording, project: Path) -> list[str]:
    if not isinstance(recording.redact, str):
        return with_this_python(recording.redact)
    file, _, name = recording.redact.rpartition(":")
    path = (project / file).resolve()
    if not (path.is_relative_to(project.resolve()) and path.is_file()):
        raise StackError(f"'redact: {recording.redact}': there is no {file} in the project. Write 'FILE.py:FUNCTION'.")
    return [sys.executable, "-c", _FUNCTION, str(path), name]


def _run(program: list[str], texts: Sequence[Texts], recording: Recording, project: Path) -> Iterator[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_HIDDEN)}
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as said:
        given.write("".join(f"{json.dumps(each)}\n" for each in texts).encode())
        given.seek(0)
        try:
            process = subprocess.Popen(
                program, cwd=project, env={**environment, "PYTHONIOENCODING": "utf-8"}, stdin=given, stdout=said,
                stderr=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise _broken(recording, f"can't be run ({error.strerror})") from None
        try:
            wait_for(process, recording.timeout, lambda: False)
        except ProgramLate:
            raise _broken(recording, f"took more than {recording.timeout:g} s") from None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.returncode:
            raise _broken(recording, f"ended with {process.returncode}")
        said.seek(0)
        yield from said.read(_MOST_BYTES).decode("utf-8", "replace").splitlines()


def _read(lines: Iterator[str], recording: Recording) -> Iterator[dict[str, str]]:
    for number, line in enumerate(lines, 1):
        try:
            found = json.loads(line)
        except ValueError:
            raise _broken(recording, f"gave no JSON in line {number}") from None
        if found is None:
            yield {}
        elif isinstance(found, dict) and all(name in recording.texts for name in found) and _are_texts(found):
            yield found
        else:
            raise _broken(recording, f"gave something else than declared texts in line {number}")


def _are_texts(found: Mapping[str, object]) -> bool:
    return all(isinstance(text, str) for text in found.values())


def _broken(recording: Recording, why: str) -> StackError:
    named = recording.redact if isinstance(recording.redact, str) else " ".join(recording.redact)
    return StackError(f"The redaction '{named}' {why}, so no text is recorded. Correct it, or record without --texts.")


__all__ = ["redacted"]
