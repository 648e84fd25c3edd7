"""The kit, compiled once for a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dataplane_ts.building import built


@pytest.fixture(scope="session")
def kit() -> Path:
    return built()
