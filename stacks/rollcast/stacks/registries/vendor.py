"""`vendor:NAME`: a hosted model under a dated name. It is pinned by that name; what its vendor serves is not seen."""

from __future__ import annotations

import re
from pathlib import Path

_DATE = re.compile(r"(?<!\d)20\d\d(?P<dash>-?)(0[1-9]|1[0-2])(?P=dash)(0[1-9]|[12]\d|3[01])(?!\d)")


class VendorRegistry:
    """Models that somebody else serves."""

    def mistake(self, rest: str) -> str:
        if _DATE.search(rest):
            return ""
        return (
            "names no dated version, so the vendor may serve something else under it. "
            "Write the dated name of the model, as in 'vendor:example/model-2026-05-01'."
        )

    def content(self, _rest: str, _project: Path) -> Path | None:
        return None
