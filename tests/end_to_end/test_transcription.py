"""Speech through the real engine and the real service: partial transcripts while it is spoken, late ones caught.

What is pure in the example is held to properties here too. Its modules are loaded one by one: every example has a
package named `dataplane`.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.commands import run_here
from tests.end_to_end.conftest import _free_port, _running, _wait, copied

EXAMPLE = Path(__file__).parents[2] / "examples" / "transcription"
WORDS = st.lists(st.sampled_from(["my", "number", "is", "one", "two", "Friday", "sábado", "order"]), max_size=8).map(
    " ".join
)
SAMPLES = st.lists(st.integers(-32768, 32767), max_size=400)


def loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"transcription_{name}", EXAMPLE / f"dataplane/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


front, grammar, monitor = loaded("front"), loaded("grammar"), loaded("monitor")


@given(SAMPLES, st.integers(10, 400), st.lists(st.integers(1, 300), max_size=8))
def test_whatever_way_sound_arrives_every_sample_is_heard_once_and_in_order(
    samples: list[int], chunk_ms: int, sizes: list[int]
) -> None:
    data = np.array(samples, np.int16).tobytes()
    stream, pieces, at = front.Front(chunk_ms).stream("pcm16-16khz"), [], 0
    for size in sizes:
        pieces += stream.heard(data[at : at + size])
        at += size
    full = len(pieces)
    pieces += stream.heard(data[at:], last=True)
    assert b"".join(pieces) == data
    assert all(len(piece) == chunk_ms * 32 for piece in pieces[:full])


@given(SAMPLES)
def test_a_telephone_hears_nearly_what_was_said(samples: list[int]) -> None:
    said = np.array(samples, np.int16)
    heard = front.expanded(front.compressed(said))
    assert np.all(np.abs(heard.astype(int) - said) <= np.abs(said.astype(int)) / 16 + 150)


@given(WORDS, WORDS)
def test_wrong_words_are_a_distance(one: str, other: str) -> None:
    wrong, words = monitor.wrong_words(one, other)
    assert wrong == monitor.wrong_words(other, one)[0]
    assert abs(words - len(other.split())) <= wrong <= max(words, len(other.split()))
    assert (wrong == 0) == (one == other)
    assert 0 <= monitor.word_error_rate(one, other) <= 1


@given(WORDS)
def test_a_masked_transcript_says_nobodys_number(rest: str) -> None:
    policy = grammar.load(EXAMPLE / "grammars/2")
    for begun in ("My number is", "Mi número es"):
        assert not monitor.says_a_number(policy.masked(f"{begun} {rest}"))
    assert policy.masked(f"Cancel {rest}") == f"Cancel {rest}"


@contextmanager
def project(folder: Path) -> Iterator[Path]:
    """A copy with fewer calls, whose next release waits long for sound; one replica serves it."""
    copied(EXAMPLE, folder)
    port = _free_port()
    for path in folder.glob("*.yaml"):
        text = path.read_text("utf-8").replace("127.0.0.1:8787", f"127.0.0.1:{port}")
        text = re.sub(r"cases: \d+", "cases: 30", text).replace("{words_right: 0.8}", "{words_right: 0.5}")
        path.write_text(text, "utf-8")
    late = (folder / "released.yaml").read_text("utf-8").replace("audio-front@1", "audio-front@2")
    (folder / "rollcast.yaml").write_text(late, "utf-8")
    assert rollcast(folder, "lock").returncode == 0
    with _running(folder, ["-m", "dataplane.service", "--port", str(port)]):
        _wait(f"http://127.0.0.1:{port}/healthz")
        (folder / "endpoint").write_text(f"http://127.0.0.1:{port}", "utf-8")
        yield folder


def rollcast(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return run_here(folder, *words)


@pytest.mark.engine
@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("espeak-ng") is None and not os.environ.get("CI"), reason="espeak-ng is not installed: make servers"
)
def test_words_come_while_a_call_is_spoken_and_a_release_that_is_late_with_them_is_caught(tmp_path: Path) -> None:
    with project(tmp_path / "project") as folder:
        first = rollcast(folder, "apply", "--file", "released.yaml", "--auto-approve", "--no-forecast")
        assert first.returncode == 0, first.stdout + first.stderr
        endpoint = (folder / "endpoint").read_text("utf-8")
        with _running(folder, ["load.py", "--endpoint", endpoint, "--rate", "4", "--seconds", "600"]):
            late = rollcast(folder, "apply", "--auto-approve", "--no-forecast")
        assert late.returncode == 4, late.stdout + late.stderr
        assert "late_first_words is proved worse" in late.stdout

        lines = (folder / ".rollcast/live/telemetry/requests.jsonl").read_text("utf-8").splitlines()
    records: list[dict[str, Any]] = [json.loads(line) for line in lines]
    assert not [record for record in records if record["error"]]
    whole = [record for record in records if not record.get("cancelled")]
    assert sum(record["ttft_s"] < 0.8 * record["latency_s"] for record in whole) > len(whole) / 2
    assert len({(record["release"], json.dumps(record["components"])) for record in whole}) == 2
    assert not [record for record in whole if record["violation"]]
    spoken = {"transcript", "text", "said", "audio", "partial"}
    assert not [record for record in records if spoken & set(record)], "no words are kept"
