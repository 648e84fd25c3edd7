"""One replica of the fleet: a service on the Python kit that shows what really served each request.

A request reads one component at its beginning and the other at its end, from the instances that its release names: two
generations of one release would be a broken mix, and an instance that is gone an error.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from rollcast_dataplane import DataPlane, ServingRelease, SignedPins
from rollcast_dataplane.asgi import AsgiMiddleware

SETTINGS = json.loads(os.environ["REPLICA"])
INSTANCES = Path(SETTINGS["instances"])


def generation(release: ServingRelease, slot: str) -> str:
    """What the instance holds. Raises OSError where it is gone."""
    folder = INSTANCES / release.instance(slot)
    (content,) = [path for path in folder.iterdir() if path.name != "manifest.json"]
    return content.read_text("utf-8").strip()


def warm(instance: str) -> bool:
    return (INSTANCES / instance / "manifest.json").is_file()


plane = DataPlane(
    "fleet", definition=SETTINGS.get("definition"), relays=SETTINGS.get("relays", ()), state=SETTINGS["state"],
    telemetry=SETTINGS["telemetry"], pins=SignedPins(), warm=warm,
)  # fmt: skip


async def served(body: dict[str, Any]) -> dict[str, Any]:
    release = plane.resolve(body["user"], body.get("session"))
    first = generation(release, "index")
    await asyncio.sleep(body["takes_s"])
    return {
        "release": release.id,
        "index": first,
        "answer": generation(release, "answer"),
        "replica": plane.replica,
        "kit": "python",
    }


async def ask(request: Request) -> Response:
    return JSONResponse(await served(await request.json()))


async def stream(request: Request) -> Response:
    body = await request.json()
    plane.resolve(body["user"], body.get("session"))

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(int(body["takes_s"] / 0.05)):
            await asyncio.sleep(0.05)
            yield b" "
        yield json.dumps(await served({**body, "takes_s": 0})).encode()

    return StreamingResponse(parts(), media_type="application/json")


async def health(_: Request) -> Response:
    return JSONResponse({"ok": True})


app = AsgiMiddleware(
    Starlette(
        routes=[
            Route("/ask", ask, methods=["POST"]), Route("/stream", stream, methods=["POST"]), Route("/healthz", health)
        ]
    ),
    plane,
)  # fmt: skip
