"""The pictures: handwritten digits that scikit-learn ships (UCI, CC BY 4.0), in three ways of drawing them.

Every other picture is for what is released (engines, adapters, moderation), the others for the judges alone.
"""

from __future__ import annotations

import gzip
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from dataplane.classifiers import SIDE, Floats


def digits(half: int) -> tuple[Floats, Floats]:
    """Pictures [n, 8, 8] from 0 to 1 and the digit of each, of half 0 (releases) or 1 (judges)."""
    package = find_spec("sklearn")  # only its file is read: to import it takes longer than most builds here
    if package is None or not package.submodule_search_locations:
        sys.exit("scikit-learn isn't installed, and the pictures are in it. In a clone: pip install '.[examples]'.")
    file = Path(package.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"
    with gzip.open(file, "rt") as text:
        rows = np.loadtxt(text, delimiter=",")
    return rows[half::2, :-1].reshape(-1, SIDE, SIDE) / 16.0, rows[half::2, -1].astype(np.int64)


def plain(pictures: Floats) -> Floats:
    return pictures


def bold(pictures: Floats) -> Floats:
    """Strokes twice as wide: the house style."""
    framed = np.pad(pictures, ((0, 0), (1, 1), (1, 1)))
    beside = [framed[:, y : y + SIDE, x : x + SIDE] for y, x in ((0, 1), (1, 0), (1, 1), (1, 2), (2, 1))]
    wide = np.max(beside, axis=0)
    found: Floats = np.clip(0.6 * wide + 0.6 * pictures, 0, 1)
    return found


def thin(pictures: Floats) -> Floats:
    """Only the middle of each stroke."""
    found: Floats = np.clip(pictures - 0.35, 0, 1) * 1.2
    return found


DRAWN = {"plain": plain, "bold": bold, "thin": thin}


def kept(folder: Path) -> tuple[Floats, Floats]:
    """Pictures and digits of a dataset."""
    with np.load(folder / "pictures.npz", allow_pickle=False) as found:
        return found["pictures"].astype(np.float64), found["digits"].astype(np.int64)
