"""The HTTP service. Run: python -m dataplane.service --definition flags.json --instances DIR --telemetry DIR.

Which release serves, what is in flight and what is recorded is the kit's, `rollcast_dataplane`; here is what it serves.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from threadpoolctl import threadpool_limits

from dataplane import pipeline
from dataplane.errors import BadRequest
from dataplane.instances import Instances
from rollcast_dataplane import DataPlane, ServingRelease
from rollcast_dataplane.asgi import AsgiMiddleware

PRICE_USD = (0.0002 / 1000, 0.0006 / 1000)  # for each input and output token


def query(plane: DataPlane, instances: Instances, body: dict[str, Any]) -> dict[str, Any]:
    """Answers a question with the release of this request, and says in its outcome how good that was."""
    key, text, attributes = body.get("key"), body.get("query"), body.get("attributes") or {}
    if key is None or not isinstance(text, str) or not isinstance(attributes, dict):
        raise BadRequest("'key' and 'query' are needed, and 'attributes' is an object. Correct the request.")
    tokens = (int(body.get("input_tokens") or len(text.split())), int(body.get("output_tokens") or 0))
    cost_usd = round(tokens[0] * PRICE_USD[0] + tokens[1] * PRICE_USD[1], 9)
    release = plane.resolve(user=key, attributes=attributes)
    plane.outcome(input_tokens=tokens[0], output_tokens=tokens[1], cost_usd=cost_usd)
    answer = pipeline.answer(release.variant, instances, text)
    plane.outcome(violation=answer.violation, hallucination=answer.hallucination, rejected=answer.rejected)
    if relevant := body.get("relevant"):
        place = answer.passages.index(relevant) if relevant in answer.passages else None
        plane.outcome(satisfaction=0.0 if place is None else 1 / (1 + place))
    served = {"request": plane.current().id, "release": release.id, "components": release.artifacts}
    return {**served, "answer": answer.text, "passages": answer.passages}


def evaluate(instances: Instances, release: ServingRelease, suite: str) -> dict[str, Any]:
    """recall_at_5: the share of the suite's questions whose known passage is among the five that are found."""
    cases = [json.loads(line) for line in (Path(suite) / "cases.jsonl").read_text("utf-8").splitlines()]
    hits = [pipeline.retrieve(release.variant, instances, case["query"]) for case in cases]
    found = sum(case["relevant"] in {hit.passage.id for hit in own} for case, own in zip(cases, hits, strict=True))
    return {"cases": len(cases), "metrics": {"recall_at_5": found / len(cases)}}


def application(plane: DataPlane, instances: Instances) -> AsgiMiddleware:
    async def endpoint(request: Request) -> JSONResponse:
        try:
            body = json.loads(await request.body())
            json.dumps(body, ensure_ascii=False).encode()  # a lone surrogate is no text, and crashes what hashes it
            return JSONResponse(query(plane, instances, body))
        except (ValueError, TypeError, OverflowError, AttributeError, RecursionError) as error:
            return JSONResponse({"error": f"The request can't be used: {error}. Correct it."}, 400)

    async def health(_: Request) -> JSONResponse:
        return JSONResponse({"ok": True})

    app = Starlette(routes=[Route("/healthz", health), Route("/query", endpoint, methods=["POST"])])
    return AsgiMiddleware(app, plane)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("definition", "flags.json"), ("instances", "instances"), ("telemetry", "telemetry")):
        parser.add_argument(f"--{name}", type=Path, default=Path(".rollcast/live") / default)
    parser.add_argument("--port", type=int, default=8787)
    options = parser.parse_args()
    instances = Instances(options.instances)
    plane = DataPlane(
        "rag-search", definition=options.definition, state=options.definition.with_suffix(".state"),
        telemetry=options.telemetry, warm=instances.get, evaluate=partial(evaluate, instances),
    )  # fmt: skip
    with threadpool_limits(1):  # one query is too small to share: more threads only wait for each other
        uvicorn.run(application(plane, instances), host="127.0.0.1", port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
