"""`process`: an instance is a local process with an address, kept running by a supervisor that outlives the driver.

A folder for each instance holds its content, how it is run (`spec.json`), what runs (`state.json`) and, once it was
ready, whose it is (`placed.json`). An instance whose supervisor is gone is down, so the next `apply` starts another,
which takes over a process that still runs. Secrets are in the environment of the process alone.

Long because making, replacing and ending an instance are one order of steps, in which a kill may fall anywhere.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollcast.stacks.base import atomic_files, processes
from rollcast.stacks.base.errors import FenceError, StackError
from rollcast.stacks.base.failpoints import failpoint
from rollcast.stacks.base.fences import FolderFence
from rollcast.stacks.base.programs import with_this_python
from rollcast.stacks.base.secrets import REFERENCE, filled
from rollcast.stacks.instances import (
    InstanceSpec,
    Placed,
    Provisioning,
    is_to_hand_over,
    owned_by_another,
    refusal,
    refuse_no_content,
)
from rollcast.stacks.instances.process_settings import ProcessSettings
from rollcast.stacks.instances.readiness import Probed, last_lines_of, state_of, wait_until_ready
from rollcast.stacks.instances.variables import filled_template

_PLACED, _CONTENT = "placed.json", "content"
_INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR")
_MOST_LOGS = 100
_SUPERVISOR_S = 10.0  # for a supervisor to begin, or to end beyond its program's own time


@dataclass(frozen=True)
class _Found:
    """An instance's folder as it is: how it is run, and what it is, once it was ready."""

    folder: Path
    spec: dict[str, Any]
    placed: Placed | None

    @property
    def wanted(self) -> Placed:
        """What it is to be, whether or not it was ever ready."""
        return self.placed or Placed.model_validate(self.spec["wanted"])

    @property
    def is_kept_up(self) -> bool:
        return processes.is_alive(state_of(self.folder).get("supervisor"))


class ProcessInstances:
    """Instances as processes of this machine."""

    settings_model = ProcessSettings
    addressed = True

    def __init__(self, settings: ProcessSettings, root: Path, scope: str = "") -> None:
        """`scope`: whose tokens its writes carry. Several projects share a folder, and each counts its own."""
        self._settings, self._root = settings, root
        self._folder, self._logs = root / settings.path, root / settings.logs
        self._fence = FolderFence(self._folder, scope)

    @property
    def place(self) -> str:
        return f"process:{self._folder.resolve()}"

    def claim(self, fence: int) -> None:
        with self._fence.held(fence):
            left = [each for each in self._all() if each.placed is None and self._is_older(each, fence)]
            for staged in self._fence.left_behind(self._folder, fence):
                shutil.rmtree(staged, ignore_errors=True)
        for each in left:  # it was never ready, and who began it is gone
            self._end(each.folder)
            self._take_away(fence, each.folder)

    def newest(self) -> int:
        return self._fence.newest()

    def placed(self) -> dict[str, Placed]:
        found = {each.placed.folder: each.placed for each in self._all() if each.placed is not None}
        return dict(sorted(found.items()))

    def down(self) -> dict[str, str]:
        found = {}
        for each in self._all():
            if each.placed is not None and not each.is_kept_up:
                runs = processes.is_alive(state_of(each.folder).get("child"))
                found[each.placed.folder] = "it runs on without a supervisor" if runs else "it does not run"
        return found

    def content(self, folder: str) -> Path | None:
        found = self._folder / folder / _CONTENT
        return found.resolve() if found.is_dir() else None

    # ---- to make ------------------------------------------------------------------------------

    def put_instance(self, fence: int, placed: Placed, content: Path, spec: InstanceSpec, watch: Provisioning) -> None:
        folder, environment = self._below(placed.folder), self._environment()
        self._refuse_unknown_program(environment)
        self._secrets()
        with self._fence.held(fence):
            found = self._refuse_another(placed)
            same = found is not None and found.placed is not None and found.placed.digest == placed.digest
            if same and found is not None and found.is_kept_up:
                self._say(found, placed)
                return
        values = self._put_in_place(fence, placed, None if same else content, spec, found)
        try:
            self._run(folder, values, environment, watch)
            failpoint("process: ready, and not yet said")
            with self._fence.held(fence):
                self._say(_Found(folder, self._spec_at(folder), None), placed)
        except FenceError:
            raise  # whoever took over has it now
        except StackError as error:
            log = self._log(placed.folder)
            said = last_lines_of(log, self._secrets())
            if not same:
                self._undo(fence, placed, environment)
            raise StackError(
                f"Instance {placed.folder} {error}. Its log ends: {said} ({log}). Correct its command or its 'ready', "
                "then run 'rollcast apply'; nobody is sent to it."
            ) from None
        except OSError as error:
            raise _unwritten(placed.folder, error) from None

    def _put_in_place(
        self, fence: int, placed: Placed, content: Path | None, spec: InstanceSpec, found: _Found | None
    ) -> dict[str, str]:
        """Content, port and spec, whole; gives the variables. Without content what is there is run again.

        What was there ends before, and is kept until its successor is ready.
        """
        folder, staged = self._below(placed.folder), self._staging(fence, placed.folder)
        try:
            if content is not None:
                shutil.rmtree(staged, ignore_errors=True)
                refuse_no_content(content)
                shutil.copytree(content, staged / _CONTENT)
                staged.chmod(0o755)
                if found is not None:
                    self._end(folder)
            with self._fence.held(fence):
                self._refuse_another(placed)
                port = found.spec["port"] if found is not None else self._free_port(placed.folder)
                values = self._values(placed, spec, folder, port)
                own = json.dumps(self._spec(values, port, fence, placed))
                if content is None:
                    atomic_files.write(folder / processes.SPEC, own)
                    return values
                (staged / processes.SPEC).write_text(own, "utf-8")
                if found is not None and folder.exists():
                    shutil.rmtree(self._before(placed.folder), ignore_errors=True)
                    os.replace(folder, self._before(placed.folder))
                atomic_files.place(staged, folder)
                return values
        except (OSError, shutil.Error) as error:
            raise _unwritten(placed.folder, error) from None
        finally:
            shutil.rmtree(staged, ignore_errors=True)

    def _run(self, folder: Path, values: dict[str, str], environment: dict[str, str], watch: Provisioning) -> None:
        """Returns once the supervisor's program is ready. Raises StackError."""
        spec, own = self._spec_at(folder), {**environment, **self._declared(values)}
        Path(spec["log"]).parent.mkdir(parents=True, exist_ok=True)
        if not processes.is_alive(state_of(folder).get("child")):
            (folder / processes.STATE).unlink(missing_ok=True)
        with (folder / "supervisor.log").open("ab") as said:
            supervisor = subprocess.Popen(
                [sys.executable, "-I", "-S", processes.__file__, str(folder)], cwd=folder, env=own,
                stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True,
            )  # fmt: skip
        until = time.monotonic() + _SUPERVISOR_S
        while (state_of(folder).get("supervisor") or {}).get("pid") != supervisor.pid:
            if time.monotonic() > until or supervisor.poll() is not None:
                raise StackError("has no supervisor: it did not begin")
            time.sleep(0.02)
        failpoint("process: started")
        ready = self._settings.ready
        command = with_this_python([filled_template(word, values) for word in ready.command or ()])
        probe = Probed(ready, self._settings.host, spec["port"], own, Path(spec["directory"]), tuple(command))
        wait_until_ready(folder, probe, watch)

    def _undo(self, fence: int, placed: Placed, environment: dict[str, str]) -> None:
        """What never became ready goes; what it was to replace runs again."""
        folder, before = self._below(placed.folder), self._before(placed.folder)
        self._end(folder)
        with self._fence.held(fence):
            atomic_files.remove(folder, self._staging(fence, placed.folder))
            if before.exists():
                os.replace(before, folder)
            atomic_files.prune(folder.parent, self._folder)
            back = self._at(folder)
        if back is not None and back.placed is not None:
            values = self._values(back.placed, InstanceSpec(), folder, back.spec["port"])
            with suppress(StackError, OSError):  # the first error is what is said
                self._run(folder, values, environment, Provisioning())

    # ---- to end -------------------------------------------------------------------------------

    def remove_instance(self, fence: int, folder: str, owner: str = "") -> None:
        place = self._below(folder)
        with self._fence.held(fence):
            found = self._at(place)
            if found is None or owned_by_another(found.wanted, owner):
                return
            (place / _PLACED).unlink(missing_ok=True)
        failpoint("process: before it is ended")
        self._end(place)
        self._take_away(fence, place)
        self._prune_logs()

    def hand_over(self, fence: int, folder: str, before: str, owner: str) -> None:
        with self._fence.held(fence):
            found = self._at(self._below(folder))
            if found is None or found.placed is None or not is_to_hand_over(found.placed, before, owner):
                return
            body = found.placed.model_copy(update={"owner": owner}).model_dump(mode="json", exclude={"address"})
            atomic_files.write(found.folder / _PLACED, json.dumps(body, sort_keys=True) + "\n")

    def _take_away(self, fence: int, folder: Path) -> None:
        with self._fence.held(fence):
            atomic_files.remove(folder, self._staging(fence, folder.relative_to(self._folder).as_posix()))
            atomic_files.prune(folder.parent, self._folder)

    @staticmethod
    def _end(folder: Path) -> None:
        """Ends a folder's process and its supervisor: asked to first, killed once its own time is over."""
        state = state_of(folder)
        try:
            stop_s = float(json.loads((folder / processes.SPEC).read_text("utf-8"))["stop_s"])
        except (OSError, ValueError, KeyError):
            stop_s = 0.0
        supervisor, child = state.get("supervisor"), state.get("child")
        if supervisor is not None and processes.is_alive(supervisor):
            os.kill(supervisor["pid"], signal.SIGTERM)
            until = time.monotonic() + stop_s + _SUPERVISOR_S
            while processes.is_alive(supervisor) and time.monotonic() < until:
                time.sleep(0.02)
            if processes.is_alive(supervisor):
                os.kill(supervisor["pid"], signal.SIGKILL)
            child = state_of(folder).get("child")
        if child is not None and processes.is_alive(child):
            processes.end_group(child, stop_s)

    def _prune_logs(self) -> None:
        """Keeps the logs of what is there, and the newest of what is gone."""
        live = {each.spec["log"] for each in self._all()}
        gone = [log for log in self._logs.glob("*.log") if str(log) not in live]
        for log in sorted(gone, key=lambda each: each.stat().st_mtime)[:-_MOST_LOGS]:
            for each in (log, log.with_name(f"{log.name}.1")):
                each.unlink(missing_ok=True)

    # ---- what is there ------------------------------------------------------------------------

    def _all(self) -> Iterator[_Found]:
        for spec in sorted(self._folder.glob(f"[!.]*/*/*/{processes.SPEC}")):
            if (found := self._at(spec.parent)) is not None:
                yield found

    @staticmethod
    def _spec_at(folder: Path) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((folder / processes.SPEC).read_text("utf-8"))
        return found

    def _at(self, folder: Path) -> _Found | None:
        try:
            spec = self._spec_at(folder)
            with suppress(FileNotFoundError):
                placed = json.loads((folder / _PLACED).read_text("utf-8"))
                return _Found(folder, spec, Placed.model_validate({**placed, "address": spec["address"]}))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StackError(f"{folder} can't be read ({error}). Remove it and apply again.") from None
        return _Found(folder, spec, None)

    def _refuse_another(self, placed: Placed) -> _Found | None:
        found = self._at(self._below(placed.folder))
        if found is not None and owned_by_another(found.wanted, placed.owner):
            raise StackError(refusal(placed.folder, found.wanted))
        return found

    def _say(self, found: _Found, placed: Placed) -> None:
        body = placed.model_dump(mode="json", exclude={"address"})
        atomic_files.write(found.folder / _PLACED, json.dumps(body, sort_keys=True) + "\n")
        shutil.rmtree(self._before(placed.folder), ignore_errors=True)

    def _is_older(self, found: _Found, fence: int) -> bool:
        """Whether a process of this scope began something, and has lost its lease since."""
        return found.spec.get("mark") == self._fence.mark and int(found.spec.get("fence", 0)) < fence

    def _below(self, name: str) -> Path:
        folder = self._folder / name
        if len(Path(name).parts) != 3 or ".." in Path(name).parts or name.startswith("."):
            raise StackError(f"Instance '{name}' is not pipeline/component/instance. Correct the plan.")
        return folder

    def _staging(self, fence: int, name: str) -> Path:
        return self._fence.staging(self._folder, fence, name)

    def _before(self, name: str) -> Path:
        """Where what is replaced is kept until its successor is ready."""
        return self._fence.staging(self._folder, 0, f"before {name}").with_suffix(".before")

    # ---- how it is run ------------------------------------------------------------------------

    def _free_port(self, folder: str) -> int:
        """A port of the declared ones that no instance has and nobody listens at. Raises StackError."""
        taken = {each.spec["port"]: each for each in self._all()}
        ports, host = self._settings.port_range, self._settings.host
        for port in ports:
            if port not in taken and _is_free(host, port):
                return port
        shown = str(ports[0]) if len(ports) == 1 else f"{ports[0]} to {ports[-1]}"
        own = [each.folder.relative_to(self._folder).as_posix() for port, each in taken.items() if port in ports]
        by = f"by {', '.join(own[:3])}" if own else "by other programs"
        raise StackError(
            f"Instance {folder} finds no free port: {shown} at {host} taken {by}. Two versions run side by side, so "
            "give 'ports' a range with room for both."
        )

    def _values(self, placed: Placed, spec: InstanceSpec, folder: Path, port: int) -> dict[str, str]:
        return {
            "artifact": str((folder / _CONTENT).resolve()), "host": self._settings.host, "port": str(port),
            "release": placed.release, "component": placed.slot, "pipeline": placed.pipeline,
            "instance": placed.folder, "reference": spec.reference,
        }  # fmt: skip

    def _spec(self, values: dict[str, str], port: int, fence: int, placed: Placed) -> dict[str, Any]:
        settings = self._settings
        return {
            "command": with_this_python([filled_template(word, values) for word in settings.command]),
            "directory": str((self._root / settings.directory).resolve()),
            "log": str(self._log(placed.folder)),
            "port": port,
            "address": filled_template(settings.address, values),
            "stop_s": settings.stop,
            "restart_s": settings.restart,
            "fence": fence,
            "mark": self._fence.mark,
            "wanted": placed.model_dump(mode="json", exclude={"address"}),
        }

    def _log(self, name: str) -> Path:
        return (self._logs / f"{name.replace('/', '--')}.log").resolve()

    def _environment(self) -> dict[str, str]:
        """What each process inherits: never what a driver or its engine is given besides."""
        return {name: value for name, value in os.environ.items() if name in _INHERITED or name.startswith("LC_")} | {
            "PYTHONUNBUFFERED": "1"
        }

    def _declared(self, values: dict[str, str]) -> dict[str, str]:
        """The declared variables. Raises StackError where a secret is not set."""
        given = self._settings.environment
        return {name: filled(filled_template(text, values)) for name, text in given.items()}

    def _secrets(self) -> list[str]:
        """The values that come from the environment of whoever applies. Raises StackError where one is not set."""
        texts = self._settings.environment.values()
        return [filled(text) for text in sorted({found[0] for each in texts for found in REFERENCE.finditer(each)})]

    def _refuse_unknown_program(self, environment: dict[str, str]) -> None:
        (program,) = with_this_python(self._settings.command[:1])
        if shutil.which(program, path=environment.get("PATH")) is None and "{" not in program:
            raise StackError(f"'{program}' can't be run: it is not on PATH. Install it, or correct 'command'.")


def _unwritten(folder: str, error: Exception) -> StackError:
    return StackError(
        f"Instance {folder} can't be written ({error}). Make room or correct permissions, then run "
        "'rollcast apply --resume'."
    )


def _is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
