"""Trains a classifier of questions: logistic regression over `models.features`, by scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from dataplane.models import features


def train(texts: Sequence[str], labels: Sequence[str], out: Path, softness: float) -> None:
    """Writes classifier.npz. The same texts in the same order give the same weights; `softness`: 1 / regularization."""
    given = np.stack(list(map(features, texts)))
    seen = given.any(axis=0)  # what no text has gets no weight, and costs no time
    with threadpool_limits(1):
        found = LogisticRegression(C=softness, max_iter=500, tol=1e-6).fit(given[:, seen], labels)
    weights = np.zeros((given.shape[1], len(found.classes_)), np.float16)
    weights[seen] = found.coef_.T
    names, biases = np.array(found.classes_), found.intercept_.astype(np.float32)
    np.savez_compressed(out / "classifier.npz", names=names, weights=weights, biases=biases)
