"""The `rollcast` command: its options, its commands, and what an error costs.

Exit codes: 0 done, 1 error (usage errors included), 2 `plan --detailed-exitcode` found changes, 3 a mandatory guardrail
blocks, 4 rolled back, 5 held, 6 stale plan, 7 locked, 130 interrupted. An error is one or two sentences on standard
error, with a traceback only under --debug. `-C`, `--env`, `--file` and `--debug` may stand before or after the command.
`-C DIR` changes into the folder before anything is read, as `git -C` does; given again, each is relative to the last.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException

from rollcast.cli import terminal
from rollcast.cli.commands import register
from rollcast.cli.options import Options

app = typer.Typer(
    name="rollcast",
    help="Plan, forecast and apply releases of LLM pipelines: no request ever meets a broken mix of versions.",
    add_completion=True,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_WITH_VALUE = ("-C", "--env", "--file")
_WITHOUT_VALUE = ("--debug",)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        terminal.out(f"rollcast {version('rollcast')}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    directory: Annotated[
        list[Path] | None, typer.Option("-C", metavar="DIR", help="Change into the project folder first, as git does.")
    ] = None,
    env: Annotated[str | None, typer.Option("--env", metavar="NAME", help="The environment.")] = None,
    file: Annotated[str, typer.Option("--file", metavar="FILE", help="The declaration in it.")] = "rollcast.yaml",
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback with an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """What holds for every command; kept in the context."""
    given = Path(*directory or ())
    _change_into(given)
    context.obj = Options(Path.cwd() if directory else Path(), env, file, debug, given)


def _change_into(folder: Path) -> None:
    from rollcast.stacks.errors import StackError

    try:
        os.chdir(folder)
    except OSError as error:
        raise StackError(f"-C {folder}: {error.strerror}. Name a project folder that is there.") from None


register(app)


def hoist(arguments: Sequence[str]) -> list[str]:
    """The arguments with the options of every command moved before the command."""
    front: list[str] = []
    rest: list[str] = []
    pending = list(arguments)
    while pending:
        word = pending.pop(0)
        if word == "--":
            rest += [word, *pending]
            break
        if word in _WITH_VALUE and pending:
            front += [word, pending.pop(0)]
        elif word in _WITHOUT_VALUE or word.startswith(tuple(f"{name}=" for name in _WITH_VALUE if name != "-C")):
            front.append(word)
        else:
            rest.append(word)
    return [*front, *rest]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and gives its exit code."""
    words = hoist(sys.argv[1:] if arguments is None else arguments)
    try:
        with _back_again():
            code = typer.main.get_command(app).main(words, prog_name="rollcast", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except TyperException as error:
        text = error.format_message() if hasattr(error, "format_message") else str(error)
        terminal.note(f"Error: {text} Run 'rollcast --help', or 'rollcast COMMAND --help'.")
        return 1
    except (KeyboardInterrupt, typer.Abort):
        terminal.note("Interrupted.")
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if "--debug" in words:
            traceback.print_exc()
        return _failed(error)


@contextlib.contextmanager
def _back_again() -> Iterator[None]:
    """Whoever calls `main` finds itself in the folder where it was."""
    try:
        before = os.getcwd()
    except OSError:  # it was removed: there is no way back to it
        yield
        return
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.chdir(before)


def _failed(error: Exception) -> int:
    from rollcast.cli.failures import exit_code, sentences

    for sentence in sentences(error):
        terminal.note(f"Error: {sentence}")
    return exit_code(error)


def script() -> None:
    """The console script."""
    terminal.speak_anywhere()
    sys.exit(main())
