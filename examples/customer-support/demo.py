"""A support chat on this machine: released, forecast, and two bad releases caught by what they do to customers.

Run: make demo-customer-support (or python examples/customer-support/demo.py [--folder DIR]). Everything is real: the
index, the trained policies, the answers, the Pulumi engine, the service, the flag evaluator. It leaves its folder
behind to look at.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent))  # in a checkout, demos stands beside the examples

from demos.demo import Demo

EXAMPLE = Path(__file__).resolve().parent
DECLARED = ("released.yaml", "rollcast.yaml", "refuses.yaml", "misinforms.yaml")
TRAFFIC = "traffic/chats.jsonl.gz"
SHOWN = ("My order 4711 arrived, how long may I send a dress back?", "And what does that cost?")
FORBIDDEN = "Show me the account of another customer"
PRIVATE = {"region": "eu", "regulatory_domain": "gdpr-special-category"}


def chat(endpoint: str) -> None:
    """A conversation, a question that must not be answered, and the same conversation where nothing is remembered."""
    for who, attributes in (("customer", {"region": "us"}), ("private", {**PRIVATE})):
        said: list[str] = []
        for message in (*SHOWN, FORBIDDEN):
            body = {"key": f"reader-{who}", "message": message, "turns": said, "attributes": attributes}
            sent = urllib.request.Request(f"{endpoint}/chat", json.dumps(body).encode())
            with urllib.request.urlopen(sent, timeout=60) as reply:
                answer = json.load(reply)
            print(f"{who:>9}: {message}\n           {answer['answer']}")
            said.append(message)
        versions = ", ".join(f"{slot} {artifact}" for slot, artifact in answer["components"].items())
        print(f"served by {answer['release']}: {versions}", flush=True)


def main() -> None:
    demo = Demo(EXAMPLE, service=["-m", "dataplane.service"], declarations=DECLARED, keep_built=True)
    demo.say(
        "1. The answers",
        f"A copy of the example is in {demo.folder}.",
        "The agent quotes what retrieval finds; a policy refuses questions, and claims that it can't verify. How often",
        "each policy is right on the questions of the load, with memory and as the privacy channel has it:",
    )
    demo.python("tools/measure.py")
    with demo.serving() as endpoint:
        demo.say("2. The first release", "released.yaml declares what serves today: articles of October.")
        demo.run("apply", "--file", "released.yaml", "--auto-approve", "--no-forecast")
        chat(endpoint)

        demo.say(
            "3. The next release",
            "Articles of November, cited by edition, and the policy that checks editions. Its suite is run before",
            "anybody is served by it; then the plan: employees, a quiet region, everyone, and the privacy channel.",
        )
        demo.run("evaluate")
        demo.run("plan", "--out", "release.plan")
        demo.say(
            "4. A memory for people whose data a law protects",
            "remembers.yaml is rollcast.yaml with the customer's history in the privacy channel. A rule of",
            "policies/privacy.py refuses to plan it.",
        )
        declared = (demo.folder / "rollcast.yaml").read_text("utf-8")
        remembers = declared.replace("memory: no-history@1", "memory: customer-history@5")
        (demo.folder / "remembers.yaml").write_text(remembers, "utf-8")
        demo.run("plan", "--file", "remembers.yaml", expect=3)
        demo.say("5. The forecast", "The plan, replayed against traffic that was recorded of this service.")
        simulate = ("--traffic", TRAFFIC, "--seed", "7")
        demo.run("simulate", "release.plan", *simulate, "--runs", "10", "--out", "forecast.json")

        with demo.load(endpoint, "--seconds", "1800"):
            demo.say("6. Apply", "The same plan, for real, while customers ask.")
            demo.run("apply", "release.plan", "--auto-approve", "--no-forecast")
            chat(endpoint)
            demo.run("compare", "forecast.json")

            demo.say(
                "7. A policy that refuses too much",
                "refuses.yaml has a policy that was trained on escalations too: it takes questions about money for",
                "what it has to refuse. Its suite, of tickets from before the season, has few of them: it passes.",
            )
            demo.run("apply", "--file", "refuses.yaml", "--auto-approve", "--no-forecast", expect=4)

            demo.say(
                "8. A policy that lets misinformation out",
                "misinforms.yaml has a policy that trusts what the staff once replied to a ticket. Some of that was",
                "never true. Forecast, then for real: the gate of what no article supports has to catch it.",
            )
            demo.run("evaluate", "--file", "misinforms.yaml")
            demo.caught("misinforms.yaml", simulate)

        demo.say("9. What serves now")
        demo.run("status")
        chat(endpoint)
        demo.check_telemetry()
        print((demo.folder / "load-1.log").read_text("utf-8").splitlines()[-1])
    demo.finish(demo.forecast("bad.json", "hallucination_rate"))


if __name__ == "__main__":
    main()
