"""What the kit adds to a request of a service: resolved, counted, carried, and with its outcome written.

Run: python benchmarks/dataplane.py. The same application with and without the kit, called in turn within one run, with
no network between: microseconds at the median, and the ratio to the bare service. Exits 1 where the kit adds more than
60 µs.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from rollcast_dataplane import DataPlane
from rollcast_dataplane.asgi import AsgiMiddleware
from rollcast_dataplane.wsgi import WsgiMiddleware

CALLS, ROUNDS = 4000, 5
MOST_US = 60.0
BODY = json.dumps({"user": "user-1", "message": "how do I get a refund?"}).encode()


def flag(percent: int) -> dict[str, Any]:
    """Two releases of six components each, as rag-search has."""
    slots = ("embedder", "index", "reranker", "generator", "generator.prompt", "safety")
    variants = {
        name: {
            "release": name, "channel": "default", "flags": {},
            "components": {
                slot: {"artifact": f"{slot}@1", "digest": "sha256:0", "instance": f"p/{slot}/1", "cache": "c"}
                for slot in slots
            },
        }
        for name in ("rel-000000000001", "rel-000000000002")
    }  # fmt: skip
    fraction = [{"cat": ["rollcast-p/default/:", {"var": "targetingKey"}]}, ["rel-000000000002", percent * 1000]]
    fraction.append(["rel-000000000001", (100 - percent) * 1000])
    return {
        "state": "ENABLED", "variants": {**variants, "paused": {"release": None}}, "defaultVariant": "paused",
        "targeting": {"if": [{"in": [{"var": "region"}, ["eu", "us"]]}, {"fractional": fraction}, "paused"]},
    }  # fmt: skip


def asgi(plane: DataPlane | None) -> Callable[[int], list[float]]:
    """Seconds of each of n calls to a Starlette application."""

    async def chat(request: Request) -> JSONResponse:
        body = json.loads(await request.body())
        release = plane.resolve(user=body["user"], attributes={"region": "eu"}).id if plane else "rel-000000000001"
        if plane:
            plane.outcome(input_tokens=10, output_tokens=20, violation=False)
        return JSONResponse({"answer": body["message"], "release": release})

    app: Any = Starlette(routes=[Route("/chat", chat, methods=["POST"])])
    served = AsgiMiddleware(app, plane) if plane else app
    headers = [(b"host", b"x"), (b"content-type", b"application/json"), (b"user-agent", b"bench"), (b"accept", b"*/*")]

    async def run(count: int) -> list[float]:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": BODY, "more_body": False}

        async def send(message: Any) -> None:
            return None

        found = []
        for _ in range(count):
            scope = {
                "type": "http", "method": "POST", "path": "/chat", "raw_path": b"/chat", "query_string": b"",
                "headers": headers, "client": ("127.0.0.1", 1), "server": ("x", 80), "scheme": "http",
                "http_version": "1.1", "root_path": "", "asgi": {"version": "3.0"},
            }  # fmt: skip
            began = time.perf_counter()
            await served(scope, receive, send)
            found.append(time.perf_counter() - began)
        return found

    return lambda count: asyncio.run(run(count))


def wsgi(plane: DataPlane | None) -> Callable[[int], list[float]]:
    """The same of a plain WSGI application."""

    def chat(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        body = json.loads(BODY)
        release = plane.resolve(user=body["user"], attributes={"region": "eu"}).id if plane else "rel-000000000001"
        if plane:
            plane.outcome(input_tokens=10, output_tokens=20, violation=False)
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps({"answer": body["message"], "release": release}).encode()]

    served: Any = WsgiMiddleware(chat, plane) if plane else chat

    def run(count: int) -> list[float]:
        found = []
        for _ in range(count):
            environ = {"PATH_INFO": "/chat", "REQUEST_METHOD": "POST", "REMOTE_ADDR": "127.0.0.1"}
            began = time.perf_counter()
            parts = served(environ, lambda status, headers, exc_info=None: None)
            b"".join(parts)
            if hasattr(parts, "close"):
                parts.close()
            found.append(time.perf_counter() - began)
        return found

    return run


def import_s() -> float:
    """Seconds that importing the kit takes, the best of five processes."""
    code = "import time; b = time.perf_counter(); import rollcast_dataplane.asgi; print(time.perf_counter() - b)"
    return min(float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(5))


def main() -> int:
    over = False
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "flags.json").write_text(json.dumps({"flags": {"rollcast-p": flag(10)}}), "utf-8")
        plane = DataPlane("p", definition=folder / "flags.json", state=folder / "state", telemetry=folder / "telemetry")
        for title, make in (("ASGI (Starlette)", asgi), ("WSGI (plain)", wsgi)):
            bare, kit = make(None), make(plane)
            bare(500), kit(500)
            rounds = [(statistics.median(bare(CALLS)), statistics.median(kit(CALLS))) for _ in range(ROUNDS)]
            without, with_kit = min(each[0] for each in rounds), min(each[1] for each in rounds)
            added_us = statistics.median((b - a) * 1e6 for a, b in rounds)
            over = over or added_us > MOST_US
            print(
                f"{title}: bare {without * 1e6:.0f} us, with the kit {with_kit * 1e6:.0f} us at the median: "
                f"{added_us:.0f} us added ({with_kit / without:.2f} times), at most {MOST_US:.0f}"
            )
        state = plane.state()
        assert state["entered"] == state["finished"]
        plane.stop()
    took_s = import_s()
    over = over or took_s > 0.2
    print(f"import: {took_s:.3f} s, at most 0.2")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
