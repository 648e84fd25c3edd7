"""The places where somebody else's code fits: one group of entry points each.

What a kind must answer stands beside our own kinds of it; `rollcast.testing` holds a suite for each seam.
"""

from __future__ import annotations

from enum import StrEnum


class Seam(StrEnum):
    """A group of entry points: the name of a kind -> the class that serves it."""

    REGISTRIES = "rollcast.registries"
    FLAGS = "rollcast.flags"
    INSTANCES = "rollcast.instances"
    TELEMETRY = "rollcast.telemetry"
    EVALUATORS = "rollcast.evaluators"
    STATIONS = "rollcast.stations"

    @property
    def noun(self) -> str:
        """What one kind of it is called in a message."""
        return _NOUNS[self]


_NOUNS = {
    Seam.REGISTRIES: "registry",
    Seam.FLAGS: "flags",
    Seam.INSTANCES: "instances",
    Seam.TELEMETRY: "telemetry",
    Seam.EVALUATORS: "evaluator",
    Seam.STATIONS: "station",
}
