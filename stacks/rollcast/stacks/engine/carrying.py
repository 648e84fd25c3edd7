"""The state of stacks, carried from one backend of Pulumi to another: exported, imported, and held against each other.

Nothing of the world is read or changed. A stack that is there already is replaced; the one at the old place stays.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from pulumi import automation

from rollcast.stacks import engine
from rollcast.stacks.base.errors import EngineError
from rollcast.stacks.engine.backends import engine_variables
from rollcast.stacks.engine.update import EngineProcess, stack_unopened

Progress = Callable[[str], None]


def carry(
    root: Path, stacks: Iterable[tuple[str, str]], source: str, target: str, words: str, progress: Progress
) -> list[str]:
    """Carries stacks, (project, environment) each, to the backend at `target`; gives those that there were.

    `words` is their passphrase, here and there. Raises EngineError, with what the engine said.
    """
    carried = []
    with tempfile.TemporaryDirectory(prefix="rollcast-carry-") as scratch:
        for number, (project, name) in enumerate(stacks):
            old, new = Path(scratch) / f"{number}-old", Path(scratch) / f"{number}-new"
            found = _exported(_workspace(root, old, project, source, words), project, name, source, root)
            if found is None:
                continue
            progress(f"carrying the Pulumi stack {project}/{name}")
            _import(_workspace(root, new, project, target, words), project, name, found, target, root)
            carried.append(f"{project}/{name}")
    return carried


def _workspace(root: Path, folder: Path, project: str, url: str, words: str) -> automation.LocalWorkspace:
    folder.mkdir(mode=0o700)
    settings = automation.ProjectSettings(name=project, runtime="python", backend=automation.ProjectBackend(url))
    return automation.LocalWorkspace(
        work_dir=str(folder),
        pulumi_command=EngineProcess(engine.require()),
        project_settings=settings,
        env_vars={**engine_variables(url, words), "PULUMI_HOME": str(folder / "home")},
    )


def _exported(
    workspace: automation.LocalWorkspace, project: str, name: str, url: str, root: Path
) -> automation.Deployment | None:
    """The state of a stack; None where there is none of that name."""
    try:
        if name not in {summary.name.rpartition("/")[2] for summary in workspace.list_stacks()}:
            return None
        return workspace.export_stack(name)
    except automation.errors.CommandError as error:
        raise EngineError(stack_unopened(str(error), url, root)) from None


def _import(
    workspace: automation.LocalWorkspace, project: str, name: str, state: automation.Deployment, url: str, root: Path
) -> None:
    try:
        automation.Stack.create_or_select(name, workspace)
        workspace.import_stack(name, state)
        arrived = workspace.export_stack(name)
    except automation.errors.CommandError as error:
        raise EngineError(stack_unopened(str(error), url, root)) from None
    if _resources(arrived) != _resources(state):
        raise EngineError(
            f"The Pulumi stack {project}/{name} did not arrive as it was exported. Nothing was moved. "
            "Repeat 'rollcast ledger move'."
        )


def _resources(state: automation.Deployment) -> Sequence[Any]:
    found: Sequence[Any] = (state.deployment or {}).get("resources", [])
    return found


__all__ = ["carry"]
