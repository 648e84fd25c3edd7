"""Trains and builds everything that the declarations name, once, and prints how good the judges are.

Run in the project folder: python tools/prepare.py. What is built is kept below .rollcast/artifacts by its digest;
judges@1 is also put where the service looks for it: .rollcast/judges.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from dataplane import judges
from rollcast.stacks.artifacts.building import materialize
from rollcast.stacks.artifacts.recipes import definitions_of
from rollcast.stacks.project import Project
from tools.pictures import DRAWN, digits

PROJECT = Path(__file__).resolve().parent.parent
JUDGES = PROJECT / ".rollcast" / "judges"


def main() -> None:
    project = Project.open(PROJECT)
    definitions = definitions_of(project.declaration)
    began = time.monotonic()
    for place, reference in enumerate(definitions, 1):
        started = time.monotonic()
        folder = materialize(reference, definitions, project.digests, PROJECT)
        took = time.monotonic() - started
        print(f"  {place:>2} of {len(definitions)}  {reference:<28} {took:5.1f} s", flush=True)
        if reference == "judges@1":
            JUDGES.unlink(missing_ok=True)
            JUDGES.symlink_to(folder.resolve())
    print(f"built in {time.monotonic() - began:.0f} s")
    found = judges.load(JUDGES)
    pictures, subjects = digits(0)
    for name, draw in DRAWN.items():
        seen = found.subjects.probabilities(draw(pictures)).argmax(axis=1)
        print(f"judges@1 names the subject of {np.mean(seen == subjects):.1%} of the {name} pictures that it never saw")


if __name__ == "__main__":
    main()
