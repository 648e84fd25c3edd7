"""The forms of a report. Light at import: commands name them in their options."""

from __future__ import annotations

from typing import Literal

ReportFormat = Literal["markdown", "html"]
PaperFormat = Literal["markdown", "html", "pdf"]
