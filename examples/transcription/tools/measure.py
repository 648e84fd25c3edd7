"""Word error rates by accent and by line, of each acoustic model with its grammar, over the recorded calls.

Run in the project folder: python tools/measure.py [--calls 160]. It builds the artifacts that it needs, and keeps them.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from dataplane import acoustic, grammar, monitor
from dataplane.front import Front
from dataplane.service import cases_of
from rollcast.stacks.artifacts.building import materialize
from rollcast.stacks.artifacts.recipes import definitions_of
from rollcast.stacks.project import Project

PROJECT = Path(__file__).resolve().parent.parent
VERSIONS = {"acoustic@1": "lm-policy@1", "acoustic@2": "lm-policy@2", "acoustic@3": "lm-policy@2"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=160)
    most = parser.parse_args().calls
    project = Project.open(PROJECT)
    definitions = definitions_of(project.declaration)

    def folder(reference: str) -> Path:
        return materialize(reference, definitions, project.digests, PROJECT)

    cases = list(cases_of(folder("calls@1")))[:most]
    print(f"Wrong words of 100, of {len(cases)} calls; and processor milliseconds for each second of sound.")
    for model, policy in VERSIONS.items():
        hearing, sentences = acoustic.load(folder(model)), grammar.load(folder(policy))
        wrong: Counter[str] = Counter()
        words: Counter[str] = Counter()
        sound_bytes, began = 0, time.process_time()
        for case, sound in cases:
            call, stream = acoustic.Hearing(hearing, sentences), Front(200).stream(case["codec"])
            for piece in stream.heard(sound, last=True):
                sound_bytes += len(piece)
                call.piece(piece)
            many, of = monitor.wrong_words(case["said"], call.end())
            quiet = case["attributes"]["line"] == "quiet"
            for name in ("all", case["attributes"]["accent"] if quiet else case["attributes"]["line"]):
                wrong[name] += min(many, of)
                words[name] += of
        cost = (time.process_time() - began) / (sound_bytes / 32_000) * 1000
        rates = "  ".join(f"{name} {100 * wrong[name] / words[name]:.0f}" for name in sorted(words))
        print(f"  {model}: {rates}  ({cost:.0f} ms)", flush=True)


if __name__ == "__main__":
    main()
