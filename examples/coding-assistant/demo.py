"""A coding assistant on this machine: released, forecast, and two bad releases caught by what they do to developers.

Run: make demo-coding-assistant (or python examples/coding-assistant/demo.py [--folder DIR]). Everything is real: the
models, the completions, the tests that are run on them, the Pulumi engine, the service, the flag evaluator. The first
time it trains three models, for half a minute. It leaves its folder behind to look at.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent))  # in a checkout, demos stands beside the examples

from demos.demo import Demo
from tools.tasks import request, task

EXAMPLE = Path(__file__).resolve().parent
DECLARED = ("released.yaml", "rollcast.yaml", "inline-diff.yaml", "less-javascript.yaml", "leaky.yaml")
TRAFFIC = "traffic/completions.jsonl.gz"
SHOWN = (("python", 4), ("javascript", 5))


def complete(endpoint: str) -> None:
    """A task in each language, what is completed, and what the tests say."""
    for language, number in SHOWN:
        body = {**request(task(language, "demo", number)), "key": "reader"}
        sent = urllib.request.Request(f"{endpoint}/complete", json.dumps(body).encode())
        with urllib.request.urlopen(sent, timeout=10) as reply:
            answer = json.load(reply)
        tests = "its tests pass" if answer.get("tests_passed") else "its tests FAIL"
        print(f"{body['prefix']}{answer.get('completion', '(withheld)')}    <- completed; {tests}")
        if "diff" in answer:
            print("  and as a diff: " + answer["diff"].splitlines()[2])
    versions = ", ".join(f"{slot} {artifact}" for slot, artifact in answer["components"].items())
    print(f"served by {answer['release']}: {versions}", flush=True)


def main() -> None:
    demo = Demo(EXAMPLE, service=["-m", "dataplane.service"], declarations=DECLARED, keep_built=True)
    demo.say(
        "1. The models",
        f"A copy of the example is in {demo.folder}.",
        "Each model is trained on completions that were accepted; the tests of what it writes are run in a sandbox.",
        "Small as they are, they know chains over lists in one line, and nothing else.",
    )
    demo.python("tools/measure.py")
    with demo.serving() as endpoint:
        demo.say("2. The first release", "released.yaml declares what serves today: coder@7, trained in June.")
        demo.run("apply", "--file", "released.yaml", "--auto-approve", "--no-forecast")
        complete(endpoint)

        demo.say(
            "3. The next release",
            "Its suite is run before anybody is served by it; then the plan: our own testers, experienced users,",
            "everyone, and the private code on a channel of its own.",
        )
        demo.run("evaluate")
        demo.run("plan", "--out", "release.plan")
        demo.say(
            "4. Private code for a prompt that sees the workspace",
            "exposing.yaml is rollcast.yaml with fill-in-middle@11 for private code. Two rules refuse to plan it: one",
            "of rollcast's library, and one of policies/completions.py.",
        )
        declared = (demo.folder / "rollcast.yaml").read_text("utf-8")
        exposing = declared.replace("{prompt: fill-in-middle@10}", "{prompt: fill-in-middle@11}")
        (demo.folder / "exposing.yaml").write_text(exposing, "utf-8")
        demo.run("plan", "--file", "exposing.yaml", expect=3)
        demo.say("5. The forecast", "The plan, replayed against traffic that was recorded of this service.")
        simulate = ("--traffic", TRAFFIC, "--runs", "20", "--seed", "7")
        demo.run("simulate", "release.plan", *simulate, "--out", "forecast.json")

        with demo.load(endpoint, "--seconds", "1800"):
            demo.say("6. Apply", "The same plan, for real, while developers work.")
            demo.run("apply", "release.plan", "--auto-approve", "--no-forecast")
            complete(endpoint)
            demo.run("compare", "forecast.json")

            demo.say(
                "7. A capability, by its flag alone",
                "inline-diff.yaml sets a flag: editors get each completion as a diff too. Nothing is built or started.",
            )
            demo.run("apply", "--file", "inline-diff.yaml", "--auto-approve", "--no-forecast")
            complete(endpoint)

            demo.say(
                "8. Keys in completions",
                "leaky.yaml has a prompt that begins each answer with the line of the workspace that it goes by. Tests",
                "pass, and now and then that line holds a key, of a form that the guard lacks: its own gate sees it.",
            )
            demo.run("apply", "--file", "leaky.yaml", "--auto-approve", "--no-forecast", expect=4)

            demo.say(
                "9. Better in Python, worse in JavaScript",
                "less-javascript.yaml has a model that was trained on what one team accepted, nearly all of it Python.",
                "Its suite is two thirds Python: it passes. Forecast, then for real: the JavaScript gate catches it.",
            )
            demo.run("evaluate", "--file", "less-javascript.yaml")
            demo.caught("less-javascript.yaml", simulate)

        demo.say("10. What serves now")
        demo.run("status")
        complete(endpoint)
        demo.check_telemetry()
        print((demo.folder / "load-1.log").read_text("utf-8").splitlines()[-1])
    demo.finish(demo.forecast("bad.json", "failed_javascript"))


if __name__ == "__main__":
    main()
