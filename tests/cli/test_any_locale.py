"""Whatever the locale, what is said can be written: characters that a stream lacks are written in their ASCII form."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcast.cli.terminal import ascii_form

EXAMPLE = Path(__file__).parents[2] / "examples" / "rag-search"


def _rollcast(encoding: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", "from rollcast.cli.main import script; script()", *arguments],
        cwd=EXAMPLE, capture_output=True, check=False,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "PYTHONIOENCODING": encoding, "NO_COLOR": "1"},
    )  # fmt: skip


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
@pytest.mark.parametrize("form", ["text", "markdown", "json"])
def test_a_plan_is_shown(encoding: str, form: str) -> None:
    shown = _rollcast(encoding, "plan", "--from", "released.yaml", "--format", form)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.decode(encoding)


def test_json_says_the_same_in_any_encoding() -> None:
    ways = ["plan", "--from", "released.yaml", "--format", "json"]
    narrow, wide = _rollcast("ascii", *ways), _rollcast("utf-8", *ways)
    assert json.loads(narrow.stdout.decode("ascii")) == json.loads(wide.stdout.decode("utf-8"))


@given(st.characters())
def test_every_character_has_an_ascii_form(character: str) -> None:
    assert ascii_form(character).isascii()
