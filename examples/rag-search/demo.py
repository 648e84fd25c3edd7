"""The main job, end to end, on a copy of this example: plan, forecast, apply, see it serve, catch a bad release.

Run: make demo (or python examples/rag-search/demo.py [--folder DIR]). Everything is real: the Pulumi engine, the
service, the flag evaluator, the recorded trace. It takes about three minutes and leaves its folder behind to look at.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent))  # in a checkout, demos stands beside the examples

from demos.demo import Demo

EXAMPLE = Path(__file__).resolve().parent
TRACE = "traffic/AzureLLMInferenceTrace_conv.csv"
SPEEDUP = 20
QUESTION = "read the rows of a csv file as dictionaries"


def ask(endpoint: str) -> None:
    """One question, and what served it."""
    body = json.dumps({"key": "reader", "query": QUESTION}).encode()
    request = urllib.request.Request(f"{endpoint}/query", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as reply:
        answer = json.load(reply)
    print(f"query:  {QUESTION}?")
    print(f"answer: {answer['answer']}")
    versions = ", ".join(f"{slot} {artifact}" for slot, artifact in answer["components"].items())
    print(f"served by {answer['release']}: {versions}", flush=True)


def main() -> None:
    demo = Demo(
        EXAMPLE,
        service=["-m", "dataplane.service"],
        declarations=["released.yaml", "rollcast.yaml", "harmful.yaml"],
    )
    with demo.serving() as endpoint:
        demo.say(
            "1. The first release",
            f"A copy of the example is in {demo.folder}. Its service runs, and nothing is released yet:",
            "two replicas behind haproxy."
            if len(demo.replicas) > 1
            else "one replica. With haproxy on PATH there are two.",
            "released.yaml declares what should serve today; apply builds it and puts it in place.",
        )
        demo.run("apply", "--file", "released.yaml", "--auto-approve", "--no-forecast")
        ask(endpoint)

        demo.say(
            "2. Why order matters", "An embedder and an index of different releases give nonsense without any error."
        )
        demo.python("tools/show_mixes.py")

        demo.say("3. The plan", "rollcast.yaml declares the next release. What would happen, and the rollback:")
        demo.run("plan", "--out", "release.plan")

        demo.say(
            "4. The forecast", "The plan is replayed against one recorded hour (19,366 requests), gates in the loop."
        )
        scale = ("--traffic", TRACE, "--scale", str(SPEEDUP))
        demo.run("simulate", "release.plan", *scale, "--runs", "20", "--seed", "7", "--out", "forecast.json")

        demo.say(
            "5. Apply",
            f"The same plan, for real. The recorded hour runs against the live service, {SPEEDUP} times as fast,",
            "while the release moves milestone by milestone: the desired share, beside the share measured.",
        )
        with demo.load(endpoint, "--speedup", str(SPEEDUP), "--seconds", "1800"):
            demo.run("apply", "release.plan", "--auto-approve", "--no-forecast")
            ask(endpoint)
            demo.check_telemetry()

            demo.say(
                "6. A bad release",
                "harmful.yaml has a safety policy that forgot what to withhold. Its evaluation was too small to show",
                "it. Nobody watches: the gate has to catch it.",
            )
            demo.run("apply", "--file", "harmful.yaml", "--auto-approve", "--no-forecast", expect=4)

        demo.say("7. What serves now")
        demo.run("status")
        ask(endpoint)
        demo.check_telemetry()
    demo.finish(demo.forecast("forecast.json", "violation_rate"))


if __name__ == "__main__":
    main()
