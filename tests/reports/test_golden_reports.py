"""What a reviewer reads of each shipped example, word for word."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reports.golden_reports import GOLDEN, NAMES, texts_of


def test_every_example_has_its_reports() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == {f"{name}.{kind}" for name in NAMES for kind in ("md", "html")}


SLOW = ("workflow-platform",)  # a platform that is simulated by the readable engine, for days of traffic


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in NAMES]
)
def test_the_reports_of_an_example_are_as_committed(name: str, tmp_path: Path) -> None:
    for file, text in texts_of(name, tmp_path).items():
        assert (GOLDEN / file).read_text("utf-8") == text, (
            "see the difference; 'python -m tests.reports.golden_reports'"
        )
