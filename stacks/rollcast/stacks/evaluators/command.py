"""`kind: command`: a program of the project's own runs a suite, and writes JSON or JUnit XML to standard output."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.evaluators.junit import CaseSettings, counts_of_junit
from rollcast.stacks.evaluators.process import run_suite


class CommandSettings(CaseSettings):
    """A program and its arguments, never a shell, run in the project's folder."""

    run: tuple[str, ...] = Field(min_length=1, description="the program and its arguments")
    results: Literal["json", "junit"] = Field("json", description="what it writes to standard output")


class CommandEvaluator:
    """A program that is given the paths of the release and of the suite."""

    settings_model = CommandSettings

    def __init__(self, settings: CommandSettings, root: Path) -> None:
        self.settings, self.root = settings, root

    def evaluate(
        self,
        release: Mapping[str, Any],
        suite: Path,
        endpoints: Sequence[str],
        timeout_s: float,
        stopped: Callable[[], bool],
    ) -> Mapping[str, Any]:
        of_junit = self.settings.results == "junit"
        expected = (0, 1) if of_junit else (0,)  # test runners end with 1 where a test failed
        said = run_suite(self.settings.run, self.root, release, suite, endpoints, timeout_s, stopped, expected=expected)
        found = counts_of_junit(said, self.settings.metric) if of_junit else _json(said, self.settings.run)
        return self.settings.judged(found)


def _json(said: str, argv: Sequence[str]) -> Mapping[str, Any]:
    try:
        found = json.loads(said)
    except ValueError as error:
        raise StackError(f"'{' '.join(argv)}' wrote no JSON ({error}). Correct the suite.") from None
    if not isinstance(found, Mapping):
        raise StackError(f'\'{" ".join(argv)}\' wrote no JSON object. Write {{"cases": …, "metrics": …}}.')
    return found


__all__ = ["CommandEvaluator", "CommandSettings"]
