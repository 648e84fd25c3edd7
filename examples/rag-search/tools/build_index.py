"""Builds a retrieval index from a dataset and the embedding model that its queries will use.

`parameters.passage_schema` is "1" (id and text) or "2" (id, title and text; the title is embedded with the text).
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from dataplane import embedders
from tools.building import Task, read_documents, task, write_json, write_lines


def build(job: Task) -> None:
    documents = read_documents(job.source_with("documents.jsonl"))
    embedder = embedders.load(job.source_with("embedder.json"))
    schema = str(job.parameters.get("passage_schema"))
    if schema == "1":
        passages = [{"id": document.id, "text": document.text} for document in documents]
    elif schema == "2":
        passages = [{"id": document.id, "title": document.title, "text": document.text} for document in documents]
    else:
        sys.exit(f'{job.artifact} has parameters.passage_schema {schema}. Write "1" or "2".')
    texts = [f"{passage.get('title', '')} {passage['text']}" for passage in passages]
    np.save(job.out / "vectors.npy", embedders.embed_all(embedder, texts).round(5), allow_pickle=False)
    write_lines(job.out / "passages.jsonl", passages)
    write_json(job.out / "index.json", {"embedding_space": embedder.space, "passage_schema": schema})


if __name__ == "__main__":
    build(task())
