"""A report to standard output or to a file."""

from __future__ import annotations

from pathlib import Path

from rollcast.cli import files, terminal
from rollcast.cli.reports.forms import PaperFormat, ReportFormat
from rollcast.cli.reports.subject import Subject


def text_of(subject: Subject, form: ReportFormat) -> str:
    """The report in one of its forms."""
    if form == "markdown":
        from rollcast.cli.reports.markdown import markdown_of

        return markdown_of(subject)
    from rollcast.cli.reports.content import report_of

    return report_of(subject)


def give(subject: Subject, form: PaperFormat, out: Path | None) -> None:
    """Writes a report to a file, or to standard output where there is none. Raises StackError."""
    if form == "pdf":
        _print(subject, out)
        return
    text = text_of(subject, form)
    if out is None:
        terminal.out(text.rstrip("\n"))
        return
    files.write(out, text, "The report")
    terminal.note(f"The report is in {out}.")


def _print(subject: Subject, out: Path | None) -> None:
    from rollcast.cli.reports.printing import pdf_of
    from rollcast.stacks.base.errors import StackError

    if out is None:
        raise StackError("A PDF is a file. Say where it goes: --out report.pdf.")
    files.write(out, pdf_of(text_of(subject, "html")), "The report")
    terminal.note(f"The report is in {out}.")
