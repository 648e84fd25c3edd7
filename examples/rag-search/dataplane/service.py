"""The HTTP service. Run: python -m dataplane.service --definition flags.json --instances DIR --telemetry DIR."""

from __future__ import annotations

import argparse
import json
import os
import threading
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import uvicorn
from openfeature import api
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import ResolverType
from openfeature.evaluation_context import EvaluationContext
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from threadpoolctl import threadpool_limits

from dataplane import pipeline
from dataplane.errors import BadRequest, DataPlaneError, NoRelease
from dataplane.instances import Instances

FLAG = "rollcast-rag-search"
PRICE_USD = (0.0002 / 1000, 0.0006 / 1000)  # for each input and output token
RELOAD_S = 0.2
LONGEST_KEY = 4096


class Service:
    """Resolves, serves, records. One telemetry line for each request, tagged with what served it."""

    def __init__(self, definition: Path, instances: Path, telemetry: Path) -> None:
        # The file resolver looks for a new definition every `deadline_ms`.
        provider = FlagdProvider(
            resolver_type=ResolverType.FILE, offline_flag_source_path=str(definition), deadline_ms=int(RELOAD_S * 1000)
        )
        api.set_provider(provider)
        self._flags = api.get_client()
        self._instances = Instances(instances)
        telemetry.mkdir(parents=True, exist_ok=True)
        self._log = os.open(telemetry / "requests.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._inflight: Counter[str] = Counter()
        self._finished: Counter[str] = Counter()
        self._replica = uuid.uuid4().hex[:12]
        self._lock = threading.Lock()

    def resolve(self, key: str, attributes: dict[str, Any]) -> dict[str, Any]:
        """The whole configuration for this request, decided once. Raises NoRelease."""
        release = self._flags.get_object_value(FLAG, {}, EvaluationContext(key, attributes))
        if not isinstance(release, dict) or not release.get("release"):
            raise NoRelease(f"The flag {FLAG} names no release. Apply a release, or correct the definition file.")
        return release

    def query(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        started, began = time.time(), time.perf_counter()
        key, text, attributes = _key(body.get("key")), body.get("query"), body.get("attributes") or {}
        if not isinstance(text, str) or not isinstance(attributes, dict):
            raise BadRequest("'query' must be text and 'attributes' an object. Correct the request.")
        release: dict[str, Any] = {}
        answer, failure = None, None
        try:
            release = self.resolve(key, attributes)
            with self._lock:
                self._inflight[release["release"]] += 1
            try:
                answer = pipeline.answer(release, self._instances, text)
            finally:
                with self._lock:
                    self._inflight[release["release"]] -= 1
                    self._finished[release["release"]] += 1
        except DataPlaneError as error:
            failure = error
        latency_s = time.perf_counter() - began
        components = pipeline.references(release) if release else {}
        tokens = (int(body.get("input_tokens") or len(text.split())), int(body.get("output_tokens") or 0))
        relevant = body.get("relevant")
        record = {
            "time": started + latency_s,
            "request": uuid.uuid4().hex,
            "key": key,
            "channel": release.get("channel"),
            "release": release.get("release"),
            "components": components,
            "attributes": attributes,
            "latency_s": round(latency_s, 6),
            "ttft_s": round(latency_s, 6),
            "input_tokens": tokens[0],
            "output_tokens": tokens[1],
            "cost_usd": round(tokens[0] * PRICE_USD[0] + tokens[1] * PRICE_USD[1], 9),
            "error": failure is not None,
            "violation": bool(answer and answer.violation),
            "hallucination": bool(answer and answer.hallucination),
            "rejected": bool(answer and answer.rejected),
        }
        if answer and relevant:
            place = answer.passages.index(relevant) if relevant in answer.passages else None
            record["satisfaction"] = 0.0 if place is None else 1 / (1 + place)
        os.write(self._log, (json.dumps(record) + "\n").encode())
        if failure is not None:
            return failure.status, {"error": str(failure), "release": release.get("release")}
        assert answer is not None
        told = {"request": record["request"], "release": release["release"], "components": components}
        return 200, {**told, "answer": answer.text, "passages": answer.passages}

    def warm(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self._instances.get(str(body.get("instance")))
        return 200, {"ready": True}

    def evaluate(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """recall_at_5: the share of the suite's questions whose known passage is among the five that are found."""
        with (Path(str(body["suite"])) / "cases.jsonl").open(encoding="utf-8") as lines:
            cases = [json.loads(line) for line in lines]
        found = 0
        for case in cases:
            hits = pipeline.retrieve(body["release"], self._instances, case["query"])
            found += case["relevant"] in {hit.passage.id for hit in hits}
        return 200, {"cases": len(cases), "metrics": {"recall_at_5": found / len(cases)}}

    def inflight(self) -> dict[str, Any]:
        """Requests on each release now and so far, which process this is, and what its flag evaluator has read."""
        found = self._flags.get_object_details(FLAG, {}, EvaluationContext("rollcast"))
        content = found.flag_metadata.get("rollcast_content")
        with self._lock:
            counts = {release: count for release, count in self._inflight.items() if count}
            finished = dict(self._finished)
        definitions = {FLAG: content}
        return {"replica": self._replica, "releases": counts, "finished": finished, "definitions": definitions}


def _key(value: Any) -> str:
    """The user's key, a whole number as much as its text. The flag evaluator hashes it, so it must be real text."""
    key = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(key, str) or len(key) > LONGEST_KEY:
        raise BadRequest(f"'key' must be text of at most {LONGEST_KEY} characters, or a number. Correct the request.")
    return key


def _body(raw: bytes) -> dict[str, Any]:
    """The JSON object of a request. Its text can be written again: a lone surrogate could crash what hashes it."""
    try:
        body = json.loads(raw)
        json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise BadRequest("The body holds a lone surrogate, which is no text. Correct it.") from None
    except RecursionError:
        raise BadRequest("The body is nested too deep. Correct it.") from None
    if not isinstance(body, dict):
        raise BadRequest("The body is not a JSON object. Send one.")
    return body


def application(service: Service) -> Starlette:
    def post(work: Any, threaded: bool = False) -> Any:
        async def endpoint(request: Request) -> JSONResponse:
            try:
                body = _body(await request.body())
                status, reply = await run_in_threadpool(work, body) if threaded else work(body)
            except DataPlaneError as error:
                status, reply = error.status, {"error": str(error)}
            except (ValueError, TypeError, OverflowError, KeyError, OSError) as error:
                status, reply = 400, {"error": f"The request can't be used: {error}. Correct it."}
            return JSONResponse(reply, status)

        return endpoint

    async def health(_: Request) -> JSONResponse:
        return JSONResponse({"ok": True})

    async def inflight(_: Request) -> JSONResponse:
        return JSONResponse(service.inflight())

    return Starlette(
        routes=[
            Route("/healthz", health),
            Route("/query", post(service.query), methods=["POST"]),
            Route("/rollcast/warm", post(service.warm, threaded=True), methods=["POST"]),
            Route("/rollcast/evaluate", post(service.evaluate, threaded=True), methods=["POST"]),
            Route("/rollcast/inflight", inflight),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--definition", type=Path, default=Path(".rollcast/live/flags.json"))
    parser.add_argument("--instances", type=Path, default=Path(".rollcast/live/instances"))
    parser.add_argument("--telemetry", type=Path, default=Path(".rollcast/live/telemetry"))
    parser.add_argument("--port", type=int, default=8787)
    options = parser.parse_args()
    options.definition.parent.mkdir(parents=True, exist_ok=True)
    if not options.definition.exists():
        options.definition.write_text('{"flags": {}}\n', "utf-8")
    service = Service(options.definition, options.instances, options.telemetry)
    with threadpool_limits(1):  # one query is too small to share: more threads only wait for each other
        uvicorn.run(application(service), host="127.0.0.1", port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
