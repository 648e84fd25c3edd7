"""A report to standard output or to a file."""

from __future__ import annotations

from pathlib import Path

from rollcast.cli import terminal
from rollcast.cli.reports.forms import ReportFormat
from rollcast.cli.reports.subject import Subject
from rollcast.stacks.base.errors import StackError


def text_of(subject: Subject, form: ReportFormat) -> str:
    """The report in one of its forms."""
    if form == "markdown":
        from rollcast.cli.reports.markdown import markdown_of

        return markdown_of(subject)
    from rollcast.cli.reports.content import report_of

    return report_of(subject)


def give(subject: Subject, form: ReportFormat, out: Path | None) -> None:
    """Writes a report to a file, or to standard output where there is none. Raises StackError."""
    text = text_of(subject, form)
    if out is None:
        terminal.out(text.rstrip("\n"))
        return
    save(text, out)
    terminal.note(f"The report is in {out}.")


def save(text: str, path: Path) -> None:
    """Writes a text file. Raises StackError."""
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise StackError(f"The report can't be written to {path} ({error.strerror}). Choose another place.") from None
