"""The HTTP service. Run: python -m dataplane.service [--definition flags.json] [--instances DIR] [--port 8787] …

`POST /complete`: JSON with `key`, `session`, `language`, `prefix`, `suffix`, `workspace` (lines of other open files)
and `attributes`; completions whose tests are known also have `tests`. No code is recorded, only what was measured.
Which release serves, what is in flight and what is recorded is the kit's, `rollcast_dataplane`; here is what it serves.
"""

from __future__ import annotations

import asyncio
import difflib
from functools import partial
from typing import Any

import uvicorn

from dataplane import monitor, pipeline
from dataplane.pipeline import Cursor
from dataplane.sandbox import Sandbox, Tests
from demos.answering import application, parser_of, plane_of
from demos.errors import BadRequest
from demos.instances import Instances
from rollcast_dataplane import DataPlane

USD_PER_1K_INPUT, USD_PER_1K_OUTPUT = 0.0004, 0.0008
SESSION_S = 10.0  # a burst of completions keeps the release that it began with
MOST_LETTERS, MOST_LINES = 20_000, 200


async def complete(plane: DataPlane, instances: Instances, sandbox: Sandbox, body: dict[str, Any]) -> dict[str, Any]:
    """Completes with the release of this request, and says in its outcome what came of it."""
    key, session, attributes = body.get("key"), body.get("session"), body.get("attributes") or {}
    cursor, tests = cursor_of(body), tests_of(body)
    if key is None or not isinstance(attributes, dict):
        raise BadRequest("'key' is needed, and 'attributes' is an object. Correct the request.")
    attributes = {**attributes, "language": cursor.language}
    release = plane.resolve(user=key, session=session, attributes=attributes)
    found = pipeline.complete(instances.parts_of(release, pipeline.SLOTS), cursor)
    cost = found.input_tokens * USD_PER_1K_INPUT + found.output_tokens * USD_PER_1K_OUTPUT
    plane.outcome(input_tokens=found.input_tokens, output_tokens=found.output_tokens, cost_usd=round(cost / 1000, 9))
    judged = await asyncio.to_thread(monitor.judged, found, cursor, attributes.get("repository"), tests, sandbox)
    plane.outcome(**judged)
    served = {"request": plane.current().id, "release": release.id, "components": release.artifacts}
    if found.withheld:
        return {**served, "withheld": True}
    answer = {**served, "completion": found.text}
    if "failed" in judged:
        answer["tests_passed"] = not judged["failed"]
    if release.flag("inline_diff"):
        answer["diff"] = inline_diff(cursor, found.text)
    return answer


def cursor_of(body: dict[str, Any]) -> Cursor:
    """Where the developer stands. Raises BadRequest."""
    given = [body.get("language"), body.get("prefix"), body.get("suffix", "")]
    workspace = body.get("workspace") or []
    if not all(isinstance(text, str) and len(text) <= MOST_LETTERS for text in (*given, *workspace)):
        raise BadRequest(
            f"'language', 'prefix', 'suffix' and each line of 'workspace' are texts of at most {MOST_LETTERS} letters. "
            "Correct the request."
        )
    return Cursor(*given, workspace[-MOST_LINES:])


def tests_of(body: dict[str, Any]) -> Tests | None:
    """The tests of a completion whose tests are known. Raises BadRequest."""
    given = body.get("tests")
    if given is None:
        return None
    try:
        name, cases = given["name"], [(list(arguments), wanted) for arguments, wanted in given["cases"]]
        if not name.isidentifier():
            raise ValueError(f"{name!r} is no name")
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise BadRequest(f"'tests' can't be used ({error}). Send 'name' and 'cases'.") from error
    return Tests(name, cases)


def inline_diff(cursor: Cursor, text: str) -> str:
    """The change as editors show it: a unified diff of the file."""
    before, after = cursor.prefix + cursor.suffix, cursor.prefix + text + cursor.suffix
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), "before", "after", lineterm="")
    return "\n".join(lines)


def main() -> None:
    options = parser_of(__doc__).parse_args()
    instances, sandbox = Instances(options.instances, pipeline.LOADERS), Sandbox()
    plane = plane_of("coding-assistant", options, instances.get, session_s=SESSION_S)
    try:
        answer = partial(complete, plane, instances, sandbox)
        served = application(plane, "/complete", answer, lambda: {"sandbox": sandbox.confined()})
        uvicorn.run(served, host="127.0.0.1", port=options.port, log_level="warning", timeout_keep_alive=120)
    finally:
        sandbox.stop()


if __name__ == "__main__":
    main()
