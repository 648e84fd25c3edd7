"""One running system for all fault tests of a module: its first release is applied, its artifacts are built."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.figures import FIGURES
from tests.stacks.site import Site, first_released


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The service runs and version 1 of everything serves."""
    with first_released(tmp_path_factory.mktemp("site") / "project") as made:
        yield made


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The figures that docs/guarantees.md quotes."""
    if not FIGURES:
        return
    terminalreporter.section("faults")
    columns = ("rollouts", "faults", "survived", "requests", "failed", "mixed", "milestones_lost")
    terminalreporter.line(f"{'kind':<28}" + "".join(f"{name:>16}" for name in columns))
    for kind, counts in sorted(FIGURES.items()):
        terminalreporter.line(f"{kind:<28}" + "".join(f"{counts[name]:>16,}" for name in columns))
