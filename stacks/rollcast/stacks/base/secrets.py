"""Secrets come from the environment, and only from there: a declaration names the variable, never the value."""

from __future__ import annotations

import os
import re

from rollcast.stacks.base.errors import StackError

_NAME = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def filled(text: str) -> str:
    """Text with every `${NAME}` replaced by that environment variable. Raises StackError when one isn't set."""

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match.group(1))
        if found is None:
            raise StackError(f"The environment variable {match.group(1)} isn't set. Set it, or take it out of the url.")
        return found

    return _NAME.sub(value, text)
