"""An example's own demo, in short: stages that are shorter, and commands that run in the process of the test."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.commands import ROLLCAST, run_here

EXAMPLES = Path(__file__).parents[2] / "examples"


@contextmanager
def short_demo(
    monkeypatch: pytest.MonkeyPatch, system: str, declared: Sequence[str], shorter: Mapping[str, str]
) -> Iterator[Any]:
    """The demo of a system, whose declarations have these words replaced. What it builds is kept in build/."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    from demos.demo import Demo

    class Here(Demo):
        """Its commands run in the process of the test."""

        def _call(self, command: Sequence[str], expect: int) -> None:
            if command[0] != ROLLCAST:
                super()._call(command, expect)
                return
            done = run_here(self.folder, *command[1:])
            assert done.returncode == expect, done.stdout + done.stderr

    made = Here(
        EXAMPLES / system, service=["-m", "dataplane.service"], declarations=declared, keep_built=True,
        folder=EXAMPLES.parent / "build" / f"test-{system}",
    )  # fmt: skip
    for name in declared:
        path = made.folder / name
        text = path.read_text("utf-8")
        for long, short in shorter.items():
            text = text.replace(long, short)
        path.write_text(text, "utf-8")
    yield made
    for name in [name for name in sys.modules if name.partition(".")[0] == "demos"]:
        del sys.modules[name]
