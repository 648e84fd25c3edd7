"""The product's own modules, read as text and as syntax."""

from __future__ import annotations

import ast
import gc
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
KIT = ROOT / "dataplane" / "python" / "rollcast_dataplane"
PARTS = ("planner", "plugins", "simulator", "policies", "stacks", "cli")
PACKAGES = tuple(
    found.parent for part in PARTS for found in sorted((ROOT / part / "rollcast").glob("*/__init__.py"))
)  # rollcast.planner … rollcast.cli, and rollcast.testing


class Module(NamedTuple):
    """One file: its path below the project, its lines, and its syntax."""

    path: Path
    lines: int
    tree: ast.Module

    @property
    def docstring(self) -> str:
        return ast.get_docstring(self.tree) or ""


@cache
def companions() -> tuple[Module, ...]:
    """Python that goes with the product: examples, validation, benchmarks, the specification's and the pages' own."""
    found = []
    for part in ("examples", "validation", "benchmarks", "spec", "docs"):
        for path in sorted((ROOT / part).rglob("*.py")):
            text = path.read_text("utf-8")
            found.append(Module(path.relative_to(ROOT), text.count("\n"), _tree_of(text)))
    return tuple(found)


def _tree_of(text: str) -> ast.Module:
    """The text parsed, with nothing collected meanwhile: what that runs may parse too, which CPython 3.11 can't."""
    gc.disable()
    try:
        return ast.parse(text)
    finally:
        gc.enable()


@cache
def modules() -> tuple[Module, ...]:
    """Every module of the product, without tests and without the examples that are copied into projects."""
    found = []
    for package in (*PACKAGES, KIT):
        for path in sorted(package.rglob("*.py")):
            if "new_project" not in path.parts:
                text = path.read_text("utf-8")
                found.append(Module(path.relative_to(ROOT), text.count("\n"), _tree_of(text)))
    return tuple(found)


def public_classes() -> Iterator[tuple[str, Path]]:
    """(name, file) of every class that another module may use."""
    for module in modules():
        for node in module.tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                yield node.name, module.path


def identifiers(module: Module) -> Iterator[tuple[str, int]]:
    """(name, line) of all that a module defines or assigns, without fields of classes, which are keys of JSON."""
    fields = {
        id(node.target)
        for found in ast.walk(module.tree)
        if isinstance(found, ast.ClassDef)
        for node in found.body
        if isinstance(node, ast.AnnAssign)
    }
    for node in ast.walk(module.tree):
        if id(node) in fields:
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno


def texts(module: Module) -> Iterator[tuple[str, int]]:
    """(text, line) of every string: messages, docstrings, keys."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value, node.lineno
