"""Instances: components loaded from the folders that a release names, and kept in memory."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from demos.errors import InstanceNotReady
from rollcast_dataplane import ServingRelease

Loaders = Mapping[str, Callable[[Path], Any]]  # by the file that says what a folder holds


def content(folder: Path, loaders: Loaders) -> Any:
    """The component whose content is in a folder. Raises OSError, ValueError, KeyError or TypeError."""
    for name, load in loaders.items():
        if (folder / name).is_file():
            return load(folder)
    raise ValueError(f"{folder} holds none of {', '.join(loaders)}")


class Instances:
    """Loads each instance once. A folder counts as whole when its `manifest.json`, written last, is there."""

    def __init__(self, root: Path, loaders: Loaders) -> None:
        self.root, self._loaders = root.resolve(), loaders
        self._loaded: dict[tuple[str, str], Any] = {}
        self._lock = threading.Lock()

    def parts_of(self, release: ServingRelease, slots: Sequence[str]) -> dict[str, Any]:
        """Every component of a release, by its slot. Raises InstanceNotReady."""
        missing = set(slots) - set(release.components)
        if missing:
            raise InstanceNotReady(f"Release {release.id} lacks {', '.join(sorted(missing))}. Correct the declaration.")
        return {slot: self.get(release.instance(slot), release.digest(slot)) for slot in slots}

    def get(self, instance: str, digest: str | None = None) -> Any:
        """The component at `instance`. Raises InstanceNotReady when it is absent, broken or another version."""
        with self._lock:
            if digest is not None and (instance, digest) in self._loaded:
                return self._loaded[instance, digest]
            folder = (self.root / instance).resolve()
            if not folder.is_relative_to(self.root):
                raise InstanceNotReady(f"{instance} is not below {self.root}. Correct the release.")
            try:
                manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
                if digest is not None and manifest["digest"] != digest:
                    raise InstanceNotReady(f"{instance} holds {manifest['digest']}, not {digest}. Apply again.")
                component = content(folder, self._loaders)
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise InstanceNotReady(f"Instance {instance} can't be loaded ({error}). Apply again.") from error
            self._loaded = {k: v for k, v in self._loaded.items() if (self.root / k[0]).is_dir()}
            self._loaded[instance, manifest["digest"]] = component
            return component
