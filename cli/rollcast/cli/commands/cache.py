"""`rollcast cache`: content of registries that is kept on this machine."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from rollcast.cli import terminal

app = typer.Typer(no_args_is_help=True, help="Content of registries on this machine: list it, check it, make room.")


@app.command("list")
def list_() -> None:
    """What is kept, the last used first."""
    from rollcast.cli.reports.amounts import duration
    from rollcast.stacks.artifacts import cache
    from rollcast.stacks.registries.limits import readable

    found = cache.entries()
    for entry in found:
        algorithm, _, value = entry.digest.partition(":")
        used = duration(max(0.0, time.time() - entry.used_s))
        terminal.out(
            f"{algorithm}:{value[:12]}  {readable(entry.size):>10}  used {used} ago  {terminal.clean(entry.identity)}"
        )
    total = readable(sum(entry.size for entry in found))
    terminal.out(f"{len(found)} contents, {total}, in {terminal.clean(cache.root())}")


@app.command()
def verify() -> None:
    """Hold every file against its digest; exit 1 when one was changed. It is fetched again when it is next used."""
    from rollcast.stacks.artifacts import cache
    from rollcast.stacks.base.errors import StackError

    found = cache.entries()
    wrong = [entry for entry in found if not cache.is_intact(entry)]
    if wrong:
        names = "; ".join(f"{entry.identity} in {entry.folder}" for entry in wrong)
        raise StackError(f"{names}: changed since it was fetched. It is fetched again when it is next used.")
    terminal.out(f"{len(found)} contents are as they were fetched.")


@app.command()
def prune(
    days: Annotated[float, typer.Option("--unused-days", metavar="N", help="Not used for so long.", min=0.0)] = 30.0,
) -> None:
    """Take away what was not used for some time. Whatever a rollout needs again is fetched again."""
    from rollcast.stacks.artifacts import cache
    from rollcast.stacks.registries.limits import readable

    gone = cache.prune(days * 86400.0)
    terminal.out(f"{len(gone)} contents removed, {readable(sum(entry.size for entry in gone))}.")


def register(parent: typer.Typer) -> None:
    parent.add_typer(app, name="cache")
