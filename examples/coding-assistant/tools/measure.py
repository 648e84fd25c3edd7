"""How many tasks each model solves in each language, with the template and the prompt that it is written for.

Run in the project's folder: python tools/measure.py [--tasks 100]. It builds what it needs, and keeps it.
No task of these is in the training data or the suite.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from dataplane import monitor, pipeline
from dataplane.sandbox import Sandbox
from dataplane.service import cursor_of, tests_of
from demos.instances import content
from rollcast.stacks.artifacts.building import materialize
from rollcast.stacks.artifacts.recipes import definitions_of
from rollcast.stacks.project import Project
from tools.tasks import LANGUAGES, request, task

PROJECT = Path(__file__).resolve().parent.parent
TOGETHER = {  # model: its analysis template and its prompt
    "coder@7": ("code-analysis@5", "fill-in-middle@9"),
    "coder@8": ("code-analysis@6", "fill-in-middle@10"),
    "coder@9": ("code-analysis@6", "fill-in-middle@10"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=100, help="in each language")
    many, sandbox = parser.parse_args().tasks, Sandbox()
    for language, confined in sandbox.confined().items():
        print(f"sandbox for {language}: {confined}", flush=True)
    project = Project.open(PROJECT)
    definitions = definitions_of(project.declaration)

    def part(reference: str) -> tuple[Any, float]:
        began = time.monotonic()
        folder = materialize(reference, definitions, project.digests, PROJECT)
        return content(folder, pipeline.LOADERS), time.monotonic() - began

    for model, (template, prompt) in TOGETHER.items():
        names = ("code-analyzer@3", template, model, prompt, "secrets@3")
        made = [part(name) for name in names]
        parts = dict(zip(pipeline.SLOTS, (each for each, _ in made), strict=True))
        solved, began = dict.fromkeys(LANGUAGES, 0), time.process_time()
        for language in LANGUAGES:
            for number in range(many):
                case = request(task(language, "measured", number))
                cursor = cursor_of(case)
                found = pipeline.complete(parts, cursor)
                solved[language] += not monitor.judged(found, cursor, None, tests_of(case), sandbox)["failed"]
        each_ms = (time.process_time() - began) * 1000 / (many * len(LANGUAGES))
        rates = ", ".join(f"{language} {100 * right / many:.0f}" for language, right in solved.items())
        print(f"  {model} solves of 100: {rates}  ({each_ms:.0f} ms each; built in {made[2][1]:.0f} s)", flush=True)
    sandbox.stop()


if __name__ == "__main__":
    main()
