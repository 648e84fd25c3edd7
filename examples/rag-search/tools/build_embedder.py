"""Builds an embedding model of `parameters.family`: `hashed` (from a seed alone) or `svd` (from a dataset).

Random numbers are seeded and values rounded to four digits, so that building again on the same machine gives the same
bytes. Another processor or another version of numpy may round the last digit of `svd` differently.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.decomposition import TruncatedSVD
from threadpoolctl import threadpool_limits

from dataplane.embedders import DIMENSION, Vectors
from dataplane.text import words
from tools.building import Task, read_documents, task, write_json
from tools.corpus import Document

BUCKETS = 4096
LEAST_DOCUMENTS = 2


def hashed_directions(seed: int) -> Vectors:
    """One Gaussian direction for each bucket."""
    return np.random.default_rng(seed).standard_normal((BUCKETS, DIMENSION)).astype(np.float32).round(4)


def svd_directions(documents: list[Document], seed: int) -> tuple[dict[str, int], Vectors]:
    """The vocabulary and, for each word, idf times its right singular vectors of the TF-IDF matrix."""
    counts = [Counter(words(f"{document.title} {document.text}")) for document in documents]
    containing = Counter(word for count in counts for word in count)
    known = sorted(word for word, number in containing.items() if number >= LEAST_DOCUMENTS)
    vocabulary = {word: row for row, word in enumerate(known)}
    idf = np.log((1 + len(documents)) / (1 + np.array([containing[word] for word in known]))) + 1
    rows, columns, values = [], [], []
    for row, count in enumerate(counts):
        entries = [(vocabulary[word], number) for word, number in count.items() if word in vocabulary]
        weights = np.array([(1 + np.log(number)) * idf[column] for column, number in entries])
        rows += [row] * len(entries)
        columns += [column for column, _ in entries]
        values += list(weights / (np.linalg.norm(weights) or 1.0))
    matrix = csr_matrix((values, (rows, columns)), shape=(len(documents), len(vocabulary)))
    with threadpool_limits(1):
        model = TruncatedSVD(DIMENSION, algorithm="randomized", n_iter=4, random_state=seed).fit(matrix)
    return vocabulary, (model.components_.T * idf[:, None]).astype(np.float32).round(4)


def build(job: Task) -> None:
    family, seed = job.parameters.get("family"), int(job.parameters.get("seed", 1))
    if family == "hashed":
        directions = hashed_directions(seed)
    elif family == "svd":
        vocabulary, directions = svd_directions(read_documents(job.source_with("documents.jsonl")), seed)
        write_json(job.out / "vocabulary.json", vocabulary)
    else:
        sys.exit(f"{job.artifact} has parameters.family '{family}'. Write hashed or svd.")
    np.save(job.out / "directions.npy", directions, allow_pickle=False)
    write_json(job.out / "embedder.json", {"family": family})


if __name__ == "__main__":
    build(task())
