"""A data plane's HTTP service, whatever it answers: its path, its health, and the words of its command line."""

from __future__ import annotations

import argparse
import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from rollcast_dataplane import DataPlane
from rollcast_dataplane.asgi import AsgiMiddleware

Answer = dict[str, Any]


def application(
    plane: DataPlane,
    path: str,
    answer: Callable[[Any], Answer | Awaitable[Answer]],
    state: Callable[[], Answer] | None = None,
) -> AsgiMiddleware:
    """`POST path` answers its JSON by `answer`, a mistake of the caller with 400; `GET /healthz` adds `state`."""

    async def endpoint(request: Request) -> JSONResponse:
        try:
            body = json.loads(await request.body())
            json.dumps(body, ensure_ascii=False).encode()  # a lone surrogate is no text, and crashes what hashes it
            found = answer(body)
            return JSONResponse(await found if inspect.isawaitable(found) else found)
        except (ValueError, TypeError, OverflowError, AttributeError, RecursionError) as error:
            return JSONResponse({"error": f"The request can't be used: {error}. Correct it."}, 400)

    async def health(_: Request) -> JSONResponse:
        return JSONResponse({"ok": True, **(await asyncio.to_thread(state) if state is not None else {})})

    app = Starlette(routes=[Route("/healthz", health), Route(path, endpoint, methods=["POST"])])
    return AsgiMiddleware(app, plane)


def parser_of(about: str | None) -> argparse.ArgumentParser:
    """The command line of a replica: where its flags, its instances and its telemetry are, and its port."""
    parser = argparse.ArgumentParser(description=about)
    for name, default in (("definition", "flags.json"), ("instances", "instances"), ("telemetry", "telemetry")):
        parser.add_argument(f"--{name}", type=Path, default=Path(".rollcast/live") / default)
    parser.add_argument("--port", type=int, default=8787)
    return parser


def plane_of(pipeline: str, options: argparse.Namespace, warm: Callable[[str], object], **more: Any) -> DataPlane:
    """The data plane of such a command line; `warm` loads an instance, `more` are other settings of it."""
    return DataPlane(
        pipeline, definition=options.definition, state=options.definition.with_suffix(".state"),
        telemetry=options.telemetry, warm=warm, **more,
    )  # fmt: skip
