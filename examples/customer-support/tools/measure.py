"""How each policy does on the questions of the load, with the sources that it is written for.

Run in the project's folder: python tools/measure.py. It builds what it needs, and keeps it. No question of these is in
the training data or in the suite. `--show` prints each turn that went wrong.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from dataplane import pipeline
from dataplane.monitor import Monitor
from dataplane.pipeline import Turn
from demos.building import read_lines
from demos.instances import content
from rollcast.stacks.artifacts.building import materialize
from rollcast.stacks.artifacts.recipes import definitions_of
from rollcast.stacks.project import Project

PROJECT = Path(__file__).resolve().parent.parent
SOURCES = {"5": "2026-10", "6": "2026-11", "7": "2026-11", "8": "2026-11"}  # of each policy
MEMORY = {"memory": ("support-answer@7", "customer-history@5"), "privacy": ("private-answer@1", "no-history@1")}


def turns() -> list[tuple[Turn, dict[str, Any]]]:
    """Every question by itself, and every follow-up after each question about the same article."""
    questions = read_lines(PROJECT / "questions/first.jsonl")
    found = [(Turn(each["text"]), each) for each in questions]
    for later in read_lines(PROJECT / "questions/later.jsonl"):
        before = [each["text"] for each in questions if each.get("article") == later["article"]]
        found += [(Turn(later["text"], (text,)), later) for text in before]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--show", action="store_true", help="each turn that went wrong")
    show, monitor, given = parser.parse_args().show, Monitor(), turns()
    project = Project.open(PROJECT)
    definitions = definitions_of(project.declaration)

    def part(reference: str) -> Any:
        return content(materialize(reference, definitions, project.digests, PROJECT), pipeline.LOADERS)

    shared = ("question-topics@2", "word-overlap@2", "support-agent@11", "ticket-tools@3")
    embedder, reranker, agent, tools = map(part, shared)
    print(f"of 100 turns ({len(given)} in all):    right  unsupported  refused wrongly  let through")
    for policy, edition in SOURCES.items():
        for name, (prompt, cues) in MEMORY.items():
            own = (embedder, part(f"verified-sources@{edition}"), reranker, agent, part(prompt), tools, part(cues))
            parts = dict(zip(pipeline.SLOTS, (*own, part(f"support-policy@{policy}")), strict=True))
            began, judged = time.process_time(), []
            for turn, wanted in given:
                found = pipeline.answer(parts, turn, lambda name: False)
                judged.append(monitor.judged(found, wanted))
                if show and not judged[-1]["satisfaction"]:
                    print(f"    {policy} {name}: {turn.before} {turn.question} -> {found.text} (wanted {wanted})")
            each_ms = (time.process_time() - began) * 1000 / len(given)
            rates = [100 * sum(each[of] for each in judged) / len(judged)
                     for of in ("satisfaction", "hallucination", "rejected", "violation")]  # fmt: skip
            said = "".join(f"{rate:>{width}.0f}" for rate, width in zip(rates, (6, 13, 17, 13), strict=True))
            print(f"  support-policy@{policy}, {name:<8} {said}     ({each_ms:.1f} ms each)", flush=True)


if __name__ == "__main__":
    main()
