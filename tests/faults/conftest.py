"""One running system for all fault tests of a module: its first release is applied, its artifacts are built."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults.figures import FIGURES, table
from tests.stacks.site import Site, first_released


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The service runs and version 1 of everything serves."""
    with first_released(tmp_path_factory.mktemp("site") / "project") as made:
        yield made


_ALL: dict[str, Counter[str]] = {}  # of all tests and all workers, as far as they have ended


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Figures go with the report of their test, so that they come from workers of pytest-xdist as well."""
    outcome: Any = yield
    if call.when == "call" and FIGURES:
        outcome.get_result().user_properties.append(("faults", {kind: dict(n) for kind, n in FIGURES.items()}))
        FIGURES.clear()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call":
        for kind, counts in dict(report.user_properties).get("faults", {}).items():
            _ALL.setdefault(kind, Counter()).update(counts)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The figures that docs/guarantees.md quotes."""
    if _ALL:
        terminalreporter.section("faults")
        for line in table(_ALL):
            terminalreporter.line(line)
