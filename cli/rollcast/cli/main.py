"""The `rollcast` command: its options, its commands, and what an error costs.

Exit codes: 0 done, 1 error (usage errors included), 2 `plan --detailed-exitcode` found changes, 3 a mandatory guardrail
blocks, 4 rolled back, 5 held, 6 stale plan, 7 locked, 130 interrupted. An error is one or two sentences on standard
error, with a traceback only under --debug. `-C`, `--env`, `--file` and `--debug` may stand before or after the command.
`-C DIR` changes into the folder before anything is read, as `git -C` does; given again, each is relative to the last.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException

from rollcast.cli import terminal
from rollcast.cli.commands.registry import register
from rollcast.cli.diagnostics import configure
from rollcast.cli.inputs.options import Options

app = typer.Typer(
    name="rollcast",
    help="Plan, forecast and apply releases of LLM pipelines: no request is ever served by a broken mix of versions.",
    add_completion=True,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_WITH_VALUE = ("-C", "--env", "--file")
_WITHOUT_VALUE = ("--debug",)
_ELSEWHERE = {  # options of tools of this kind that have no counterpart, or one at another command
    "target": "a plan is of the whole declaration, as a part of it could be a mix that nobody declared",
    "refresh-only": "'rollcast plan --refresh-only' says what was changed by hand",
}


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
    debug: Annotated[
        bool, typer.Option("--debug", help="Show how each decision came about, and a traceback with an error.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """What holds for every command; kept in the context."""
    configure(debug)
    given = Path(*directory or ())
    _change_into(given)
    context.obj = Options(Path.cwd() if directory else Path(), env, file, debug, given)


def _change_into(folder: Path) -> None:
    from rollcast.stacks.base.errors import StackError

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


def hint(words: Sequence[str], refused: str, known: Sequence[str]) -> str | None:
    """What to write in place of an option that was refused, where it is one of another tool; else None.

    A long option with one dash is read letter by letter: `refused` is then a letter that nobody meant.
    """
    before = words[: words.index("--")] if "--" in words else words
    if refused.startswith("--"):
        word = refused
    else:
        long = (one.partition("=")[0] for one in before if re.match(r"-[A-Za-z][A-Za-z-]+(=|$)", one))
        word = next((one for one in long if refused[1:2] in one[1:]), "")
    name = word.lstrip("-")
    if name and word != f"--{name}" and f"--{name}" in known:
        return f"Long options have two dashes: write '--{name}', not '{word}'."
    if name in _ELSEWHERE:
        return f"There is no option '{word}' here: {_ELSEWHERE[name]}."
    return f"There is no option '{word}', nor '--{name}'." if name and word != refused else None


def _usage(words: Sequence[str], error: TyperException) -> str:
    """A usage error in one line."""
    refused, context = getattr(error, "option_name", None), getattr(error, "ctx", None)
    if type(error).__name__ == "NoSuchOption" and refused:
        known = [option for param in context.command.params for option in param.opts] if context is not None else []
        found = hint(words, refused, [*known, *_WITH_VALUE, *_WITHOUT_VALUE, "--version", "--help"])
        if found:
            return found
    text = " ".join((error.format_message() if hasattr(error, "format_message") else str(error)).split())
    return text if text.endswith((".", "?", "!")) else f"{text}."


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and gives its exit code."""
    words = hoist(sys.argv[1:] if arguments is None else arguments)
    if not words:
        words = ["--help"]
    try:
        with _back_again():
            code = typer.main.get_command(app).main(words, prog_name="rollcast", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except TyperException as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # a group without its command: help, as the bare command gives
            terminal.out(str(getattr(error, "message", error)))
            return 0
        terminal.note(f"Error: {_usage(words, error)} Run 'rollcast --help', or 'rollcast COMMAND --help'.")
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
        from rollcast.cli.failures import reported

        return reported(error)


@contextlib.contextmanager
def _back_again() -> Iterator[None]:
    """Whoever calls `main` finds itself in the folder where it was."""
    try:
        before = os.getcwd()
    except OSError:  # it was removed: there is no rollback to it
        yield
        return
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.chdir(before)


def script() -> None:
    """The console script."""
    terminal.speak_anywhere()
    sys.exit(main())
