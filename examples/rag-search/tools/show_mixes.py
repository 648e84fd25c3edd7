"""Why the order of a release matters: what each mix of embedder and index finds, and what reranker 2 does to index 1.

Run in the project folder: python tools/show_mixes.py. Builds the artifacts that it needs, and keeps them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from dataplane import embedders, indexes, rerankers
from dataplane.errors import BrokenMix
from rollcast.stacks.artifacts.building import materialize
from rollcast.stacks.project import Project

PROJECT = Path(__file__).resolve().parent.parent
FOUND = 5


def main() -> None:
    project = Project.open(PROJECT)
    definitions = {a.reference: a.model_dump(mode="json") for a in project.declaration.artifacts}

    def folder(reference: str) -> Path:
        return materialize(reference, definitions, project.digests, PROJECT)

    lines = (folder("known-passages@1") / "cases.jsonl").read_text("utf-8").splitlines()
    cases: list[dict[str, Any]] = [json.loads(line) for line in lines]
    models = {reference: embedders.load(folder(reference)) for reference in ("hashed@1", "svd@1")}
    found = {reference: indexes.load(folder(reference)) for reference in ("stdlib@1", "stdlib@2")}
    print(f"Questions of known-passages@1 whose passage is among the {FOUND} nearest:")
    for model, embedder in models.items():
        for index, passages in found.items():
            hits = [passages.search(embedder.embed(case["query"]), FOUND) for case in cases]
            right = sum(
                case["relevant"] in {hit.passage.id for hit in some} for case, some in zip(cases, hits, strict=True)
            )
            whole = (model, index) in (("hashed@1", "stdlib@1"), ("svd@1", "stdlib@2"))
            note = "" if whole else "   <- confident nonsense: no error, wrong passages"
            print(f"  {model:<9} with {index}: {right / len(cases):>6.1%}{note}")
    reranker = rerankers.load(folder("bm25@2"))
    query = cases[0]["query"]
    try:
        reranker.rerank(query, found["stdlib@1"].search(models["hashed@1"].embed(query), FOUND), FOUND)
    except BrokenMix as error:
        print(f"  bm25@2    with stdlib@1: every request fails. {error}")


if __name__ == "__main__":
    main()
