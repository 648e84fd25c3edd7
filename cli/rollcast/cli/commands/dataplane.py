"""`rollcast dataplane check`: whether a running service keeps the data-plane protocol, point by point."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rollcast.cli import terminal
from rollcast.cli.inputs.options import project_of

app = typer.Typer(no_args_is_help=True, help="Services that serve releases.", rich_markup_mode=None)


@app.callback()
def group() -> None:
    """Services that serve releases."""


@app.command()
def check(
    urls: Annotated[list[str], typer.Argument(metavar="URL...", help="The address of each replica.")],
    probe: Annotated[
        Path,
        typer.Option("--probe", metavar="FILE", help="How to ask it, and where answers show a release."),
    ],
    point: Annotated[
        list[str] | None,
        typer.Option("--point", metavar="ID", help="Only this point of the protocol; may be repeated."),
    ] = None,
    junit: Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Results for CI, as JUnit XML.")] = None,
) -> None:
    """Test a running service against the data-plane protocol: exit 1 where a MUST is broken.

    Under the probe's `definition` it writes flags of its own for about a minute, and puts the file back: test a replica
    that serves no users.
    """
    from rollcast.stacks.conformance.checking import check as checked
    from rollcast.stacks.conformance.probe import read_probe
    from rollcast.stacks.conformance.reporting import line_of, summary, write_junit

    findings = []
    for finding in checked([url.rstrip("/") for url in urls], read_probe(probe), point or ()):
        findings.append(finding)
        terminal.out(terminal.clean(line_of(finding)))
    terminal.out()
    terminal.out(summary(findings))
    if junit is not None:
        write_junit(findings, junit, urls)
    if any(finding.failed for finding in findings):
        raise typer.Exit(1)


@app.command()
def forget(
    context: typer.Context,
    replicas: Annotated[list[str], typer.Argument(metavar="REPLICA...", help="Ids, as 'rollcast status' names them.")],
) -> None:
    """Have the declared relays forget replicas whose processes are dead, so that nothing waits for them.

    One that lives is known again with its next acknowledgement. The token comes from ROLLCAST_RELAY_DRIVER_TOKEN.
    """
    from rollcast.stacks.base.errors import StackError
    from rollcast.stacks.fleet.fleet import Fleet

    fleet = Fleet(project_of(context).environment.endpoints)
    unknown = []
    for replica in replicas:
        if fleet.forget(replica):
            terminal.out(f"Forgotten: {terminal.clean(replica)}.")
        else:
            unknown.append(replica)
    if unknown:
        raise StackError(f"No relay knows {', '.join(unknown)}. See 'rollcast status' for the ids of replicas.")


def register(parent: typer.Typer) -> None:
    parent.add_typer(app, name="dataplane")
