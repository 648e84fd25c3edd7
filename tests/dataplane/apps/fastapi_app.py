"""A FastAPI service on the kit."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

import httpx
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from rollcast_dataplane import clients
from rollcast_dataplane.asgi import AsgiMiddleware
from tests.dataplane.apps.settings import plane, served

app = FastAPI()
app.add_middleware(AsgiMiddleware, plane=plane)


@app.post("/chat")
def chat(body: dict[str, Any]) -> dict[str, Any]:
    return {**served(body), "process": os.getpid()}


@app.post("/stream")
async def stream(body: dict[str, Any]) -> StreamingResponse:
    release = plane.resolve(body.get("user"), body.get("session"))

    async def parts() -> AsyncIterator[str]:
        for _ in range(int(body["takes_s"] / 0.05)):
            yield plane.resolve().id + "\n"
            await asyncio.sleep(0.05)
        yield release.id + "\n"

    return StreamingResponse(parts(), media_type="text/plain")


@app.post("/call")
async def call(request: Request) -> Any:
    body = await request.json()
    plane.resolve(body.get("user"))
    async with httpx.AsyncClient(event_hooks={"request": [clients.httpx_async]}, trust_env=False) as client:
        reply = await client.post(body["url"], json=body.get("json", {}))
    return {"status": reply.status_code, "said": reply.json(), "saw": dict(request.headers)}


@app.post("/boom")
def boom(body: dict[str, Any]) -> None:
    plane.resolve(body.get("user"))
    raise RuntimeError("the service's own mistake")


@app.get("/healthz")
def health() -> dict[str, bool]:
    return {"ok": True}
