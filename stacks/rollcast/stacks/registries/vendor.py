"""`vendor:NAME`: a hosted model under a dated name. It is pinned by that name; what its vendor serves is not seen.

`vendor:NAME#alias` declares that a name without a date is meant: its vendor may serve something else under it tomorrow.
What answers say that they were served by is held against the name (`is_served_by`), for that is all there is to hold.
"""

from __future__ import annotations

import re
from pathlib import Path

_DATE = re.compile(r"(?<!\d)20\d\d(?P<dash>-?)(0[1-9]|1[0-2])(?P=dash)(0[1-9]|[12]\d|3[01])(?!\d)")
_ALIAS = "#alias"


class VendorRegistry:
    """Models that somebody else serves."""

    def mistake(self, rest: str) -> str:
        if _DATE.search(rest) or (rest.endswith(_ALIAS) and len(rest) > len(_ALIAS)):
            return ""
        return (
            "names no dated version, so the vendor may serve something else under it. "
            "Write the dated name of the model, as in 'vendor:example/model-2026-05-01', or declare that an alias is "
            f"meant: 'vendor:{rest or 'example/model'}{_ALIAS}'."
        )

    def content(self, _rest: str, _project: Path) -> Path | None:
        return None


def is_served_by(source: str, answered: str) -> bool:
    """Whether answers that name the model `answered` are what a source declares; of an alias any dated name of it is.

    A vendor's own prefix (`example/`) may be left out of what an answer says.
    """
    name = source.removeprefix("vendor:")
    alias = name.endswith(_ALIAS)
    wanted, said = name.removesuffix(_ALIAS).rpartition("/")[2], answered.rpartition("/")[2]
    if not alias:
        return said == wanted
    return said == wanted or (said.startswith(wanted.removesuffix("-latest")) and bool(_DATE.search(said)))


__all__ = ["VendorRegistry", "is_served_by"]
