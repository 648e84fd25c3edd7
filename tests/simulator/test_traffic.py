"""Recorded traffic: what is read, what is derived, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from rollcast.simulator.base.errors import TrafficError
from rollcast.simulator.traffic.recording import read_traffic
from tests.simulator.recorded import TRACE

HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
LINE = "2023-11-16 18:15:46.6805900,374,44\n"


def test_the_azure_hour_is_read_whole() -> None:
    traffic = read_traffic(TRACE)
    assert len(traffic) == 19_366
    assert (int(traffic.input_tokens[0]), int(traffic.output_tokens[0])) == (374, 44)
    assert traffic.arrival_s[1] == pytest.approx(4.314579, abs=1e-5)
    assert bool(np.all(np.diff(traffic.arrival_s) >= 0))


def test_what_the_trace_does_not_have_is_derived_and_said() -> None:
    traffic = read_traffic(TRACE, seed=5)
    assert any("users are synthetic" in said for said in traffic.assumptions)
    assert bool(np.all(traffic.key == read_traffic(TRACE, seed=5).key))
    assert bool(np.any(traffic.key != read_traffic(TRACE, seed=6).key))


def test_a_scale_multiplies_the_arrival_rate() -> None:
    plain, fast = read_traffic(TRACE), read_traffic(TRACE, scale=4)
    assert fast.span_s == pytest.approx(plain.span_s / 4)


def test_two_files_come_one_after_the_other() -> None:
    one, two = read_traffic(TRACE), read_traffic([TRACE, TRACE])
    assert len(two) == 2 * len(one)
    assert two.span_s == pytest.approx(2 * one.span_s)
    assert two.keys == one.keys


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEADER + LINE + "2023-11-16 18:15:50,many,44\n", ":3: 'many' is not a number of tokens"),
        (HEADER + LINE + "yesterday,3,44\n", ":3: 'yesterday' is not a time"),
        (HEADER + LINE + "2023-11-16 18:15:50,3\n", ":3: 2 fields where the header names 3"),
        (HEADER + LINE + "2023-11-16 18:15:50,-3,44\n", ":3: -3 tokens are not possible"),
        (HEADER + LINE + "2023-11-16 18:15:50,99999999999,44\n", ":3: 99999999999 tokens"),
        (HEADER, "holds no requests"),
        ("", "is empty"),
    ],
)
def test_what_can_not_be_used_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(TrafficError, match=re.escape(said)):
        read_traffic(path)


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(TrafficError, match="--traffic FILE"):
        read_traffic(tmp_path / "nothing.csv")
