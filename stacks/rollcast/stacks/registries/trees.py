"""Files as a list with their digests, and the digest of such a list: what content is, wherever it lies."""

from __future__ import annotations

import hashlib
from pathlib import Path

from rollcast.planner.releases.releases import digest_of

Tree = list[list[str]]  # [path below the folder, sha256 in hex] of each file, in order of path


def files_below(path: Path) -> list[tuple[str, Path]]:
    """(path below the folder, file) of every file of a folder, or of the one file, in order of path."""
    files = [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file())
    root = path.parent if path.is_file() else path
    return [(str(file.relative_to(root)), file) for file in files]


def tree_of(path: Path) -> Tree:
    """Every file of a folder, or the one file, read in bounded memory. Raises OSError."""
    return [[name, _sha256(file)] for name, file in files_below(path)]


def tree_digest(tree: Tree) -> str:
    """`sha256:…` of content: of its list of files."""
    return digest_of(tree)


def is_content(tree: Tree, wanted: str) -> bool:
    """Whether content has a digest that somebody wrote down: of its list, or of its one file as sha256sum says."""
    return wanted == tree_digest(tree) or (len(tree) == 1 and wanted == f"sha256:{tree[0][1]}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


__all__ = ["Tree", "files_below", "is_content", "tree_digest", "tree_of"]
