"""Records the traffic of this example by running it: its first release, a minute of calls, `rollcast record`.

Run in a checkout: python examples/transcription/tools/record.py. It writes traffic/calls.jsonl and prints what
`rollcast calibrate` makes of it. Keys are hashed, and there are no words in telemetry that could be recorded.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent.parent))

from demos.demo import Demo

EXAMPLE = Path(__file__).resolve().parent.parent
SECONDS = 120
CALLS = "traffic/calls.jsonl"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        demo = Demo(
            EXAMPLE,
            service=["-m", "dataplane.service"],
            declarations=["released.yaml"],
            folder=Path(folder) / "transcription",
        )
        with demo.serving() as endpoint:
            demo.run("apply", "--file", "released.yaml", "--auto-approve", "--no-forecast")
            with demo.load(endpoint, "--rate", "4", "--seconds", str(SECONDS)):
                time.sleep(SECONDS + 20)  # the calls are built first
        attributes = [word for name in ("accent", "line", "region") for word in ("--attribute", name)]
        demo.run("record", "--out", CALLS, *attributes)
        shutil.copyfile(demo.folder / CALLS, EXAMPLE / CALLS)
        demo.run(
            "calibrate", "--file", "released.yaml", "--telemetry", CALLS, "--station", "pool", "--out", "profile.yaml"
        )
        print((demo.folder / "profile.yaml").read_text("utf-8"))


if __name__ == "__main__":
    main()
