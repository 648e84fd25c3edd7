"""The properties that the page of guarantees names are there, and none draws fewer cases than it says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROPERTY = re.compile(r"^\| .+ \| `(tests/[\w/]+\.py)::(\w+)` \|$", re.MULTILINE)
NAMED = PROPERTY.findall((ROOT / "docs" / "guarantees.md").read_text("utf-8"))


def test_the_page_names_properties() -> None:
    assert len(NAMED) >= 10


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_a_named_property_is_drawn_by_the_profile_alone(path: str, name: str) -> None:
    functions = [n for n in ast.walk(ast.parse((ROOT / path).read_text("utf-8"))) if isinstance(n, ast.FunctionDef)]
    (found,) = [each for each in functions if each.name == name]
    decorators = [ast.unparse(each).partition("(")[0] for each in found.decorator_list]
    assert "given" in decorators
    assert "settings" not in decorators, "its number of cases would not be that of the profile"


@pytest.mark.parametrize("page", ["guarantees.md", "security.md"])
def test_every_test_that_a_page_names_is_there(page: str) -> None:
    named = re.findall(r"`(tests/[\w/-]+(?:\.py)?/?)(?:::\w+)?`", (ROOT / "docs" / page).read_text("utf-8"))
    assert len(named) >= 20
    assert [path for path in named if not (ROOT / path).exists()] == []
