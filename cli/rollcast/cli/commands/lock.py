"""`rollcast lock`: pin every artifact to the digest of its content."""

from __future__ import annotations

from typing import Annotated

import typer

from rollcast.cli import terminal
from rollcast.cli.inputs.options import project_of


def lock(
    context: typer.Context,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 when the lock is not current.")] = False,
) -> None:
    """Resolve and pin every artifact in rollcast.lock."""
    from rollcast.stacks.base.errors import StackError
    from rollcast.stacks.registries import lock as locking
    from rollcast.stacks.registries.artifacts import BY_NAME

    project = project_of(context)
    found = project.computed()
    wrong = locking.differences(project.pinned or {}, found)
    if check:
        if wrong:
            raise StackError(f"{'; '.join(wrong)}. Run 'rollcast lock'.")
        terminal.out(f"{locking.NAME} is current: {len(found)} artifacts.")
        return
    named = locking.named_only(project.declaration)
    path = locking.write(project.folder, found, named)
    terminal.out(f"{path.name}: {len(found)} artifacts pinned, {len(wrong)} of them new or changed.")
    for reference, source in sorted(named.items()):
        terminal.out(f"  {terminal.clean(reference)}: {BY_NAME} ({terminal.clean(source)})")


def register(app: typer.Typer) -> None:
    app.command()(lock)
