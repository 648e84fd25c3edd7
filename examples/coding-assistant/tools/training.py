"""Trains a model on tasks that were solved: which token followed, for each token of each body, by gradient descent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from dataplane.models import END, Floats, features, rows

WIDTH = 1 << 14
BATCH, RATE = 2048, 0.4


@dataclass(frozen=True)
class Example:
    """One solved task: its language, what its prompt says, and its body as tokens."""

    language: str
    said: Sequence[str]
    body: Sequence[str]


def trained(examples: Sequence[Example], epochs: int, seed: int) -> tuple[Floats, list[str]]:
    """(weights, vocabulary). Adagrad on the cross-entropy; the same examples and seed give the same weights."""
    vocabulary = [END, *sorted({token for each in examples for token in each.body})]
    place = {token: number for number, token in enumerate(vocabulary)}
    found, wanted = [], []
    for each in examples:
        for at, token in enumerate((*each.body, END)):
            found.append(rows(features(each.language, each.said, each.body[:at]), WIDTH))
            wanted.append(place[token])
    starts = np.cumsum([0, *map(len, found)])
    flat = np.fromiter((one for row in found for one in row), np.int32, int(starts[-1]))
    inputs = csr_array((np.ones(len(flat), np.float32), flat, starts), shape=(len(found), WIDTH))
    targets = np.array(wanted)
    weights = np.zeros((WIDTH, len(vocabulary)), np.float32)
    squares = np.full_like(weights, 1e-3)
    random = np.random.default_rng(seed)
    for _ in range(epochs):
        order = random.permutation(len(targets))
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            batch = inputs[chosen]
            scores = batch @ weights
            scores -= scores.max(axis=1, keepdims=True)
            chances = np.exp(scores)
            chances /= chances.sum(axis=1, keepdims=True)
            chances[np.arange(len(chosen)), targets[chosen]] -= 1
            used, local = np.unique(batch.indices, return_inverse=True)
            narrow = csr_array((batch.data, local.ravel(), batch.indptr), shape=(len(chosen), len(used)))
            gradient = (narrow.T @ chances) / len(chosen)
            squares[used] += gradient**2
            weights[used] -= RATE * gradient / np.sqrt(squares[used])
    return weights, vocabulary
