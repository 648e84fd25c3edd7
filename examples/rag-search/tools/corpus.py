"""The corpus: documentation strings of Python's standard library, read from its source files and never imported.

Deterministic for one version of Python: files in order of path, definitions in order of source line. Another version
of Python has other documentation, so the dataset built from it has another digest.
"""

from __future__ import annotations

import ast
import hashlib
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dataplane.text import words

LEAST_WORDS = 8
MOST_CHARACTERS = 700
_LEFT_OUT = {"__pycache__", "dist-packages", "ensurepip", "idlelib", "lib2to3", "pydoc_data", "site-packages", "test",
             "tests", "turtledemo"}  # fmt: skip
_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Document:
    """One documentation string. `title` is the dotted name of what it documents."""

    id: str
    title: str
    text: str


def standard_library() -> list[Document]:
    """Every public documentation string of at least `LEAST_WORDS` words, cut to `MOST_CHARACTERS`, once each."""
    root = Path(sysconfig.get_paths()["stdlib"])
    by_title: dict[str, Document] = {}
    texts: set[str] = set()
    for path in sorted(root.rglob("*.py")):
        inside = path.relative_to(root)
        if _LEFT_OUT.intersection(inside.parts) or any(part.startswith("_") for part in inside.parts[:-1]):
            continue
        for document in _documents(path, inside):
            if document.title not in by_title and document.text not in texts:
                by_title[document.title] = document
                texts.add(document.text)
    return list(by_title.values())


def _documents(path: Path, inside: Path) -> Iterator[Document]:
    module = ".".join(inside.with_suffix("").parts).removesuffix(".__init__")
    if module.startswith("_"):
        return
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return
    for title, node in _walk(tree, module):
        text = ast.get_docstring(node) or ""
        if len(words(text)) >= LEAST_WORDS:
            digest = hashlib.sha256(title.encode()).hexdigest()
            yield Document(id=f"d{digest[:10]}", title=title, text=text[:MOST_CHARACTERS].rstrip())


def _walk(node: ast.Module | _Definition, title: str) -> Iterator[tuple[str, ast.Module | _Definition]]:
    yield title, node
    for child in node.body:
        if isinstance(child, _Definition) and not child.name.startswith("_"):
            yield from _walk(child, f"{title}.{child.name}")
