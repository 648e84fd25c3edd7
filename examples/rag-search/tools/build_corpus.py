"""Builds the dataset: the documentation strings of the running Python's standard library."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools.building import task, write_lines
from tools.corpus import standard_library

if __name__ == "__main__":
    write_lines(task().out / "documents.jsonl", [asdict(document) for document in standard_library()])
