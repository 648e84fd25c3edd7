"""The HTTP service. Run: python -m dataplane.service [--judges DIR] [--definition flags.json] [--port 8787] …

Which release serves, what is in flight and what is recorded is the kit's, `rollcast_dataplane`; here is what it serves.
A brief is never recorded: only what was measured of its picture is.
"""

from __future__ import annotations

import argparse
import base64
import json
import zlib
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from threadpoolctl import threadpool_limits

from dataplane import judges as judging
from dataplane import pipeline
from dataplane.errors import BadRequest
from dataplane.instances import Instances
from dataplane.judges import Judges
from dataplane.upscaling import SIZES
from rollcast_dataplane import DataPlane
from rollcast_dataplane.asgi import AsgiMiddleware

USD_PER_STEP = 0.00002
MOST_STEPS = 50


def image(plane: DataPlane, instances: Instances, judges: Judges, body: dict[str, Any]) -> dict[str, Any]:
    """Makes a picture with the release of this request, and says in its outcome how good that was."""
    key, brief, attributes = body.get("key"), body.get("brief"), body.get("attributes") or {}
    style, steps, size = body.get("style", "plain"), body.get("steps", 12), body.get("size", 8)
    if key is None or not isinstance(brief, str) or not isinstance(attributes, dict):
        raise BadRequest("'key' and 'brief' are needed, and 'attributes' is an object. Correct the request.")
    if style not in (pipeline.HOUSE, pipeline.PLAIN) or size not in SIZES or steps not in range(1, MOST_STEPS + 1):
        raise BadRequest(f"'style' is house or plain, 'size' one of {SIZES}, 'steps' 1 to {MOST_STEPS}.")
    release = plane.resolve(user=key, attributes=attributes)
    seed = zlib.crc32(f"{key}/{brief}/{style}/{steps}".encode())
    made = pipeline.make(pipeline.parts_of(release, instances), brief, style, steps, size, seed)
    # what a forecast's stations count: letters come in, steps are what takes time and costs
    plane.outcome(input_tokens=len(brief), output_tokens=made.steps, cost_usd=round(made.steps * USD_PER_STEP, 9))
    plane.outcome(image_size=size, rejected=made.refused_by is not None, refused_by=made.refused_by)
    plane.outcome(**judges.judge(made.picture, style, body.get("wanted")))
    served = {"request": plane.current().id, "release": release.id, "components": release.artifacts}
    if made.image is None:
        return {**served, "refused_by": made.refused_by}
    pixels = (255 * (1 - made.image)).round().astype("uint8")
    return {**served, "size": len(pixels), "steps": made.steps, "image": base64.b64encode(pixels.tobytes()).decode()}


def application(plane: DataPlane, instances: Instances, judges: Judges) -> AsgiMiddleware:
    async def endpoint(request: Request) -> JSONResponse:
        try:
            body = json.loads(await request.body())
            json.dumps(body, ensure_ascii=False).encode()  # a lone surrogate is no text, and crashes what hashes it
            return JSONResponse(image(plane, instances, judges, body))
        except (ValueError, TypeError, OverflowError, AttributeError, RecursionError) as error:
            return JSONResponse({"error": f"The request can't be used: {error}. Correct it."}, 400)

    async def health(_: Request) -> JSONResponse:
        return JSONResponse({"ok": True})

    app = Starlette(routes=[Route("/healthz", health), Route("/image", endpoint, methods=["POST"])])
    return AsgiMiddleware(app, plane)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("definition", "flags.json"), ("instances", "instances"), ("telemetry", "telemetry")):
        parser.add_argument(f"--{name}", type=Path, default=Path(".rollcast/live") / default)
    parser.add_argument("--judges", type=Path, default=Path(".rollcast/judges"), help="put there by tools/prepare.py")
    parser.add_argument("--port", type=int, default=8787)
    options = parser.parse_args()
    instances, judges = Instances(options.instances), judging.load(options.judges)
    plane = DataPlane(
        "image-generation", definition=options.definition, state=options.definition.with_suffix(".state"),
        telemetry=options.telemetry, warm=instances.get,
    )  # fmt: skip
    with threadpool_limits(1):  # one picture is too small to share: more threads only wait for each other
        uvicorn.run(application(plane, instances, judges), host="127.0.0.1", port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
