"""A service written by hand, without the kit, which keeps the protocol unless it is told to lie about one thing."""

from __future__ import annotations

import asyncio
import json
import os
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from rollcast_dataplane.definitions import BUCKETING, Definition
from rollcast_dataplane.errors import BadDefinition, NoRelease, Refused
from rollcast_dataplane.keys import chosen
from rollcast_dataplane.propagation import incoming, outgoing

SETTINGS: dict[str, Any] = json.loads(os.environ["DATAPLANE"])
LIE = SETTINGS.get("lie", "")
FILE = Path(SETTINGS["definition"])
FLAG = "rollcast-help-desk"

known: list[Definition] = []
pins: dict[str, str] = {}
answers: dict[str, dict[str, Any]] = {}
entered: Counter[str] = Counter()
finished: Counter[str] = Counter()
warm: list[str] = []
degraded: list[str] = []
replica = uuid.uuid4().hex


def definition() -> Definition:
    try:
        text = FILE.read_text("utf-8")
        if not known or known[0].text != text:
            known[:] = [Definition(text, "help-desk")]
        degraded.clear()
    except (OSError, BadDefinition) as error:
        degraded[:] = [] if LIE == "hides that it is degraded" else [str(error)]
        if LIE == "forgets what it knew":
            known.clear()
    if not known:
        raise NoRelease("nothing is released")
    return known[0]


def resolved(request: Request, body: dict[str, Any]) -> tuple[str, str]:
    """(release, key)."""
    key = chosen(body.get("user"), body.get("session"), None, uuid.uuid4().hex)[0]
    if LIE == "has one anonymous user" and body.get("user") is None:
        key = "anonymous"
    trusts = SETTINGS.get("trust") or LIE == "trusts everybody"
    headers = request.headers
    given, _ = incoming(headers.get("x-rollcast-release", ""), headers.get("baggage", ""), bool(trusts))
    now = definition()
    if given and not (LIE == "forgets the header" and SETTINGS.get("trust")):
        if now.known(given) is None:
            if LIE == "serves the unknown":
                return now.evaluate(key, {}).id, key
            raise NoRelease("unknown", given)
        return given, key
    session = body.get("session")
    pinned = pins.get(session or "")
    if pinned and now.known(pinned) and LIE != "forgets sessions":
        return pinned, key
    try:
        found = now.evaluate(key + ("~" if LIE == "hashes otherwise" else ""), {}).id
    except NoRelease:
        if LIE != "has a default":
            raise
        found = next(iter(sorted(now.releases)))
    if session:
        pins[session] = found
    return found, key


def parts_of(release: str) -> dict[str, str]:
    found = definition().known(release)
    return dict(found.artifacts) if found else {}


def leave(release: str, key: str, components: dict[str, str]) -> None:
    record = {
        "time": time.time(), "request": uuid.uuid4().hex, "key": key, "channel": "default", "release": release,
        "components": components, "error": False,
    }  # fmt: skip
    if LIE == "tags what it wishes":
        record["components"] = dict.fromkeys(components, "wished@9")
    if LIE != "leaves outcomes out" or hash(record["request"]) % 3:
        with (Path(SETTINGS["telemetry"]) / "requests.jsonl").open("a") as file:
            file.write(json.dumps(record) + "\n")
    finished[release] += 1


async def chat(request: Request) -> Response:
    body = await request.json()
    release, key = resolved(request, body)
    entered[release] += 2 if LIE == "counts twice" else 1
    if LIE == "counts twice":
        finished[release] += 1
    cached = json.dumps([body.get("user"), body.get("message")])
    components = parts_of(release)
    prompt_of = release
    try:
        await asyncio.sleep(body.get("takes_s", 0))
        if body.get("url"):
            headers = {} if LIE == "forgets the header" else outgoing(release)
            async with httpx.AsyncClient(trust_env=False) as client:
                await client.post(body["url"], json={}, headers=headers)
        if LIE == "resolves twice":
            await asyncio.sleep(0.05)
            prompt_of = definition().evaluate(key, {}).id
        mixed = {**components, "prompt": parts_of(prompt_of).get("prompt", "")}
        answer = {"release": release, "components": mixed}
        if LIE == "caches across releases" and body.get("message"):
            answer = answers.setdefault(cached, answer)
    finally:
        leave(release, key, components)
    return JSONResponse(answer, headers={"x-rollcast-release": release})


async def stream(request: Request) -> Response:
    body = await request.json()
    release, key = resolved(request, body)
    entered[release] += 1
    if LIE == "ends streams at their beginning":
        leave(release, key, parts_of(release))

    async def parts() -> AsyncIterator[str]:
        now = release
        try:
            for _ in range(int(body["takes_s"] / 0.05)):
                if LIE == "changes streams":
                    now = definition().evaluate(key, {}).id
                yield now + "\n"
                await asyncio.sleep(0.05)
        finally:
            if LIE not in ("ends streams at their beginning", "never ends"):
                leave(release, key, parts_of(release))

    return StreamingResponse(parts(), headers={"x-rollcast-release": release})


async def inflight(request: Request) -> Response:
    try:
        content: str | None = definition().content
    except NoRelease:
        content = None
    running = {each: count - finished[each] for each, count in entered.items() if count - finished[each]}
    return JSONResponse({
        "protocol": 1, "kit": "by-hand/1", "replica": uuid.uuid4().hex if LIE == "is many" else replica,
        "bucketing": BUCKETING, "definitions": {FLAG: content}, "entered": entered, "finished": finished,
        "releases": {} if LIE == "lies about in-flight" else running, "warm": warm,
        "degraded": degraded[0] if degraded else False, **({} if LIE == "tells no time" else {"time": time.time()}),
    })  # fmt: skip


async def make_warm(request: Request) -> Response:
    warm.append((await request.json())["instance"])
    return JSONResponse({"ready": True})


async def health(request: Request) -> Response:
    return JSONResponse({})


async def refuse(request: Request, error: Exception) -> Response:
    release = getattr(error, "release", None)
    return JSONResponse({"error": str(error), "release": release}, getattr(error, "status", 500))


Path(SETTINGS["telemetry"]).mkdir(exist_ok=True)
app = Starlette(
    routes=[
        Route("/chat", chat, methods=["POST"]),
        Route("/stream", stream, methods=["POST"]),
        Route("/rollcast/inflight", inflight),
        Route("/rollcast/warm", make_warm, methods=["POST"]),
        Route("/healthz", health),
    ],
    exception_handlers={Refused: refuse},
)
