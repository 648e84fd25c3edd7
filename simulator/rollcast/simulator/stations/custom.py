"""A project's own stations, `stations/*.py`: loaded where a forecast is made, and again in every worker.

Workers get the text of the files and not their place, so that they may be on another machine. A file is loaded by
itself: it can't import its neighbours.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from pydantic import BaseModel

from rollcast.plugins.finding import brought_by
from rollcast.plugins.seams import Seam
from rollcast.simulator.base.errors import SimulatorError
from rollcast.simulator.stations.kinds import PROJECT, forget_project, profile_model

Source = tuple[str, str]  # path, text
_LOADED: dict[str, Source] = {}  # by name of the module


def load_stations(folder: Path) -> None:
    """Registers the stations of a project: its `stations/*.py`, in order of name. Raises SimulatorError."""
    _LOADED.clear()
    forget_project()
    for path in sorted((folder / "stations").glob("*.py")):
        try:
            source = (str(path), path.read_text("utf-8"))
            _load(source)
        except SimulatorError:
            raise
        except Exception as error:
            text = f"{path} can't be loaded ({type(error).__name__}: {error}). Correct it, or move it away."
            raise SimulatorError(text) from error


def profile_model_in(folder: Path, kind: str) -> type[BaseModel]:
    """The model of a profile in a project, its own stations included. Raises KindError or SimulatorError."""
    if not brought_by(Seam.STATIONS, kind):
        load_stations(folder)
    return profile_model(kind)


def loaded() -> tuple[Source, ...]:
    """What another process must load before it serves what this one does."""
    return tuple(_LOADED.values())


def load_again(sources: Iterable[Source]) -> None:
    """In a worker: registers the same stations."""
    forget_project()
    for source in sources:
        _load(source)


def _load(source: Source) -> None:
    path, text = source
    module = ModuleType(f"{PROJECT}{Path(path).stem}")
    module.__file__ = path
    sys.modules[module.__name__] = module  # a profile is sent to workers by the name of its module
    exec(compile(text, path, "exec"), module.__dict__)  # noqa: S102 - the project's own code, as its policies are
    _LOADED[module.__name__] = source
