"""Records the traffic of this example by running it: its first release, two minutes of work, `rollcast record`.

Run in a checkout: python examples/coding-assistant/tools/record.py. It writes traffic/completions.jsonl.gz and prints
what `rollcast calibrate` makes of it. Keys are hashed, and there is no code in telemetry that could be recorded.
"""

from __future__ import annotations

import gzip
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent.parent))

from demos.demo import Demo

EXAMPLE = Path(__file__).resolve().parent.parent
SECONDS = 120
RECORDED = "traffic/completions.jsonl"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        demo = Demo(
            EXAMPLE,
            service=["-m", "dataplane.service"],
            declarations=["released.yaml"],
            folder=Path(folder) / "coding-assistant",
        )
        with demo.serving() as endpoint:
            demo.run("apply", "--file", "released.yaml", "--auto-approve", "--no-forecast")
            with demo.load(endpoint, "--seconds", str(SECONDS)):
                time.sleep(SECONDS + 5)
        attributes = [
            word for name in ("segment", "editor_version", "repository", "language") for word in ("--attribute", name)
        ]
        demo.run("record", "--out", RECORDED, *attributes)
        with gzip.GzipFile(EXAMPLE / f"{RECORDED}.gz", "wb", mtime=0) as packed:
            packed.write((demo.folder / RECORDED).read_bytes())
        demo.run(
            "calibrate",
            "--file",
            "released.yaml",
            "--telemetry",
            RECORDED,
            "--station",
            "pool",
            "--replicas",
            str(len(demo.replicas)),
            "--out",
            "profile.yaml",
        )
        print((demo.folder / "load-1.log").read_text("utf-8"))
        print((demo.folder / "profile.yaml").read_text("utf-8"))


if __name__ == "__main__":
    main()
