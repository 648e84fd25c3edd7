"""A project folder: its declaration, environment and pinned artifacts, read once at the start of a command.

Nothing is written here. `rollcast.yaml` is refused before it is read when it is absurdly large.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import BaseModel

from rollcast.planner.base.errors import DeclarationError, Diagnostic, KindError, did_you_mean
from rollcast.planner.declaration.models import Declaration, Environment
from rollcast.planner.loading.kind_settings import SettingsOf
from rollcast.planner.loading.loader import MOST_BYTES, load, read_source
from rollcast.planner.releases.releases import digest_of
from rollcast.plugins.settings import settings_of
from rollcast.simulator.base.errors import SimulatorError
from rollcast.simulator.stations.custom import profile_model_in
from rollcast.stacks.artifacts import lock
from rollcast.stacks.artifacts.resolving import Progress, Resolution, hollow, resolve
from rollcast.stacks.artifacts.templates import template_mistakes
from rollcast.stacks.base.errors import StackError

DECLARATION = "rollcast.yaml"
MOST_SAVED_BYTES = 512 * 1024 * 1024  # of a plan or a forecast; a plan of 5,000 instances has about 110 MiB


@dataclass(frozen=True)
class Project:
    """A folder with a declaration, which has the pins of the lock file. `locked` is that file, None without one."""

    folder: Path
    file: str
    text: str
    declaration: Declaration
    environment_name: str
    environment: Environment
    locked: lock.Lock | None

    @classmethod
    def open(
        cls, folder: Path, environment: str | None = None, file: str = DECLARATION, *, profiles: bool = False
    ) -> Project:
        """The project in a folder. Raises StackError or DeclarationError, each with its place and remedy.

        profiles: whether the profiles of artifacts must be right, too. Else that is left to a forecast, so that a
        station that can't be loaded hinders no rollout.
        """
        text, declaration = read_declaration(folder, file, _with_stations(folder) if profiles else settings_of)
        name, settings = choose_environment(declaration, environment, file)
        locked = lock.read(folder)
        return cls(folder, file, text, (locked or lock.Lock({})).pins_of(declaration), name, settings, locked)

    @property
    def state(self) -> Path:
        """Where everything that rollcast keeps for this project is: `.rollcast`, never committed."""
        return self.folder / ".rollcast"

    @property
    def pinned(self) -> dict[str, str] | None:
        """The digest of every artifact as it is locked; None where nothing is."""
        return None if self.locked is None else self.locked.artifacts

    def resolved(
        self,
        only: Collection[str] | None = None,
        *,
        offline: bool = False,
        progress: Progress = lambda reference, done, total: None,
    ) -> Resolution:
        """What the lock would be now. Raises DeclarationError with every source that can't be pinned."""
        found = resolve(self.declaration, self.folder, self.locked, only=only, offline=offline, progress=progress)
        self._refuse(found.mistakes)
        return found

    def refuse_templates(self) -> None:
        """Raises DeclarationError with every prompt that wants what its component does not give."""
        source = read_source(self.text, self.file, _reader(self.folder))
        found = []
        for path, text in template_mistakes(self.declaration, self.digests, self.folder):
            place = source.at(path, "")
            found.append(Diagnostic(place.file, place.line, place.column, text))
        if found:
            raise DeclarationError(found)

    def _refuse(self, mistakes: Iterable[tuple[int, str]]) -> None:
        """Raises DeclarationError where there are any, each with the place of its artifact's source."""
        found = [Diagnostic(*self._place(index), text) for index, text in mistakes]
        if found:
            raise DeclarationError(found)

    def _place(self, index: int) -> tuple[str, int, int]:
        """File, line and column of an artifact's source, by its number in the declaration."""
        found = read_source(self.text, self.file, _reader(self.folder)).at(("artifacts", index, "source"), "")
        return found.file, found.line, found.column

    @cached_property
    def digests(self) -> dict[str, str]:
        """The digest of every declared artifact. Raises StackError when content is not as pinned."""
        self._refuse(hollow(self.declaration))
        found = lock.computed(self.declaration, self.folder)
        apart = lock.pinned_apart(self.declaration)
        held = {name: digest for name, digest in found.items() if name not in apart}
        changed = [s for s in lock.differences(self.pinned, held) if "pins" in s] if self.pinned is not None else []
        if changed:
            remedy = "Give changed content a new version, or run 'rollcast lock' if nothing has served it yet."
            raise StackError(f"{'; '.join(changed)}. {remedy}")
        return found

    @property
    def declaration_digest(self) -> str:
        """Of what is declared, without what comes from the lock, and without who hears of a rollout."""
        apart = {"artifacts": {"__all__": {"pinned", "made_from"}}, "environments": {"__all__": {"notify"}}}
        own = self.declaration.model_dump(mode="json", by_alias=True, exclude=apart)
        return digest_of(own)

    @property
    def lock_digest(self) -> str:
        return lock.digest(self.pinned)

    def sibling(self, file: str) -> tuple[Declaration, dict[str, str]]:
        """Another declaration of this pipeline and its digests, by a path below the project. Raises StackError."""
        path = self.folder / file
        _, declaration = read_declaration(path.parent, path.name)
        if declaration.pipeline != self.declaration.pipeline:
            raise StackError(
                f"{file} declares pipeline '{declaration.pipeline}', and {self.file} declares "
                f"'{self.declaration.pipeline}': what never served here is nothing to plan from. "
                "Name a declaration of the same pipeline."
            )
        declaration = (lock.read(path.parent) or lock.Lock({})).pins_of(declaration)
        return declaration, lock.computed(declaration, path.parent)


def _with_stations(folder: Path) -> SettingsOf:
    """Settings of kinds, and the profiles of all stations: installed ones and the project's own."""

    @cache
    def settings(key: str, kind: str) -> type[BaseModel]:
        if key != "profile":
            return settings_of(key, kind)
        try:
            return profile_model_in(folder, kind)
        except SimulatorError as error:
            raise KindError(str(error), "") from None

    return settings


def read_declaration(
    folder: Path, file: str = DECLARATION, settings: SettingsOf = settings_of
) -> tuple[str, Declaration]:
    """Text and checked declaration. Raises StackError or DeclarationError."""
    text = read_text(folder / file, "Run 'rollcast init', or choose the folder with -C DIR.")
    return text, load(text, file, _reader(folder), settings)


def _reader(folder: Path) -> Callable[[str], str]:
    def read(name: str) -> str:
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()):
            raise OSError(1, "it is outside the project")
        if path.stat().st_size > MOST_BYTES:
            raise OSError(27, f"it is larger than {MOST_BYTES // 1024 // 1024} MiB")
        return path.read_text("utf-8")

    return read


def read_text(path: Path, remedy: str, *, saved: bool = False) -> str:
    """The text of a declaration, or of what a command saved, which may be far larger. Raises StackError."""
    try:
        if path.stat().st_size > (MOST_SAVED_BYTES if saved else MOST_BYTES):
            size = f"{path} has {path.stat().st_size / 1024 / 1024:.0f} MiB"
            if saved:
                raise StackError(f"{size}, more than rollcast can have saved there. {remedy}")
            raise StackError(f"{size}, more than a declaration can. Move artifacts into 'include' files.")
        return path.read_text("utf-8")
    except FileNotFoundError:
        raise StackError(f"There is no {path}. {remedy}") from None
    except UnicodeDecodeError as error:
        raise StackError(f"{path} is not UTF-8 text (byte {error.start}). Save it as UTF-8.") from None
    except OSError as error:
        raise StackError(f"{path} can't be read ({error.strerror}). Correct the path or its permissions.") from None


def choose_environment(declaration: Declaration, name: str | None, file: str) -> tuple[str, Environment]:
    """The named environment; else the only one, or the one marked default. Raises StackError."""
    try:
        return declaration.environment(name)
    except KeyError:
        known = list(declaration.environments)
        if name is not None:
            raise StackError(f"{file} has no environment '{name}'. {did_you_mean(name, known)}") from None
        remedy = "Name one with --env, or mark one of them 'default: true'."
        raise StackError(f"{file} has several environments ({', '.join(known)}). {remedy}") from None


def tool_version() -> str:
    """The version of rollcast that runs."""
    try:
        return version("rollcast")
    except PackageNotFoundError:
        return "unknown"
