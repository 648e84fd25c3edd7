"""`{variables}` in a command or an address of an instance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from string import Formatter

from rollcast.stacks.base.secrets import REFERENCE


def filled_template(text: str, values: Mapping[str, str]) -> str:
    """Text with its `{variables}` replaced; `{{` is a brace, and `${NAME}` stays for later. Raises ValueError."""
    return "".join(before + ("" if name is None else values[name]) for before, name in _parts(_guarded(text))).replace(
        "\0", "${"
    )


def named_in(text: str) -> list[str]:
    """The variables that a text has. Raises ValueError."""
    return [name for _, name in _parts(_guarded(text)) if name is not None]


def _guarded(text: str) -> str:
    """`${NAME}` is no variable of the template."""
    return REFERENCE.sub(lambda match: "\0" + match[1] + "}}", text)


def _parts(text: str) -> Iterator[tuple[str, str | None]]:
    for before, name, form, conversion in Formatter().parse(text):
        if form or conversion:
            raise ValueError(f"'{{{name}}}' takes no format: write the name alone. A brace is '{{{{'")
        yield before, name


__all__ = ["filled_template", "named_in"]
