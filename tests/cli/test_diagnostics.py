"""Diagnostics: off by default, on standard error, one line each, and never in the way of results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rollcast.cli.main import main

EXAMPLE = Path(__file__).parents[2] / "examples" / "rag-search"
PLAN = ("-C", str(EXAMPLE), "plan", "--from", "released.yaml", "--format", "json")


def test_debug_shows_how_a_plan_came_about_beside_the_same_result(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(PLAN) == 0
    plain = capsys.readouterr()
    assert main(["--debug", *PLAN]) == 0
    shown = capsys.readouterr()
    assert plain.err == ""
    assert json.loads(shown.out) == json.loads(plain.out)
    lines = shown.err.splitlines()
    assert all(" DEBUG rollcast." in line for line in lines)
    assert any("index before reranker: reranker bm25@2 requires passage-schema" in line for line in lines)


def test_the_level_comes_from_the_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROLLCAST_LOG", "warning")
    assert main(PLAN) == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("ROLLCAST_LOG", "loud")
    assert main(PLAN) == 1
    assert "debug, info, warning or error" in capsys.readouterr().err
