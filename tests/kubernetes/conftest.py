"""One cluster for the tests of a module: it starts in seconds, and one at rest takes an eighth of a processor."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kubernetes.control_plane import ControlPlane, control_plane


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with control_plane(tmp_path_factory.mktemp("cluster")) as made:
        yield made
