"""A cache of the tests' own, and registries that answer soon or are given up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.registries.web import Web


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLCAST_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("ROLLCAST_REGISTRY_TIMEOUT_S", "10")


@pytest.fixture
def web() -> Iterator[Web]:
    """A web server whose every answer the test decides."""
    with Web() as running:
        yield running


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder
