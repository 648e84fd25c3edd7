"""`shelf:NAME`: content from a folder that the environment variable ACME_SHELF names."""

from __future__ import annotations

import os
from pathlib import Path

from rollcast.stacks.base.errors import StackError


class Shelf:
    """A folder of folders."""

    def mistake(self, rest: str) -> str:
        return "" if rest.isidentifier() else "is no name on the shelf. Write letters, digits and '_'."

    def content(self, rest: str, project: Path) -> Path | None:
        path = Path(os.environ.get("ACME_SHELF", project / "shelf")) / rest
        if not path.is_dir():
            raise StackError(f"there is no '{rest}' on the shelf. Put it there.")
        return path
