"""Kinds of stations by name: installed ones, by the entry points `rollcast.stations`, and a project's own.

A kind is a station of the reference engine with the attribute `settings_model`, the model of its profile. Nothing is
imported until a profile names it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from rollcast.planner.base.errors import KindError
from rollcast.plugins.finding import brought_by, load, unknown
from rollcast.plugins.finding import kinds as installed
from rollcast.plugins.seams import Seam
from rollcast.plugins.settings import model_of
from rollcast.simulator.base.errors import SimulatorError

PROJECT = "rollcast_stations_"  # begins the names of modules that are a project's `stations/*.py`
_REGISTERED: dict[str, Any] = {}


def register(kind: str, station: Any) -> None:
    """Makes a station known in this process. Raises SimulatorError where another module has one of that name."""
    other = _REGISTERED.get(kind)
    if other is not None and other.__module__ != station.__module__:
        names = " and ".join(_name_of(each) for each in (other, station))
        raise SimulatorError(f"Station '{kind}' is registered by {names}. Give one of them another name.")
    if station.__module__.startswith(PROJECT) and brought_by(Seam.STATIONS, kind):
        names = f"{_name_of(station)} and by {brought_by(Seam.STATIONS, kind)}"
        raise SimulatorError(f"Station '{kind}' is registered by {names}. Give the project's another name.")
    _REGISTERED[kind] = station


def forget_project() -> None:
    """Forgets what a project's own files registered, before another one's are loaded."""
    for kind in [kind for kind, found in _REGISTERED.items() if found.__module__.startswith(PROJECT)]:
        del _REGISTERED[kind]


def kinds() -> list[str]:
    """The names of all stations that are known here."""
    return sorted({*installed(Seam.STATIONS), *_REGISTERED})


def is_registered(kind: str) -> bool:
    """Whether a kind is of this process alone: a project's own."""
    return kind in _REGISTERED


def station_of(kind: str) -> Any:
    """The station of a kind. Raises KindError."""
    if kind in _REGISTERED:
        return _REGISTERED[kind]
    if kind not in kinds():
        raise unknown(Seam.STATIONS, kind, kinds())
    return load(Seam.STATIONS, kind)


def profile_model(kind: object) -> type[BaseModel]:
    """The model of a station's profile. Raises KindError."""
    if not isinstance(kind, str) or not kind:
        raise KindError("'station' is missing.", f"Name one of {', '.join(kinds())}.")
    return model_of(station_of(kind), kind)


def profile_models() -> Iterator[tuple[str, type[BaseModel]]]:
    """(kind, model) of every station that can be imported."""
    for kind in kinds():
        try:
            yield kind, profile_model(kind)
        except KindError:
            continue


def _name_of(station: Any) -> str:
    module = str(station.__module__)
    return f"stations/{module.removeprefix(PROJECT)}.py" if module.startswith(PROJECT) else module


__all__ = [
    "PROJECT",
    "forget_project",
    "is_registered",
    "kinds",
    "profile_model",
    "profile_models",
    "register",
    "station_of",
]
