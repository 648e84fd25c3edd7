"""The HTTP service. Run: python -m dataplane.service [--judges DIR] [--definition flags.json] [--port 8787] …

Which release serves, what is in flight and what is recorded is the kit's, `rollcast_dataplane`; here is what it serves.
A brief is never recorded: only what was measured of its picture is.
"""

from __future__ import annotations

import base64
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from threadpoolctl import threadpool_limits

from dataplane import judges as judging
from dataplane import pipeline
from dataplane.errors import BadRequest
from dataplane.instances import Instances
from dataplane.judges import Judges
from dataplane.upscaling import SIZES
from demos.answering import application, parser_of, plane_of
from rollcast_dataplane import DataPlane

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


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--judges", type=Path, default=Path(".rollcast/judges"), help="put there by tools/prepare.py")
    options = parser.parse_args()
    instances, judges = Instances(options.instances), judging.load(options.judges)
    plane = plane_of("image-generation", options, instances.get)
    with threadpool_limits(1):  # one picture is too small to share: more threads only wait for each other
        served = application(plane, "/image", partial(image, plane, instances, judges))
        uvicorn.run(served, host="127.0.0.1", port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
