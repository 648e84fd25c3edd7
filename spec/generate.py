"""Writes the golden vectors of bucketing from flagd's real evaluators, each in an environment of its own.

Run: python spec/generate.py (needs the package index; a minute). For each generation of flagd's hash it is
called, never copied: a key's bucket is found by bisection over two-variant splits; every percentage is evaluated for
every key. Keys are drawn from a fixed seed, so that the same evaluators give the same files, byte for byte.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

HERE = Path(__file__).parent
GENERATIONS = {
    "flagd-murmur3-32/1": ("openfeature-provider-flagd==0.5.0", "bucketing-flagd-murmur3-32-1"),
    "flagd-cbor-murmur3-32/1": ("openfeature-provider-flagd==0.6.1", "bucketing-flagd-cbor-murmur3-32-1"),
}
KEYS = 10_000
# Never empty, as in a real flag: the evaluator answers nothing where there is neither salt nor key.
SALTS = (
    "s",
    "rollcast-rag-search/default/:",
    "rollcast-übersetzung/privacy/2026-α:",
)
TOTAL = 100_000
STEPS = (0.001, 0.01, 0.1, 0.5, *range(1, 101))
SCRIPTS = ((0x20, 0x7E), (0xA0, 0x24F), (0x370, 0x3FF), (0x400, 0x4FF), (0x590, 0x6FF), (0x900, 0x97F),
           (0x3040, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0x1F300, 0x1FAFF), (0x0300, 0x036F))  # fmt: skip


def keys(count: int = KEYS) -> list[tuple[str, str]]:
    """(salt, key): ASCII, Unicode, numbers as text, empty, long, and what only looks alike."""
    draw = random.Random(20260701)
    found = [
        (salt, key)
        for salt in SALTS
        for key in ("", "a", "0", "7", "true", "é", "e\u0301", "\u00df", "ss", "\0", " ", "\n")
    ]
    found += [(salt, "x" * 4096) for salt in SALTS] + [(SALTS[1], "\U0001f469\u200d\U0001f680" * 256)]
    while len(found) < count:
        kind = draw.random()
        if kind < 0.4:
            key = f"user-{draw.randrange(10**6)}"
        elif kind < 0.5:
            key = str(draw.randrange(10**12))
        elif kind < 0.6:
            key = f"{draw.getrandbits(128):032x}"
        elif kind < 0.97:
            low, high = draw.choice(SCRIPTS)
            key = "".join(chr(draw.randint(low, high)) for _ in range(draw.randint(1, 24)))
        else:
            low, high = draw.choice(SCRIPTS)
            key = "".join(chr(draw.randint(low, high)) for _ in range(draw.randint(200, 1000)))
        found.append((draw.choice(SALTS), key))
    return found


EVALUATE = r"""
import hashlib, json, sys
from importlib.metadata import version
from openfeature.contrib.provider.flagd.resolvers.process.targeting import targeting
from openfeature.evaluation_context import EvaluationContext
wanted = json.load(sys.stdin)
total = wanted["total"]
def on_new(salt, context, weight):
    rule = {"fractional": [{"cat": [salt, {"var": "targetingKey"}]}, ["new", weight], ["old", total - weight]]}
    return targeting("flag", rule, context) == "new"
rows, steps = [], []
contexts = [(salt, EvaluationContext(key)) for salt, key in wanted["keys"]]
for salt, context in contexts:
    low, high = 0, total - 1  # the bucket is the least b for which weight b + 1 takes the key
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if on_new(salt, context, middle + 1) else (middle + 1, high)
    rows.append(low)
for percent in wanted["steps"]:
    weight = round(percent * total / 100)
    taken = "".join("1" if on_new(salt, context, weight) else "0" for salt, context in contexts)
    digest = hashlib.sha256(taken.encode()).hexdigest()
    steps.append({"percent": percent, "weight": weight, "new": taken.count("1"), "sha256": digest})
made_by = {name: version(name) for name in ("openfeature-provider-flagd", "openfeature-flagd-core")}
json.dump({"made_by": made_by, "buckets": rows, "steps": steps}, sys.stdout)
"""


def evaluated(requirement: str, folder: Path) -> dict[str, object]:
    """What the real evaluator of one generation says of every key and step."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement], check=True)
    arguments = json.dumps({"keys": keys(), "total": TOTAL, "steps": STEPS})
    done = subprocess.run([python, "-c", EVALUATE], input=arguments, capture_output=True, text=True, check=True)
    found: dict[str, object] = json.loads(done.stdout)
    return found


def lines(name: str, found: dict[str, object]) -> str:
    """The first line says what made it; then a line for each step, and one for each key."""
    head = {"bucketing": name, "made_by": found["made_by"], "total": TOTAL, "keys": KEYS}
    rows = [head, *({"step": step} for step in found["steps"])]  # type: ignore[attr-defined]
    rows += [
        {"salt": salt, "key": key, "bucket": bucket}
        for (salt, key), bucket in zip(keys(), found["buckets"], strict=True)  # type: ignore[call-overload]
    ]
    return "".join(json.dumps(row) + "\n" for row in rows)


def main() -> None:
    for name, (requirement, file) in GENERATIONS.items():
        with tempfile.TemporaryDirectory() as folder:
            text = lines(name, evaluated(requirement, Path(folder)))
        path = HERE / "vectors" / f"{file}.jsonl.gz"
        path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
        sys.stdout.write(f"{path.name}: sha256 {hashlib.sha256(text.encode()).hexdigest()}\n")


if __name__ == "__main__":
    main()
