"""Rooms, floors and sizes: what the folders promise to whoever looks for something."""

from __future__ import annotations

import ast
import re
import tomllib
import warnings
from pathlib import Path

import pytest

from tests.architecture.code import KIT, PACKAGES, ROOT, modules

BUDGET = 250  # lines of a module; one that is longer says why
REASON = re.compile(r"\b[Ll]ong (because|as|for)\b|\bone (file|module) (because|as|for)\b")
ROOMS = [
    path.parent
    for package in PACKAGES
    for path in sorted(package.rglob("__init__.py"))
    if "new_project" not in path.parts
]
MAPS = ("CONTRIBUTING.md", "docs/inside.md")
PLACES = re.compile(
    r"`((?:planner|plugins|simulator|policies|stacks|cli|tests|docs|examples|benchmarks|validation)/[^`\s*…]*)`"
)


def test_every_package_of_the_import_contracts_is_read_here_and_no_other() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    declared = settings["tool"]["importlinter"]["root_packages"]
    assert sorted([*(f"rollcast.{package.name}" for package in PACKAGES), KIT.name]) == sorted(declared)


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.relative_to(ROOT).as_posix())
def test_every_package_says_what_it_is_for(room: Path) -> None:
    said = ast.get_docstring(ast.parse((room / "__init__.py").read_text("utf-8"))) or ""
    assert len(said.split()) >= 8, f"{room} does not say what it is for"


@pytest.mark.parametrize(
    "room", [room for room in ROOMS if len(room.relative_to(ROOT).parts) == 4 or room.name == "testing"], ids=str
)
def test_the_reading_order_of_a_room_names_modules_that_are_there(room: Path) -> None:
    said = ast.get_docstring(ast.parse((room / "__init__.py").read_text("utf-8"))) or ""
    order = re.search(r"Read (.*?)(?:\.\s|\.$|$)", said, re.DOTALL)
    named = re.findall(r"`([a-z_]+)`", order.group(1)) if order else []
    missing = [name for name in named if not (room / f"{name}.py").exists() and not (room / name).is_dir()]
    assert not missing, f"{room} names {missing}, which is not there"


def test_whoever_reads_the_short_form_of_settings_looks_which_form_it_is() -> None:
    """`target` says nothing where `flags` and `instances` are declared: what both forms say is in properties."""
    found = []
    for module in modules():
        read = [node for node in ast.walk(module.tree) if isinstance(node, ast.Attribute)]
        if not any(node.attr == "is_split" for node in read):
            found += [f"{module.path}:{node.lineno}" for node in read if node.attr == "target" and _is_settings(node)]
    assert found == []


def _is_settings(read: ast.Attribute) -> bool:
    owner = read.value
    name = owner.attr if isinstance(owner, ast.Attribute) else owner.id if isinstance(owner, ast.Name) else ""
    return name in ("settings", "environment")


def test_a_long_module_says_why() -> None:
    """A warning, for length is a smell and no fault; three times the budget is one."""
    long = [module for module in modules() if module.lines > BUDGET]
    silent = [f"{module.path} ({module.lines})" for module in long if not REASON.search(module.docstring)]
    if silent:
        warnings.warn(f"over {BUDGET} lines, and no word why: {', '.join(silent)}", stacklevel=1)
    assert [f"{module.path}: {module.lines} lines" for module in long if module.lines > 3 * BUDGET] == []


@pytest.mark.parametrize("page", MAPS)
def test_every_path_on_a_map_is_there(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    paths = PLACES.findall(text)
    assert paths, f"{page} names no path"
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_module_that_a_docstring_names_is_there() -> None:
    known = {".".join(module.path.with_suffix("").parts[1:]).removesuffix(".__init__") for module in modules()}
    known |= {name.rpartition(".")[0] for name in known}
    missing = []
    for module in modules():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                for dotted in re.findall(r"`(rollcast(?:\.[a-z_]+)+)", ast.get_docstring(node) or ""):
                    if not any(dotted == name or dotted.rpartition(".")[0] == name for name in known):
                        missing.append(f"{module.path}: {dotted}")
    assert not missing
