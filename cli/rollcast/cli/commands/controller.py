"""`rollcast controller`: keeps every environment at what a repository or a folder declares, as `apply --once` would."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rollcast.cli import terminal
from rollcast.cli.inputs.options import Options, options_of

if TYPE_CHECKING:
    from rollcast.stacks.following.revision import FollowedSource

_LOADED = (  # what every look needs: it is loaded once, before processes are forked
    "encodings.ascii", "sqlite3", "rollcast.cli.commands.apply", "rollcast.cli.commands.plan",
    "rollcast.cli.commands.validate", "rollcast.cli.inputs.guardrails", "rollcast.cli.inputs.plans",
    "rollcast.cli.output.ending", "rollcast.cli.output.forecast", "rollcast.cli.output.plan",
    "rollcast.cli.output.rollout", "rollcast.cli.output.status", "rollcast.planner.planning.planner",
    "rollcast.policies.judgement.base_rules", "rollcast.policies.judgement.judging", "rollcast.policies.library",
    "rollcast.policies.project", "rollcast.stacks.artifacts.comparing", "rollcast.stacks.artifacts.signatures",
    "rollcast.stacks.eligibility.rule", "rollcast.stacks.rollout.evaluations", "rollcast.stacks.rollout.notifications",
    "rollcast.stacks.rollout.start", "rollcast.stacks.rollout.status", "rollcast.stacks.rollout.steering",
    "rollcast.stacks.rollout.supersede", "sqlalchemy.dialects.sqlite",
)  # fmt: skip


def controller(
    context: typer.Context,
    source: Annotated[
        str | None, typer.Argument(metavar="SOURCE", help="A repository's address or path, or a folder; else here.")
    ] = None,
    repo: Annotated[str | None, typer.Option("--repo", metavar="URL", help="A git repository.")] = None,
    folder: Annotated[Path | None, typer.Option("--folder", metavar="DIR", help="A folder of this machine.")] = None,
    branch: Annotated[
        str, typer.Option("--branch", "--ref", metavar="B", help="The branch or tag of the repository.")
    ] = "main",
    path: Annotated[
        list[str] | None,
        typer.Option("--path", metavar="FOLDER", help="A project below the source; again for more. Else all."),
    ] = None,
    interval: Annotated[
        str, typer.Option("--interval", metavar="TIME", help="Between two looks while something moves.")
    ] = "15s",
    rest: Annotated[
        str, typer.Option("--rest", metavar="TIME", help="Between two looks for changes by hand where nothing moves.")
    ] = "2h",
    listen: Annotated[
        str, typer.Option("--listen", metavar="ADDRESS:PORT", help="Health, metrics, POST /sync; port 0: any free one.")
    ] = "127.0.0.1:8724",
    state: Annotated[
        Path | None,
        typer.Option("--state", metavar="DIR", help="What is kept of a repository; must outlive a restart."),
    ] = None,
    at_once: Annotated[int, typer.Option("--at-once", metavar="N", help="Environments at the same time.", min=1)] = 4,
    forecast: Annotated[
        bool, typer.Option("--forecast/--no-forecast", help="Replay the traffic in traffic/ through each plan first.")
    ] = True,
    format_: Annotated[
        Literal["text", "json"], typer.Option("--format", help="Lines for people, or one JSON object a line.")
    ] = "text",
) -> None:
    """Follow a git repository or a folder, and keep every environment at what it declares.

    Each environment is carried out as 'rollcast apply --once --auto-approve' would, in the order of 'after'.
    ROLLCAST_CONTROLLER_TOKEN or ROLLCAST_CONTROLLER_SECRET, in the environment, lets a webhook ask for a look at once.
    """
    from rollcast.cli.following.controller import ControllerSettings
    from rollcast.cli.following.serving import Address, follow
    from rollcast.stacks.following.schedule import Pace

    chosen = options_of(context)
    pace = Pace(_seconds(interval, "--interval"), _seconds(rest, "--rest"))
    found, kept = _source(chosen, source, repo, folder, branch, state, tuple(path or ()))
    address = Address.of(listen)
    settings = ControllerSettings(pace, chosen.file, at_once, chosen.environment or "")
    command = context.find_root().command

    def run(words: Sequence[str]) -> int:
        from rollcast.cli.failures import reported

        terminal.speak_anywhere()
        try:
            code = command.main(list(words), prog_name="rollcast", standalone_mode=False)
        except (KeyboardInterrupt, typer.Abort):
            return 130
        except Exception as error:
            return reported(error)
        return code if isinstance(code, int) else 0

    follow(found, kept, settings, address, run, _LOADED, forecast=forecast, as_json=format_ == "json")


def _source(
    chosen: Options, source: str | None, repo: str | None, folder: Path | None, branch: str, state: Path | None,
    only: tuple[str, ...],
) -> tuple[FollowedSource, Path]:  # fmt: skip
    """The source, and the folder that its controller's own ledger is in, where no ledger is named for all."""
    from rollcast.stacks.following.folder_source import FolderSource
    from rollcast.stacks.following.git_source import GitSource

    if sum(one is not None for one in (source, repo, folder)) > 1:
        raise typer.BadParameter("a source is named once: SOURCE, --repo or --folder", param_hint="SOURCE")
    if source is not None:
        local = chosen.directory / source
        repo, folder = (None, Path(source)) if local.is_dir() and not _is_bare(local) else (source, None)
    if repo is None:
        root = chosen.directory / (folder or Path())
        return FolderSource(root, chosen.file, only), root.resolve()
    url = str((chosen.directory / repo).resolve()) if (chosen.directory / repo).is_dir() else repo.removeprefix("git+")
    kept = chosen.directory / state if state else _state_of(f"{url} {branch}")
    return GitSource(url, branch, kept, chosen.file, only), kept.resolve()


def _is_bare(folder: Path) -> bool:
    return (folder / "HEAD").is_file() and (folder / "objects").is_dir() and (folder / "refs").is_dir()


def _state_of(source: str) -> Path:
    """Where a source's state is kept where nobody says."""
    from rollcast.stacks.following.revision import folder_name

    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "rollcast" / "controller" / folder_name(source)


def _seconds(text: str, option: str) -> float:
    from rollcast.planner.base.values import duration_s

    try:
        found = float(duration_s(float(text) if text.replace(".", "", 1).isdigit() else text))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None
    if found < 1:
        raise typer.BadParameter("a second is the shortest", param_hint=option)
    return found


def register(app: typer.Typer) -> None:
    app.command()(controller)
