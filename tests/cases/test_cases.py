"""Every case is right, but for those that are known not to be: as soon as one of them is, its test fails."""

from __future__ import annotations

import pytest

from tests.cases import KNOWN_FAULTS, names, needs_engine, run


def _case(name: str) -> object:
    marks = [pytest.mark.engine] if needs_engine(name) else [pytest.mark.slow]
    if name in KNOWN_FAULTS:
        marks.append(pytest.mark.xfail(strict=True, reason="known, not mended yet"))
    return pytest.param(name, marks=marks)


@pytest.mark.parametrize("name", [_case(name) for name in names()])
def test_a_small_project_shows_no_fault(name: str) -> None:
    verdict = run(name)
    assert verdict.code == 0, verdict.line


def test_what_is_known_to_be_wrong_is_a_case() -> None:
    assert set(names()) >= KNOWN_FAULTS
