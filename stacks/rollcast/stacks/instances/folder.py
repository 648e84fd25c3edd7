"""`folder`, the default: an instance is a folder of content, read by the data plane.

Everything is written whole or not at all, under one lock, and only with a current fencing token.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from rollcast.plugins.settings import Settings
from rollcast.stacks.base import atomic_files
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.base.fences import FolderFence
from rollcast.stacks.instances import (
    MANIFEST,
    InstanceSpec,
    Placed,
    Provisioning,
    is_to_hand_over,
    owned_by_another,
    refusal,
)

_DEEPEST = 3  # pipeline / slot / instance


class FolderSettings(Settings):
    """A folder of instances below the project."""

    path: str = Field(".rollcast/live/instances", description="the folder of instances")
    fence: str = Field(
        "",
        description="the folder that keeps the newest fencing token; left out, the one above `path`",
        exclude_if=lambda given: not given,
    )


class FolderInstances:
    """Instances as folders."""

    settings_model = FolderSettings
    addressed = False

    def __init__(self, settings: FolderSettings, root: Path, scope: str = "") -> None:
        """`scope`: whose tokens its writes carry. Several projects share a folder, and each counts its own."""
        self.instances = root / settings.path
        self._fence = FolderFence(root / settings.fence if settings.fence else self.instances.parent, scope)

    @property
    def place(self) -> str:
        return f"folder:{self.instances.resolve()}"

    def claim(self, fence: int) -> None:
        with self._fence.held(fence):
            for left in self._fence.left_behind(self.instances, fence):
                shutil.rmtree(left, ignore_errors=True)
            try:
                probe = self._staging(fence, "")
                probe.mkdir(parents=True, exist_ok=True)
                probe.rmdir()
            except OSError as error:
                raise StackError(
                    f"{self.instances} can't be written ({error.strerror}). Correct its permissions, or the target."
                ) from None

    def newest(self) -> int:
        return self._fence.newest()

    def placed(self) -> dict[str, Placed]:
        found = {}
        for manifest in self._manifests(self.instances, 0):
            folder = manifest.parent.relative_to(self.instances).as_posix()
            item = self._placed_at(folder)
            if item is not None:
                found[folder] = item
        return dict(sorted(found.items()))

    def down(self) -> dict[str, str]:
        return {}

    def _placed_at(self, folder: str) -> Placed | None:
        manifest = self.instances / folder / MANIFEST
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
        return found if owned_by_another(found, owner) else None

    def _manifests(self, folder: Path, depth: int) -> Iterator[Path]:
        if depth > _DEEPEST or not folder.is_dir():
            return
        if (folder / MANIFEST).is_file() and depth > 1:
            yield folder / MANIFEST
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

    def put_instance(self, fence: int, placed: Placed, content: Path, spec: InstanceSpec, watch: Provisioning) -> None:
        folder = self._folder(placed.folder)
        self._refuse_nested(placed.folder)
        staged = self._staging(fence, placed.folder)
        try:
            shutil.rmtree(staged, ignore_errors=True)
            shutil.copytree(content, staged)
            manifest = json.loads((content / MANIFEST).read_text("utf-8"))
            manifest["provisioned"] = placed.model_dump(exclude={"folder", "digest", "address"}, exclude_defaults=True)
            (staged / MANIFEST).write_text(json.dumps(manifest, sort_keys=True) + "\n", "utf-8")
            staged.chmod(0o755)
            with self._fence.held(fence):
                other = self._others(placed.folder, placed.owner)
                if other is not None:
                    raise StackError(refusal(placed.folder, other))
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
        return self._fence.staging(self.instances, fence, name)

    def remove_instance(self, fence: int, folder: str, owner: str = "") -> None:
        place = self._folder(folder)
        with self._fence.held(fence):
            if self._others(folder, owner) is not None:
                return
            atomic_files.remove(place, self._staging(fence, folder))
            atomic_files.prune(place.parent, self.instances)

    def hand_over(self, fence: int, folder: str, before: str, owner: str) -> None:
        place = self._folder(folder) / MANIFEST
        with self._fence.held(fence):
            if not is_to_hand_over(self._placed_at(folder), before, owner):
                return
            manifest = json.loads(place.read_text("utf-8"))
            manifest["provisioned"] = {**manifest.get("provisioned", {}), "owner": owner}
            atomic_files.write(place, json.dumps(manifest, sort_keys=True) + "\n")

    def content(self, folder: str) -> Path | None:
        found = self.instances / folder
        return found.resolve() if found.is_dir() else None
