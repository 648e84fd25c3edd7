"""The default target: a flagd definition file, and a folder of instances beside it, both read by the data plane.

Everything is written whole or not at all, under one lock, and only with a current fencing token. Full definitions of
releases are kept beside the definition file under their digests, so that what is live can be read back and planned from
anywhere that the target can be read.

Long because flags, instances, fences and holdings are one folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from rollcast.plugins.settings import Settings
from rollcast.stacks.base import atomic_files
from rollcast.stacks.base.errors import FenceError, StackError
from rollcast.stacks.targets import Holding, Placed
from rollcast.stacks.targets.flag_documents import definition_of
from rollcast.stacks.targets.publishing import place_of

_DEEPEST = 3  # pipeline / slot / instance
_MANIFEST = "manifest.json"


class FlagdSettings(Settings):
    """A flag definition file and a folder of instances, both below the project."""

    definition: str = Field(".rollcast/live/flags.json", description="the file that flagd's providers read")
    instances: str = Field(".rollcast/live/instances", description="the folder of instances")
    publish: tuple[str, ...] = Field(
        (),
        description="where the flags are written besides, for relays elsewhere: ledger#NAME, a database or s3://…",
        exclude_if=lambda given: not given,  # a plan of before has the digest that it had
    )


class FlagdTarget:
    """Flags in a definition file, instances in a folder."""

    settings_model = FlagdSettings

    def __init__(self, settings: FlagdSettings, root: Path, scope: str = "") -> None:
        """`scope`: whose tokens its writes carry. Several projects share a target, and each counts its own."""
        self.definition = root / settings.definition
        self.instances = root / settings.instances
        self._published = [place_of(url, root) for url in settings.publish]
        self._documents = self.definition.parent / "releases"
        self._mark = f"{hashlib.sha256(scope.encode()).hexdigest()[:16]}-" if scope else ""
        self._shared_fence = self.definition.parent / ".rollcast-fence"  # of versions that had one for all
        self._fence = self.definition.parent / f".rollcast-fence-{self._mark[:-1]}" if scope else self._shared_fence
        self._holdings = self.definition.parent / ".rollcast-holdings.json"

    # ---- fence --------------------------------------------------------------------------------

    def claim(self, fence: int) -> None:
        with self._fenced(fence):
            self._sweep(fence)
            try:
                probe = self._staging(fence, "")
                probe.mkdir(parents=True, exist_ok=True)
                probe.rmdir()
            except OSError as error:
                raise StackError(
                    f"{self.instances} can't be written ({error.strerror}). Correct its permissions, or the target."
                ) from None

    @contextlib.contextmanager
    def _fenced(self, fence: int) -> Iterator[None]:
        """Holds the target's lock for one short write that is not late."""
        try:
            with atomic_files.locked(self._shared_fence.with_suffix(".lock")):
                newest = self.newest()
                if fence < newest:
                    raise FenceError(
                        f"This write carries fencing token {fence}, but {newest} has written since, so it is refused. "
                        "Another process has taken over: see 'rollcast status'."
                    )
                if fence > newest:
                    atomic_files.write(self._fence, f"{fence}\n", 0o600)
                yield
        except OSError as error:
            raise StackError(
                f"{self.definition.parent} can't be written ({error.strerror}). Make room or correct its permissions, "
                "then run 'rollcast apply --resume'."
            ) from None

    def newest(self) -> int:
        return max(self._token(self._fence), self._token(self._shared_fence))

    @staticmethod
    def _token(file: Path) -> int:
        try:
            return int(file.read_text("utf-8"))
        except FileNotFoundError:
            return 0
        except ValueError:
            raise StackError(f"{file} holds no number. Remove it when no rollout is running.") from None

    # ---- flags --------------------------------------------------------------------------------

    def _read(self) -> dict[str, Any]:
        try:
            return definition_of(self.definition.read_text("utf-8"))
        except FileNotFoundError:
            return {"flags": {}}
        except OSError as error:
            raise StackError(f"{self.definition} can't be read ({error.strerror}). Restore it.") from None
        except ValueError as error:
            raise StackError(f"{self.definition} is no flag definition ({error}). Restore it.") from None

    def flag(self, key: str) -> dict[str, Any] | None:
        found = self.flags().get(key)
        return found if isinstance(found, dict) else None

    def flags(self) -> dict[str, Any]:
        found: dict[str, Any] = self._read()["flags"]
        return found

    def put_flag(self, fence: int, key: str, flag: Mapping[str, Any] | None) -> None:
        with self._fenced(fence):
            data = self._read()
            flags = {name: value for name, value in data["flags"].items() if name != key}
            if flag is not None:
                flags[key] = dict(flag)
            text = json.dumps({**data, "flags": flags}, indent=1, ensure_ascii=False) + "\n"
            for place in self._published:  # before the file: what is true here was published
                place.put(text)
            atomic_files.write(self.definition, text)

    # ---- instances ----------------------------------------------------------------------------

    def placed(self) -> dict[str, Placed]:
        found = {}
        for manifest in self._manifests(self.instances, 0):
            folder = manifest.parent.relative_to(self.instances).as_posix()
            item = self._placed_at(folder)
            if item is not None:
                found[folder] = item
        return dict(sorted(found.items()))

    def _placed_at(self, folder: str) -> Placed | None:
        manifest = self.instances / folder / _MANIFEST
        try:
            data = json.loads(manifest.read_text("utf-8"))
            return Placed(folder=folder, digest=data["digest"], **data.get("provisioned", {}))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StackError(f"{manifest} can't be read ({error}). Remove its folder and apply again.") from None

    def _others(self, folder: str, owner: str) -> Placed | None:
        """The instance in this place, where it says that it is another owner's."""
        found = self._placed_at(folder)
        return found if found is not None and owner and found.owner and found.owner != owner else None

    def _manifests(self, folder: Path, depth: int) -> Iterator[Path]:
        if depth > _DEEPEST or not folder.is_dir():
            return
        if (folder / _MANIFEST).is_file() and depth > 1:
            yield folder / _MANIFEST
            return
        try:
            children = sorted(folder.iterdir())
        except FileNotFoundError:
            return  # retired while it was looked at
        for child in children:
            if child.is_dir() and not child.name.startswith("."):
                yield from self._manifests(child, depth + 1)

    def _folder(self, name: str) -> Path:
        folder: Path = (self.instances / name).resolve()
        if not folder.is_relative_to(self.instances.resolve()) or folder == self.instances.resolve():
            raise StackError(f"Instance '{name}' is not below {self.instances}. Correct the plan.")
        return folder

    def put_instance(self, fence: int, placed: Placed, content: Path) -> None:
        folder = self._folder(placed.folder)
        self._refuse_nested(placed.folder)
        staged = self._staging(fence, placed.folder)
        try:
            shutil.rmtree(staged, ignore_errors=True)
            shutil.copytree(content, staged)
            manifest = json.loads((content / _MANIFEST).read_text("utf-8"))
            manifest["provisioned"] = placed.model_dump(exclude={"folder", "digest"}, exclude_defaults=True)
            (staged / _MANIFEST).write_text(json.dumps(manifest, sort_keys=True) + "\n", "utf-8")
            staged.chmod(0o755)
            with self._fenced(fence):
                other = self._others(placed.folder, placed.owner)
                if other is not None:
                    raise StackError(
                        f"Instance {placed.folder} is that of another owner (pipeline '{other.pipeline}', lineage "
                        f"{other.owner[:12]}) and stays as it is. Give the component or the pipeline another name, "
                        "or choose another target."
                    )
                atomic_files.place(staged, folder)
        except (OSError, shutil.Error) as error:
            raise StackError(
                f"Instance {placed.folder} can't be written ({error}). Make room or correct permissions, "
                "then run 'rollcast apply --resume'."
            ) from None
        finally:
            shutil.rmtree(staged, ignore_errors=True)

    def _refuse_nested(self, name: str) -> None:
        """A component that changes between 'in place' and 'side by side' would put one instance into another."""
        others = [other for other in self.placed() if other.startswith(f"{name}/") or name.startswith(f"{other}/")]
        if others:
            raise StackError(
                f"Instance {name} and {others[0]} can't be in one another: the component changed its 'in_place'. "
                "Give it another name with the change, or leave 'in_place' as it was."
            )

    def _staging(self, fence: int, name: str) -> Path:
        """Where a folder is made before it is whole, or goes to before it is deleted: one place for each instance."""
        return (
            self.instances
            / f"{atomic_files.STAGING}{self._mark}{fence}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
        )

    def _sweep(self, fence: int) -> None:
        """Removes what processes with older tokens left half written; another scope's may be at work."""
        for left in self.instances.glob(f"{atomic_files.STAGING}{self._mark}*"):
            token = left.name.removeprefix(f"{atomic_files.STAGING}{self._mark}").split("-")[0]
            if token.isdigit() and int(token) < fence:
                shutil.rmtree(left, ignore_errors=True)
        for folder in (self.definition.parent, self._documents):
            for staged in folder.glob(f"{atomic_files.STAGING}*"):
                staged.unlink(missing_ok=True)  # files are only written under the lock that is held here

    def remove_instance(self, fence: int, folder: str, owner: str = "") -> None:
        place = self._folder(folder)
        with self._fenced(fence):
            if self._others(folder, owner) is not None:
                return
            atomic_files.remove(place, self._staging(fence, folder))
            self._prune(place.parent)

    def _prune(self, folder: Path) -> None:
        while folder != self.instances.resolve():
            try:
                folder.rmdir()
            except OSError:
                return
            folder = folder.parent

    # ---- who holds what -----------------------------------------------------------------------

    def holdings(self) -> dict[str, Holding]:
        try:
            data = json.loads(self._holdings.read_text("utf-8"))
            return {str(name): Holding.model_validate(item) for name, item in data.items()}
        except (OSError, ValueError, AttributeError):
            return {}  # it only says where to go; the marks of flags and instances say whose they are

    def put_holding(self, fence: int, pipelines: Collection[str], holding: Holding) -> None:
        with self._fenced(fence):
            said = {**self.holdings(), **dict.fromkeys(pipelines, holding)}
            body = {name: item.model_dump(mode="json") for name, item in sorted(said.items())}
            atomic_files.write(self._holdings, json.dumps(body, indent=1, ensure_ascii=False) + "\n")

    # ---- definitions --------------------------------------------------------------------------

    def document(self, digest: str) -> Any:
        path = self._documents / f"{digest.removeprefix('sha256:')}.json"
        try:
            text = path.read_text("utf-8")
        except OSError as error:
            raise StackError(f"{path} can't be read ({error.strerror}). Restore it from a backup.") from None
        if "sha256:" + hashlib.sha256(text.encode()).hexdigest() != digest:
            raise StackError(f"{path} was changed: it is not what its name says. Restore it from a backup.")
        return json.loads(text)

    def put_document(self, fence: int, digest: str, body: str) -> None:
        path = self._documents / f"{digest.removeprefix('sha256:')}.json"
        if path.exists():
            return
        with self._fenced(fence):
            atomic_files.write(path, body)
