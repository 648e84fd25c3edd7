"""Secrets come from the environment, and only from there: a declaration names the variable, never the value."""

from __future__ import annotations

import os
import re

from rollcast.stacks.base.errors import StackError

REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
"""How a declaration names a variable of the environment."""


def filled(text: str) -> str:
    """Text with every `${NAME}` replaced by that environment variable. Raises StackError when one isn't set."""

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match.group(1))
        if found is None:
            raise StackError(
                f"The environment variable {match.group(1)} isn't set. Set it, or take it out of the declaration."
            )
        return found

    return REFERENCE.sub(value, text)


def without_password(url: str) -> str:
    """A URL as it may be shown: without user and password, and without what may be one in a URL that is none."""
    before, _, after = url.partition("://")
    if after.startswith("/"):
        return url
    address, *rest = re.split(r"(?=[/?#])", after, maxsplit=1) if after else ("",)
    if "@" in "".join(rest):  # a password with a slash in it: nothing says where it ends
        return f"{before}://…@{after.rpartition('@')[2]}"
    return url if "@" not in address else f"{before}://…@{address.rpartition('@')[2]}{''.join(rest)}"


__all__ = ["REFERENCE", "filled", "without_password"]
