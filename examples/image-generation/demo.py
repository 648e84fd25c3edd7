"""An image service on this machine: trained, released, forecast, and two bad releases caught by what they do to users.

Run: make demo-image-generation (or python examples/image-generation/demo.py [--folder DIR]). Everything is real: the
models, the pictures, the Pulumi engine, the service, the flag evaluator. The first time it trains the models and
compiles the simulator, a minute or two each on a quiet machine. It leaves its folder behind to look at.
"""

from __future__ import annotations

import base64
import json
import sys
import urllib.request
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent))  # in a checkout, demos stands beside the examples

from demos.demo import Demo

EXAMPLE = Path(__file__).resolve().parent
TRAFFIC = "traffic/recorded.jsonl.gz"
INK = "@%#*+=-:. "
BRIEFS = (("a sketch of three", "plain"), ("a sketch of three", "house"), ("how many seasons", "plain"))


def draw(endpoint: str) -> None:
    """Three briefs, side by side, and what served them."""
    shown: list[list[str]] = []
    for brief, style in BRIEFS:
        body = json.dumps({"key": "reader", "brief": brief, "style": style, "steps": 16}).encode()
        request = urllib.request.Request(f"{endpoint}/image", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as reply:
            answer = json.load(reply)
        said = [f"'{brief}'", f"style {style}", ""]
        if "image" in answer:
            pixels, side = base64.b64decode(answer["image"]), answer["size"]
            rows = [pixels[row * side : (row + 1) * side] for row in range(side)]
            said += ["".join(INK[value * len(INK) // 256] * 2 for value in row) for row in rows]
        else:
            said += [f"refused by {answer['refused_by']}"]
        shown.append([*said, *[""] * (11 - len(said))])
    for lines in zip(*shown, strict=True):
        print("   ".join(f"{line:<24}" for line in lines).rstrip())
    versions = ", ".join(f"{slot} {artifact}" for slot, artifact in answer["components"].items())
    print(f"served by {answer['release']}: {versions}", flush=True)


def main() -> None:
    demo = Demo(
        EXAMPLE,
        service=["-m", "dataplane.service"],
        declarations=["released.yaml", "rollcast.yaml", "off-style.yaml", "blind.yaml"],
        keep_built=True,
    )
    demo.say(
        "1. The models",
        f"A copy of the example is in {demo.folder}. Its models are trained from scikit-learn's digits:",
        "two engines, three style adapters, moderation, and judges that belong to no release.",
    )
    demo.python("tools/prepare.py")
    with demo.serving() as endpoint:
        demo.say("2. The first release", "released.yaml declares what serves today. Subjects 4, 7 and 9 withdrew.")
        demo.run("apply", "--file", "released.yaml", "--auto-approve", "--no-forecast")
        draw(endpoint)

        demo.say("3. The next release", "A suite is run on it before anybody is served by it; then the plan.")
        demo.run("evaluate")
        demo.run("plan", "--out", "release.plan")
        demo.say("4. The forecast", "The plan, replayed against traffic that was recorded of this service.")
        simulate = ("--traffic", TRAFFIC, "--runs", "20", "--seed", "7")
        demo.run("simulate", "release.plan", *simulate, "--out", "forecast.json")

        with demo.load(endpoint, "--seconds", "1800"):
            demo.say("5. Apply", "The same plan, for real, while users ask for images.")
            demo.run("apply", "release.plan", "--auto-approve", "--no-forecast")
            draw(endpoint)
            demo.run("compare", "forecast.json")

            demo.say(
                "6. Moderation that is blind to one subject",
                "blind.yaml has a moderation that says it withholds all three, and never learned one of them. The",
                "suite is older than that subject's withdrawal: it passes. The violation gate has to catch it.",
            )
            demo.run("apply", "--file", "blind.yaml", "--auto-approve", "--no-forecast", expect=4)

            demo.say(
                "7. An adapter that drifts off style",
                "off-style.yaml has an adapter that was trained on uploads under the wrong label. The suite asks what",
                "is drawn, not how: it passes. Forecast, then for real: the persona gate has to catch it.",
            )
            demo.caught("off-style.yaml", simulate)

        demo.say("8. What serves now")
        demo.run("status")
        draw(endpoint)
        demo.check_telemetry()
    demo.finish(demo.forecast("bad.json", "persona"))


if __name__ == "__main__":
    main()
