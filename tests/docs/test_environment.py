"""The page of environment variables names exactly those that the code reads or sets."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "environment.md"
PARTS = ("cli", "dataplane", "planner", "policies", "simulator", "stacks")
_NAMES = (
    re.compile(r'"((?:ROLLCAST|PULUMI)_[A-Z0-9_]+)"'),
    re.compile(r'environ[a-z]*(?:\.get\(|\[)"([A-Z][A-Z0-9_]+)"'),
    re.compile(r'_wanted\(environment, "([A-Z][A-Z0-9_]+)"\)'),
)
ENGINES_OWN = {"PULUMI_ACCESS_TOKEN"}  # read by the engine, and named where its backends are
COMPILERS_OWN = {"CGO_ENABLED", "GOFLAGS"}


def _in_code() -> set[str]:
    texts = (path.read_text("utf-8") for part in PARTS for path in (ROOT / part).rglob("*.py"))
    return {name for text in texts for pattern in _NAMES for name in pattern.findall(text)}


def test_the_page_names_every_variable_of_the_code_and_no_other() -> None:
    named = set(re.findall(r"`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|[A-Z]{4,})`", PAGE.read_text("utf-8")))
    found = _in_code()
    assert {"ROLLCAST_LEDGER_URL", "NO_COLOR", "GITHUB_TOKEN"} <= found, "the patterns find what is known to be there"
    assert named - ENGINES_OWN == found - COMPILERS_OWN
