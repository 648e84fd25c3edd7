"""A running system with its first release, shared by the tests of a module; each leaves it whole."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.stacks.figures import ROLLBACKS_S
from tests.stacks.site import Site, first_released


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How long one command takes to roll back."""
    for seconds in ROLLBACKS_S:
        terminalreporter.line(f"rollback: {seconds:.1f} s from the command to the last request of the release left")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The service runs, and version 1 of everything serves."""
    with first_released(tmp_path_factory.mktemp("site") / "project") as made:
        yield made
