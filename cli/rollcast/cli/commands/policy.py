"""`rollcast policy test`: guardrails over the plan, property tests of every rollout, a trace where one fails."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rollcast.cli import terminal
from rollcast.cli.inputs.options import options_of, project_of

if TYPE_CHECKING:
    from rollcast.stacks.project import Project

Profile = Literal["quick", "thorough"]

policies = typer.Typer(help="The project's own rules.", no_args_is_help=True, rich_markup_mode=None)


@policies.command("test")
def run_tests(
    context: typer.Context,
    examples: Annotated[
        int | None, typer.Option("--examples", metavar="N", min=1, help="Rollouts that each property test walks.")
    ] = None,
    profile: Annotated[Profile, typer.Option("--profile", help="How long to search.")] = "quick",
    seed: Annotated[int | None, typer.Option("--seed", metavar="S", min=0, help="Try the same as before.")] = None,
    junit: Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Results for CI, as JUnit XML.")] = None,
) -> None:
    """Guardrails and property tests: exit 0 when all hold, 1 when a property test fails, 3 when a guardrail blocks."""
    import random

    project = project_of(context)
    blocked = _guardrails(project)
    chosen = random.SystemRandom().randrange(2**32) if seed is None else seed
    failed = _property_tests(project, options_of(context).file, examples, profile, chosen, junit)
    if failed:
        raise typer.Exit(1)
    if blocked:
        raise typer.Exit(3)


def _guardrails(project: Project) -> bool:
    """Shows what the guardrails say of the plan from what is live; whether one of them blocks."""
    from rollcast.cli.inputs.guardrails import blocking, lines_of
    from rollcast.cli.inputs.plans import plan_of
    from rollcast.planner.base.errors import PlannerError
    from rollcast.stacks.base.errors import StackError

    try:
        made = plan_of(project).plan
    except (PlannerError, StackError) as error:
        terminal.note(f"There is no plan from what is live to judge: {error}")
        return False
    terminal.out("\n".join(lines_of(made)).rstrip())
    terminal.out()
    return bool(blocking(made, "plan"))


def _property_tests(
    project: Project, file: str, examples: int | None, profile: Profile, seed: int, junit: Path | None
) -> bool:
    """Runs the project's and the standard property tests in a process of their own; whether one failed."""
    import os
    import subprocess
    import sys
    from importlib.util import find_spec

    from rollcast.policies.errors import PolicyError

    if find_spec("pytest") is None or find_spec("hypothesis") is None:
        raise PolicyError("Property tests need pytest and hypothesis. Install them: pip install 'rollcast[policies]'.")
    standard = find_spec("rollcast.policies.standard")
    assert standard is not None
    assert standard.submodule_search_locations is not None
    folder = project.folder.resolve()
    own = sorted((folder / "policies").glob("test_*.py"))
    command = [
        # -rN: pytest's closing summary would print each trace again, in full where the variable CI is set
        sys.executable, "-m", "pytest", "-q", "-rN", "--no-header", "-p", "no:cacheprovider",
        "--import-mode=importlib",
        "--rollcast-project", str(folder), "--rollcast-file", file, "--rollcast-profile", profile,
        "--rollcast-seed", str(seed), f"--hypothesis-seed={seed}",
        *(["--rollcast-examples", str(examples)] if examples is not None else []),
        *(["--junitxml", str(junit.resolve())] if junit is not None else []),
        *[str(Path(where)) for where in standard.submodule_search_locations], *map(str, own),
    ]  # fmt: skip
    sys.stdout.flush()
    environment = {**os.environ, "HYPOTHESIS_STORAGE_DIRECTORY": str(project.state.resolve() / "hypothesis")}
    done = subprocess.run(command, env=environment, cwd=folder, check=False)
    if done.returncode != 0:
        option = f" --examples {examples}" if examples is not None else ""
        other = f" --profile {profile}" if profile != "quick" else ""
        terminal.note(f"The same again: rollcast policy test --seed {seed}{other}{option}")
    return done.returncode != 0


def register(app: typer.Typer) -> None:
    app.add_typer(policies, name="policy")
