"""A telephone line that understands orders: released, forecast, and two bad releases caught by what callers notice.

Run: make demo-transcription (or python examples/transcription/demo.py [--folder DIR]). Everything is real: the sound,
what is heard of it, the Pulumi engine, the service, the flag evaluator. The first time it lets voices speak some
hundred calls, for half a minute. It leaves its folder behind to look at.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parent.parent))  # in a checkout, demos stands beside the examples

import aiohttp
from load import REGIONS, Seen, ring

from demos.demo import Demo
from tools.speech import Spoken, call

EXAMPLE = Path(__file__).resolve().parent
TRAFFIC = "traffic/calls.jsonl"
RATE = "4"
QUIET = {"quiet": 1.0}
CALLERS = ("us", "caribbean", "spanish")


def listen(endpoint: str) -> None:
    """Three callers, what each said, and what was heard."""
    answer = asyncio.run(_listen(endpoint))
    versions = ", ".join(f"{slot} {artifact}" for slot, artifact in answer["components"].items())
    print(f"served by {answer['release']}: {versions}", flush=True)


async def _listen(endpoint: str) -> dict[str, Any]:
    said = [call({accent: 1.0}, QUIET, "demo", number) for number, accent in enumerate(CALLERS)]
    async with aiohttp.ClientSession(endpoint) as client:

        async def heard(spoken: Spoken) -> dict[str, Any]:
            attributes = {"accent": spoken.accent, "language": spoken.language, "region": REGIONS[1]}
            about = {"key": f"reader-{spoken.accent}", "codec": spoken.codec, "attributes": attributes}
            return await ring(client, about, spoken.sound, Seen())

        answers = await asyncio.gather(*map(heard, said))
    for spoken, answer in zip(said, answers, strict=True):
        meant = f"  ({answer['translation']})" if answer["translation"] != answer["transcript"] else ""
        print(f"{spoken.accent:>10} said: {spoken.said:<34} heard: {answer['transcript']}{meant}")
    return answers[0]


def main() -> None:
    demo = Demo(
        EXAMPLE,
        service=["-m", "dataplane.service"],
        declarations=["released.yaml", "rollcast.yaml", "one-accent.yaml", "slow.yaml"],
        keep_built=True,
    )
    demo.say(
        "1. What is heard",
        f"A copy of the example is in {demo.folder}.",
        "Voices of espeak-ng speak its calls: accents, streets, telephones.",
        "How wrong each acoustic model is. A model this small is weak; in what it is weak differs.",
    )
    demo.python("tools/measure.py", "--calls", "80")
    with demo.serving() as endpoint:
        demo.say("2. The first release", "released.yaml declares what serves today: English, as an American says it.")
        demo.run("apply", "--file", "released.yaml", "--auto-approve", "--no-forecast")
        listen(endpoint)

        demo.say(
            "3. The next release",
            "Its suite is run before anybody is served by it; then the plan. What hears and what may be heard change",
            "in tandem: words that the one has no sounds for break the other.",
        )
        demo.run("evaluate")
        demo.run("plan", "--out", "release.plan")
        demo.say(
            "4. A release that would give telephone numbers away",
            "unmasked.yaml is rollcast.yaml without the mask. A rule of policies/calls.py refuses to plan it.",
        )
        declared = (demo.folder / "rollcast.yaml").read_text("utf-8")
        unmasked = declared.replace("mask_numbers: true", "mask_numbers: false")
        (demo.folder / "unmasked.yaml").write_text(unmasked, "utf-8")
        demo.run("plan", "--file", "unmasked.yaml", expect=3)
        demo.say("5. The forecast", "The plan, replayed against traffic that was recorded of this service.")
        simulate = ("--traffic", TRAFFIC, "--runs", "20", "--seed", "7")
        demo.run("simulate", "release.plan", *simulate, "--out", "forecast.json")

        with demo.load(endpoint, "--rate", RATE, "--seconds", "1800"):
            demo.say("6. Apply", f"The same plan, for real, while {RATE} callers a second speak into open lines.")
            demo.run("apply", "release.plan", "--auto-approve", "--no-forecast")
            listen(endpoint)
            demo.run("compare", "forecast.json")

            demo.say(
                "7. Cheaper, and worse on an accent",
                "one-accent.yaml knows one way of saying each word and searches narrowly: a third less to compute. Its",
                "suite is two thirds American, and passes it.",
                "The West Midlands are judged first, and apart from all others:",
                "proved worse, or not proved well enough in three minutes, it has to go.",
            )
            demo.run("evaluate", "--file", "one-accent.yaml")
            demo.caught("one-accent.yaml", simulate)

            demo.say(
                "8. Late with the first words",
                "slow.yaml hears in pieces of 1.2 s. No word is wrong, and every caller waits: the gate of the time to",
                "the first partial transcript has to catch it.",
            )
            demo.run("apply", "--file", "slow.yaml", "--auto-approve", "--no-forecast", expect=4)

        demo.say("9. What serves now")
        demo.run("status")
        listen(endpoint)
        demo.check_telemetry()
        print((demo.folder / "load-1.log").read_text("utf-8").splitlines()[-1])
    demo.finish(demo.forecast("bad.json", "word_error_rate"))


if __name__ == "__main__":
    main()
