"""A running system with its first release, shared by the tests of a module; each leaves it whole."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.stacks.site import Site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The service runs, and version 1 of everything serves."""
    made = Site(tmp_path_factory.mktemp("site") / "project")
    made.declare()
    with made.service():
        first = made.rollcast("apply", "--auto-approve")
        assert first.returncode == 0, first.stderr
        yield made
