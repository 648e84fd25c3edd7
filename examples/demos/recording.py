"""Records the traffic of an example by running it: its first release, its load for a while, `rollcast record`.

What is recorded is packed where its name ends in `.gz`. Keys are hashed, and telemetry holds no words that could be.
"""

from __future__ import annotations

import gzip
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from demos.demo import Demo


def record(
    example: Path,
    traffic: str,
    attributes: Sequence[str],
    *,
    load: Sequence[str] = (),
    seconds: int = 120,
    longer_s: int = 5,
    each_replica: bool = True,
) -> None:
    """Writes `traffic` into the example, and prints what `rollcast calibrate` makes of it.

    `attributes`: those of requests that are kept; `load`: words for its load.py; `longer_s`: what the load takes to
    start; `each_replica`: whether a profile is of one of the replicas.
    """
    with tempfile.TemporaryDirectory() as folder:
        demo = Demo(
            example,
            service=["-m", "dataplane.service"],
            declarations=["released.yaml"],
            folder=Path(folder) / example.name,
        )
        with demo.serving() as endpoint:
            demo.run("apply", "--file", "released.yaml", "--auto-approve", "--no-forecast")
            with demo.load(endpoint, *load, "--seconds", str(seconds)):
                time.sleep(seconds + longer_s)
        plain = traffic.removesuffix(".gz")
        demo.run("record", "--out", plain, *(word for name in attributes for word in ("--attribute", name)))
        content = (demo.folder / plain).read_bytes()
        if traffic == plain:
            (example / traffic).write_bytes(content)
        else:
            with gzip.GzipFile(example / traffic, "wb", mtime=0) as packed:
                packed.write(content)
        replicas = ("--replicas", str(len(demo.replicas))) if each_replica else ()
        of = ("--file", "released.yaml", "--telemetry", plain, "--station", "pool")
        demo.run("calibrate", *of, *replicas, "--out", "profile.yaml")
        print((demo.folder / "load-1.log").read_text("utf-8"))
        print((demo.folder / "profile.yaml").read_text("utf-8"))
