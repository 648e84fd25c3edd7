"""One running system for all fault tests of a module: its first release is applied, its artifacts are built."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults.figures import FIGURES, note, table
from tests.stacks.site import Site, first_released


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The service runs and version 1 of everything serves."""
    with first_released(tmp_path_factory.mktemp("site") / "project") as made:
        yield made


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of pytest-xdist gives its figures to the process that prints them."""
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["faults"] = {kind: dict(counts) for kind, counts in FIGURES.items()}


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Takes the figures of a worker that has ended."""
    for kind, counts in getattr(node, "workeroutput", {}).get("faults", {}).items():
        note(kind, **counts)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The figures that docs/guarantees.md quotes."""
    if FIGURES:
        terminalreporter.section("faults")
        for line in table(FIGURES):
            terminalreporter.line(line)
