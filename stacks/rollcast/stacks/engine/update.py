"""One `up` of the Pulumi engine: a program in, the outputs of its steps out.

The backend is a folder of the project (`.rollcast/pulumi/state`), or what PULUMI_BACKEND_URL names. Secrets of the
stack are encrypted with a passphrase from PULUMI_CONFIG_PASSPHRASE, else from a file that only its owner can read.
The engine runs in a session of its own, so that Ctrl-C reaches the driver alone, which then ends at a safe state.

Long because an engine's process, its events and its orphans belong to one update.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pulumi import automation
from pulumi.automation._stack import StackInitMode
from pulumi.automation.events import EngineEvent
from semver import VersionInfo

from rollcast.stacks import engine
from rollcast.stacks.base.errors import HELD, EngineError, FenceError, HeldError, StackError
from rollcast.stacks.base.failpoints import failpoint
from rollcast.stacks.engine.backends import (
    PASSPHRASE,
    backend_shown,
    backend_url,
    engine_variables,
    passphrase,
    passphrase_file,
    pulumi_folder,
)
from rollcast.stacks.engine.program import ResourceNode, program_of
from rollcast.stacks.engine.provider_process import PROVIDERS, ProviderProcess

# An engine that ends in the middle also ends its event stream; the error itself says what happened.
warnings.filterwarnings("ignore", message="Error in event stream", module="pulumi")
_MARK = "ROLLCAST_WORLD"
_GRACE_S = 30.0
_TRANSIENT = (
    "code = Internal", "code = Unavailable", "code = Unknown", "code = Canceled", "error reading from server",
    "exited prematurely", "connection refused",
)  # fmt: skip
Progress = Callable[[str], None]


class EngineProcess(automation.PulumiCommand):
    """The engine as a child in its own session, which can be ended by its number."""

    def __init__(self, binary: Path) -> None:
        """`binary` is an engine whose version is known to fit: it is not run to be read once more."""
        self.command = str(binary)
        self.version = VersionInfo.parse(engine.version_of(binary) or engine.VERSION)
        self.process: subprocess.Popen[str] | None = None

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: Callable[[str], Any] | None = None,
        on_error: Callable[[str], Any] | None = None,
    ) -> automation.CommandResult:
        """Runs a command of the engine to its end. Raises CommandError."""
        environment = {**os.environ, **additional_env, "PULUMI_AUTOMATION_API": "true"}
        command = [self.command, "--non-interactive", *args]
        with subprocess.Popen(
            command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, encoding="utf-8", start_new_session=True, umask=0o077,
        ) as process:  # fmt: skip
            self.process = process
            try:
                stdout, stderr = process.communicate()
            except BaseException:
                self.end()
                raise
            finally:
                self.process = None
        result = automation.CommandResult(stdout=stdout, stderr=stderr, code=process.returncode)
        if process.returncode:
            raise automation.errors.create_command_error(result)
        return result

    def end(self) -> None:
        """Kills the engine."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)


class _Stack(automation.Stack):
    """A stack that does not read outputs and history after each `up`: what is needed comes with its events.

    One that is `known` is not looked for before it is used, which takes a run of the engine: each command names it.
    """

    def __init__(self, name: str, workspace: automation.LocalWorkspace, known: bool) -> None:
        if known:
            self.name, self.workspace, self._mode = name, workspace, StackInitMode.SELECT
        else:
            super().__init__(name, workspace, StackInitMode.CREATE_OR_SELECT)

    def outputs(self) -> automation.OutputMap:
        return {}

    def info(self, show_secrets: bool = True) -> automation.UpdateSummary:
        now = datetime.now(UTC)
        return automation.UpdateSummary("update", now, "", {}, {}, "succeeded", end_time=now)


class EngineStack:
    """The stack of one environment. `fence` is the token that every write carries, `scope` whose token it is."""

    def __init__(self, root: Path, project: str, environment: str, fence: int) -> None:
        self._root = root.resolve()
        self._folder = pulumi_folder(self._root)
        self._project, self._name, self._fence = project, environment, fence
        self.scope = f"{project}/{environment}"
        self._engine = EngineProcess(engine.require())
        self._provider = ProviderProcess(self._whose(), self._folder / "provider.log")
        self._stack: automation.Stack | None = None
        self._made_again = False

    def up(self, nodes: Sequence[ResourceNode], progress: Progress) -> dict[str, dict[str, Any]]:
        """Makes the world so. Gives the outputs of resources that changed, by name. Raises StackError."""
        events = _Events(progress, self._root)
        stack = self._open()
        stack.workspace.program = program_of(nodes)
        stack.workspace.env_vars = {**stack.workspace.env_vars, PROVIDERS: f"rollcast:{self._provider.port()}"}
        failpoint("engine: before an update")
        # Each operation has its own limit in the provider. This one is for a provider or an engine that hangs itself.
        limit = threading.Timer(sum(node.inputs["timeout_s"] for node in nodes) + _GRACE_S, self.end)
        limit.daemon = True
        limit.start()
        rests = False  # whether the provider surely does nothing any more
        try:
            stack.up(on_event=events.take, color="never", parallel=16)
            failpoint("engine: after an update")
            rests = True
            return events.outputs
        except OSError as error:
            raise EngineError(f"The Pulumi engine failed: {error}.") from None
        except automation.errors.CommandError as error:
            rests = self._is_to_be_made_again(error)
            if not rests:
                found = events.error(error)
                rests = isinstance(found, HeldError) and not events.failed
                raise found from None
        finally:
            limit.cancel()
            if rests:
                self._provider.rest()
            else:
                self._provider.end()
        return self.up(nodes, progress)

    @property
    def _settings(self) -> Path:
        """This folder's settings of the stack."""
        return self._folder / f"Pulumi.{self._name}.yaml"

    def _is_to_be_made_again(self, error: Exception) -> bool:
        """Whether the stack is gone, or this folder's settings of it are of another passphrase; once, they are made.

        They hold the salt of secrets and nothing else. rollcast marks nothing in a stack as secret, so nothing is lost;
        where there is a secret all the same, the engine says so the next time.
        """
        gone = isinstance(error, automation.errors.StackNotFoundError)
        if not (gone or "incorrect passphrase" in str(error)) or self._made_again or not self._settings.exists():
            return False
        self._settings.unlink()
        self._stack, self._made_again = None, True
        return True

    def recover(self) -> None:
        """Makes the stack usable after an `up` that was killed: its lock and pending operations are dropped.

        Every resource reads the world before it acts, so what a pending operation did or did not do is found again.
        """
        self.end_orphans()
        stack = self._open()
        with contextlib.suppress(automation.errors.CommandError):
            stack.cancel()
        try:
            state = stack.export_stack()
        except automation.errors.CommandError as error:
            if not self._is_to_be_made_again(error):
                raise
            self.recover()
            return
        deployment = dict(state.deployment or {})
        if deployment.pop("pending_operations", None):
            stack.import_stack(automation.Deployment(version=state.version, deployment=deployment))

    def end_orphans(self) -> None:
        """Ends engines and providers of earlier holders of the lease that are still on this machine."""
        _end_orphans(self._mark(), self._fence)

    def prepare(self) -> None:
        """Starts what the first update will need, while something else is done. Raises EngineError."""
        self._own_folder()
        self._provider.start()

    def end(self) -> None:
        """Stops the engine at once, and the provider with it."""
        self._engine.end()
        self._provider.end()

    def _mark(self) -> str:
        return f"{self._root}|{self._project}|{self._name}"

    def _open(self) -> automation.Stack:
        if self._stack is None:
            self._own_folder()
            state = self._folder / "state"
            state.mkdir(exist_ok=True, mode=0o700)
            url = backend_url(self._root)
            settings = automation.ProjectSettings(
                name=self._project, runtime="python", backend=automation.ProjectBackend(url)
            )
            workspace = automation.LocalWorkspace(
                work_dir=str(self._folder),
                pulumi_command=self._engine,
                project_settings=settings,
                env_vars=self._environment(url),
            )
            with contextlib.suppress(FileNotFoundError):
                os.chmod(self._folder / "Pulumi.yaml", 0o600)
            try:
                self._stack = _Stack(self._name, workspace, known=self._settings.exists() and not self._made_again)
            except automation.errors.CommandError as error:
                raise EngineError(stack_unopened(str(error), url, self._root)) from None
        return self._stack

    def _environment(self, url: str) -> dict[str, str]:
        """The variables of an engine."""
        own = Path(sys.executable).parent
        return {
            "PATH": os.pathsep.join([str(own), os.environ.get("PATH", "")]),
            **engine_variables(url, passphrase(self._root)),
            "PULUMI_HOME": os.environ.get("PULUMI_HOME") or str(self._folder / "home"),
            **self._whose(),
        }

    def _whose(self) -> dict[str, str]:
        """Whose writes they are, for a provider, and for who looks for processes that were left behind."""
        return {
            "ROLLCAST_ROOT": str(self._root),
            "ROLLCAST_FENCE": str(self._fence),
            "ROLLCAST_SCOPE": self.scope,
            _MARK: self._mark(),
            "ROLLCAST_DRIVER": str(os.getpid()),
        }

    def _own_folder(self) -> None:
        """The folder of everything that the engine keeps, for its owner alone."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder.chmod(0o700)


class _Events:
    """What the engine reports while it works."""

    def __init__(self, progress: Progress, root: Path) -> None:
        self._progress, self._root, self._url = progress, root, backend_url(root)
        self.outputs: dict[str, dict[str, Any]] = {}
        self.errors: list[str] = []
        self.transient = self.held = self.failed = False
        self._lock = threading.Lock()

    def take(self, event: EngineEvent) -> None:
        done, diagnostic = event.res_outputs_event, event.diagnostic_event
        with self._lock:
            if done is not None and done.metadata.new is not None:
                name = done.metadata.urn.rsplit("::", 1)[-1]
                self.outputs[name] = dict(done.metadata.new.outputs or {})
            if diagnostic is not None and diagnostic.severity == "error":
                self.transient = self.transient or any(mark in diagnostic.message for mark in _TRANSIENT)
                self.held = self.held or HELD in diagnostic.message
                self.failed = self.failed or ("rpc error" in diagnostic.message and HELD not in diagnostic.message)
                self.errors.append(_plain(diagnostic.message))
            elif diagnostic is not None and diagnostic.urn and diagnostic.severity == "info":
                self._progress(_plain(diagnostic.message))

    def error(self, error: Exception) -> StackError:
        """What went wrong, in the provider's own words where it said something."""
        if "incorrect passphrase" in str(error):
            return EngineError(stack_unopened(str(error), self._url, self._root))
        causes = [text for text in self.errors if text and not text.startswith(("update failed", "Resource monitor"))]
        if not causes:
            return EngineError(f"The Pulumi engine failed: {_last_line(str(error))}")
        text = " ".join(dict.fromkeys(causes))
        if "fencing token" in text:
            return FenceError(text)
        if self.held and not self.transient:
            return HeldError(text)
        return EngineError(text) if self.transient else StackError(text)


def _plain(diagnostic: str) -> str:
    """A message without colour marks and the engine's own preface."""
    text = diagnostic
    while "<{%" in text and "%}>" in text:
        before, _, rest = text.partition("<{%")
        text = before + rest.partition("%}>")[2]
    text = " ".join(text.split())
    if "exited prematurely" in text:
        return "The provider process ended while it was at work."
    for mark in ("rpc error: code = FailedPrecondition desc = ", "rpc error: code = Internal desc = ", HELD):
        text = text.rpartition(mark)[2]
    return text


def stack_unopened(said: str, url: str, root: Path) -> str:
    """Why a stack can't be opened, and what to do, from what the engine said."""
    if "passphrase" in said:
        shown = backend_shown(url, root) or "the project's own folder"
        return (
            f"The Pulumi stack at {shown} was made with another passphrase. Set {PASSPHRASE} to that one; where the "
            f"project was begun, the file {passphrase_file(root).relative_to(root.resolve())} has it."
        )
    return f"The Pulumi stack can't be opened: {_last_line(said)}"


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def _end_orphans(mark: str, fence: int) -> None:
    """Ends engines and providers that a dead driver of this very world left on this machine."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            pairs = (entry / "environ").read_bytes().split(b"\0")
            own = dict(pair.decode("utf-8", "replace").split("=", 1) for pair in pairs if b"=" in pair)
            if own.get(_MARK) == mark and int(own.get("ROLLCAST_FENCE", "0")) < fence:
                os.kill(int(entry.name), signal.SIGKILL)


__all__ = ["EngineProcess", "EngineStack", "stack_unopened"]
