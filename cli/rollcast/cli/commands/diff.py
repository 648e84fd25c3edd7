"""`rollcast diff`: what changes inside an artifact from one version to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rollcast.cli import terminal
from rollcast.cli.inputs.options import project_of

if TYPE_CHECKING:
    from rollcast.stacks.artifacts.comparing import Files
    from rollcast.stacks.project import Project


def diff(
    context: typer.Context,
    before: Annotated[str, typer.Argument(metavar="BEFORE", help="`name@version`")],
    after: Annotated[str, typer.Argument(metavar="AFTER", help="`name@version` of the same kind")],
    format_: Annotated[Literal["text", "json"], typer.Option("--format", help="How to write it.")] = "text",
) -> None:
    """Show what changes inside a prompt, policy, rule or tool schema, word by word."""
    from rollcast.cli.output.contents import contents_of
    from rollcast.stacks.artifacts.comparing import compare
    from rollcast.stacks.base.errors import StackError

    project = project_of(context)
    artifacts = {artifact.reference: artifact for artifact in project.declaration.artifacts}
    files = [_files(project, name) for name in (before, after)]
    old, new = artifacts[before], artifacts[after]
    if old.kind != new.kind:
        raise StackError(f"{before} is a {old.kind.value} and {after} a {new.kind.value}. Compare two of one kind.")
    found = compare(old, new, *files)
    if format_ == "json":
        terminal.out_json({"format_version": "1.0", **found.model_dump(mode="json", exclude_defaults=True)})
        return
    if not found.files and not found.breaking and all(sign == "=" for sign, _ in found.words):
        terminal.out(f"{before} and {after} have the same content.")
        return
    for line in contents_of([found]):
        terminal.out(line)


def _files(project: Project, name: str) -> Files:
    """The files of an artifact, fetched or built where they are not here. Raises StackError."""
    from rollcast.cli.inputs.names import require_artifacts
    from rollcast.stacks.artifacts.building import materialize
    from rollcast.stacks.artifacts.comparing import files_in
    from rollcast.stacks.artifacts.recipes import definitions_of
    from rollcast.stacks.base.errors import StackError

    if "@" not in name:
        raise StackError(f"'{name}' names no version. Write it as name@version.")
    require_artifacts(project.declaration, [name])
    definitions = definitions_of(project.declaration)
    return files_in(materialize(name, definitions, project.digests, project.folder, progress=terminal.note))


def register(app: typer.Typer) -> None:
    app.command()(diff)
