"""Builds the index of verified sources: help centre articles, each with its vector of the embedder that will ask.

Run by rollcast as the build of `verified-sources`; the same articles and embedder give the same index.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent))  # in a checkout, demos stands beside the examples

from dataplane import models
from demos.building import Task, task, write_json


def build(job: Task) -> None:
    (file,) = (each for folder in job.sources for each in folder.glob("20*.json"))
    articles = json.loads(file.read_text("utf-8"))
    embedder = models.load(job.source_with("classifier.npz"))
    vectors = [embedder.embed(f"{each['title']} {each['text']}").round(5).tolist() for each in articles]
    write_json(job.out / "index.json", {"passages": articles, "vectors": vectors})


if __name__ == "__main__":
    build(task())
