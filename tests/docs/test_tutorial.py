"""The tutorial, typed in from its first line to its last, with the real engine and a running service."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.walkthrough import matches, run, steps_of

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.md"


@pytest.mark.engine
def test_every_command_of_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    steps = list(steps_of(TUTORIAL.read_text("utf-8")))
    printed = run(steps, tmp_path)
    assert len(printed) == len(steps)
    wrong = [
        f"$ {step.command}\n--- promised\n{step.promised}\n--- printed\n{found}"
        for step, found in zip(steps, printed, strict=True)
        if step.promised is not None and not matches(step.promised, found)
    ]
    assert not wrong, "\n\n".join(wrong)


def test_an_output_that_is_not_as_promised_is_noticed() -> None:
    assert matches("a …\n…\nz", "a 1\nb\nc\nz\n")
    assert matches("", "")
    assert not matches("a", "b\n")
    assert not matches("a", "a\nb\n")
    assert not matches("", "an error\n")
