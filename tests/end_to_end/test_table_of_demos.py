"""The table of all demos says of each what its last line said, and that one failed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_table_has_a_line_for_each_demo_and_says_which_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    sys.modules.pop("demos", None)
    from demos import all as demos

    said = {
        "promoted": True, "caught_after_s": 16.0, "exposed": 160, "mixed": 0, "lost": 0, "seconds": 185,
        "forecast_said": {"promoted": 1.0, "would_catch": {"probability": 0.95, "requests_exposed": 183.2}},
    }  # fmt: skip
    bare = {**said, "forecast_said": None, "caught_after_s": None, "mixed": 1}
    head, *lines = demos.table([demos.row("a", said), demos.row("longer", bare), demos.row("c", None)])
    assert head.split("  ")[0].strip() == "system"
    assert lines[0].split() == ["a", "yes", "16", "s", "160", "95%,", "183", "requests", "0", "0", "3", "min", "5", "s"]
    assert lines[1].split() == ["longer", "yes", "-", "160", "-", "1", "0", "3", "min", "5", "s"]
    assert lines[2].split() == ["c", "FAILED"]
    assert [demos.good(one) for one in (said, bare, None)] == [True, False, False]
    live = {"coding-assistant", "customer-support", "rag-search", "image-generation", "transcription"}
    assert live <= {*demos.demos()}
