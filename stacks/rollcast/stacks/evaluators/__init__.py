"""Evaluators: who runs an evaluation suite on a whole release before any traffic reaches it.

A kind is an entry point in `rollcast.evaluators`: a class with the attribute `settings_model`, made from such settings
and the project folder. What its metrics mean is decided elsewhere, by the thresholds of the declaration.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from rollcast.planner.base.errors import KindError
from rollcast.planner.declaration.models import Evaluator
from rollcast.plugins.settings import opened
from rollcast.stacks.base.errors import StackError


class SuiteRunner(Protocol):
    """What rollcast asks of an evaluator."""

    def evaluate(
        self,
        release: Mapping[str, Any],
        suite: Path,
        endpoints: Sequence[str],
        timeout_s: float,
        stopped: Callable[[], bool],
    ) -> Mapping[str, Any]:
        """`{"cases": how many, "metrics": {name: number}}` of a suite's folder on a release.

        release: the variant that the flag will hold. endpoints: of the data plane's replicas; empty where the target
        declares none.
        Raises StackError when it can't be run, and soon after `timeout_s` or once `stopped` says so.
        """


def evaluator_of(settings: Evaluator, root: Path) -> SuiteRunner:
    """The evaluator of its kind. Raises StackError."""
    try:
        kind, own = opened("evaluator", settings)
    except KindError as error:
        raise StackError(str(error)) from None
    made: SuiteRunner = kind(own, root)
    return made
