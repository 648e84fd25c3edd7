"""`rollcast lock`: pin every artifact to the digest of its content."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from rollcast.cli import terminal
from rollcast.cli.inputs.options import project_of

if TYPE_CHECKING:
    from rollcast.stacks.artifacts.resolving import MovedSource, Progress


def lock(
    context: typer.Context,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 when the lock is not current.")] = False,
    update: Annotated[
        list[str] | None,
        typer.Option("--update", metavar="NAME", help="Look up this artifact alone; all else stays as it is locked."),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Ask no registry for what is locked already.")] = False,
) -> None:
    """Resolve and pin every artifact in rollcast.lock."""
    from rollcast.cli.inputs.names import require_artifacts
    from rollcast.stacks.artifacts import lock as locking
    from rollcast.stacks.artifacts.recipes import BY_NAME
    from rollcast.stacks.base.errors import StackError

    project = project_of(context)
    if update is not None:
        require_artifacts(project.declaration, update)
    with _bar() as progress:
        found = project.resolved(update, offline=offline, progress=progress)
    wrong = locking.differences(project.pinned or {}, found.lock.artifacts)
    moved = [_sentence(one) for one in found.moved]
    count = len(found.lock.artifacts)
    if check:
        if wrong or moved:
            for each in moved:
                terminal.note(each)
            raise StackError(f"{'; '.join(wrong) or 'What is locked has moved'}. Run 'rollcast lock'.")
        terminal.out(f"{locking.NAME} is current: {count} artifacts.")
        return
    path = locking.write(project.folder, found.lock)
    terminal.out(f"{path.name}: {count} artifacts pinned, {len(wrong)} of them new or changed.")
    for each in moved:
        terminal.out(f"  {each}")
    for reference, source in sorted(found.lock.by_name.items()):
        terminal.out(f"  {terminal.clean(reference)}: {BY_NAME} ({terminal.clean(source)})")


def _sentence(moved: MovedSource) -> str:
    """What a name stood for and stands for, and since when."""
    from rollcast.cli.reports.amounts import duration

    since = f", pushed {duration(max(0.0, time.time() - moved.pushed_s))} ago" if moved.pushed_s is not None else ""
    return f"{terminal.clean(moved.reference)}: {_short(moved.before.digest)} -> {_short(moved.after.digest)}{since}"


def _short(digest: str) -> str:
    algorithm, _, value = digest.partition(":")
    return f"{algorithm}:{value[:12]}"


@contextmanager
def _bar() -> Iterator[Progress]:
    """Shows what is fetched, on a terminal."""
    if not sys.stderr.isatty():
        yield lambda reference, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks = {}

        def report(reference: str, done: int, total: int | None) -> None:
            if reference not in tasks:
                tasks[reference] = bar.add_task(terminal.clean(reference), total=total)
            bar.update(tasks[reference], completed=done, total=total)

        yield report


def register(app: typer.Typer) -> None:
    app.command()(lock)
