"""Runs a suite on a release, in a process of its own: callers of the service that serves don't wait for it.

rollcast runs it (`evaluator: {kind: command}`), with the release and the suite in the environment. Prints JSON:
words_right, right_language and translated_right, and the wrong words by accent as counts.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from dataplane import monitor, pipeline
from dataplane.instances import content
from dataplane.service import cases_of

SENT_BYTES = 3_200


class Contents:
    """The components of one release, from the folders of their content."""

    def __init__(self, release: dict[str, Any]) -> None:
        parts = release["components"].values()
        self._loaded = {part["instance"]: content(Path(part["content"])) for part in parts}

    def get(self, instance: str, digest: str | None = None) -> Any:
        return self._loaded[instance]


def evaluate(release: dict[str, Any], suite: Path) -> dict[str, Any]:
    """What the suite says of the release."""
    contents = Contents(release)
    wrong: Counter[str] = Counter()
    words: Counter[str] = Counter()
    language = translated = cases = 0
    for case, sound in cases_of(suite):
        call = pipeline.Call(release, contents, case["codec"], "")
        for start in range(0, len(sound), SENT_BYTES):
            list(call.sound(sound[start : start + SENT_BYTES]))
        found = call.end()
        many, of = monitor.wrong_words(case["said"], found.heard)
        accent = case["attributes"]["accent"]
        wrong[accent] += min(many, of)
        words[accent] += of
        language += found.language == case["attributes"]["language"]
        translated += monitor.plain(found.translation) == monitor.plain(case["translated"])
        cases += 1
    segments = {accent: {"failures": wrong[accent], "total": words[accent]} for accent in sorted(words)}
    total = {"failures": wrong.total(), "total": words.total()}
    metrics = {
        "words_right": 1 - wrong.total() / words.total(),
        "right_language": language / cases,
        "translated_right": translated / cases,
    }
    return {"cases": cases, "metrics": metrics, "counts": {"word_error_rate": {**total, "segments": segments}}}


if __name__ == "__main__":
    described = json.loads(Path(os.environ["ROLLCAST_RELEASE"]).read_text("utf-8"))
    print(json.dumps(evaluate(described, Path(os.environ["ROLLCAST_SUITE"]))))
