"""Files that a person names: whole or as they were before."""

from __future__ import annotations

import json
from pathlib import Path


def write(path: Path, text: str | bytes, what: str = "", *, private: bool = False) -> None:
    """Writes a file, `private`: readable by its owner alone. `what` names it in the error. Raises StackError."""
    from rollcast.stacks.base import atomic_files
    from rollcast.stacks.base.errors import StackError

    try:
        path.parent.stat()  # a folder that is not there is a misspelt one, and is not made
        atomic_files.write(path, text, 0o600 if private else 0o644)
    except OSError as error:
        said = f"{what} can't be written to {path}" if what else f"{path} can't be written"
        raise StackError(f"{said} ({error.strerror}). Choose another place.") from None


def write_json(path: Path, value: object, what: str = "", *, private: bool = False) -> None:
    """Writes JSON that people read, too, as `write` does."""
    write(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n", what, private=private)
