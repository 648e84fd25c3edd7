"""The HTTP service. Run: python -m dataplane.service [--definition flags.json] [--instances DIR] [--port 8787] …

`POST /chat`: JSON with `key`, `session`, `message`, `turns` (what the customer said before in this conversation) and
`attributes`; questions whose answer is known also have `wanted`. No words are recorded, only what was measured of them.
Which release serves, what is in flight and what is recorded is the kit's, `rollcast_dataplane`; here is what it serves.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import uvicorn
from threadpoolctl import threadpool_limits

from dataplane import pipeline
from dataplane.monitor import Monitor
from dataplane.pipeline import Turn
from demos.answering import application, parser_of, plane_of
from demos.errors import BadRequest
from demos.instances import Instances
from rollcast_dataplane import DataPlane

USD_PER_1K_INPUT, USD_PER_1K_OUTPUT = 0.0009, 0.0009
SESSION_S = 10.0  # a conversation keeps the release that it began with
MOST_LETTERS, MOST_TURNS = 2_000, 20


def chat(plane: DataPlane, instances: Instances, monitor: Monitor, body: dict[str, Any]) -> dict[str, Any]:
    """Answers a turn with the release of this request, and says in its outcome what came of it."""
    key, session, attributes = body.get("key"), body.get("session"), body.get("attributes") or {}
    turn, wanted = turn_of(body), wanted_of(body)
    if key is None or not isinstance(attributes, dict):
        raise BadRequest("'key' is needed, and 'attributes' is an object. Correct the request.")
    release = plane.resolve(user=key, session=session, attributes=attributes)
    found = pipeline.answer(instances.parts_of(release, pipeline.SLOTS), turn, release.flag)
    cost = found.input_tokens * USD_PER_1K_INPUT + found.output_tokens * USD_PER_1K_OUTPUT
    plane.outcome(input_tokens=found.input_tokens, output_tokens=found.output_tokens, cost_usd=round(cost / 1000, 9))
    plane.outcome(**monitor.judged(found, wanted))
    served = {"request": plane.current().id, "release": release.id, "components": release.artifacts}
    cited = list(dict.fromkeys(claim.citation for claim in found.claims))
    return {**served, "answer": found.text, "cites": cited, "refused": found.refused, "hand_over": found.handed_over}


def turn_of(body: dict[str, Any]) -> Turn:
    """The question and the turns before it. Raises BadRequest."""
    message, turns = body.get("message"), body.get("turns") or []
    if not isinstance(turns, list) or not all(
        isinstance(text, str) and len(text) <= MOST_LETTERS for text in (message, *turns)
    ):
        raise BadRequest(
            f"'message' and each of 'turns' are texts of at most {MOST_LETTERS} letters. Correct the request."
        )
    return Turn(str(message), tuple(turns[-MOST_TURNS:]))


def wanted_of(body: dict[str, Any]) -> dict[str, Any] | None:
    """What is known of the answer: `refuse`, or a `fact` that it has to name. Raises BadRequest."""
    wanted = body.get("wanted")
    if wanted is not None and not (
        isinstance(wanted, dict) and ("refuse" in wanted or isinstance(wanted.get("fact"), str))
    ):
        raise BadRequest("'wanted' has 'refuse', or a 'fact' that is a text. Correct it or leave it out.")
    return wanted


def main() -> None:
    options = parser_of(__doc__).parse_args()
    instances = Instances(options.instances, pipeline.LOADERS)
    plane = plane_of("customer-support", options, instances.get, session_s=SESSION_S)
    with threadpool_limits(1):  # one question is too small to share
        served = application(plane, "/chat", partial(chat, plane, instances, Monitor()))
        uvicorn.run(served, host="127.0.0.1", port=options.port, log_level="warning", timeout_keep_alive=120)


if __name__ == "__main__":
    main()
