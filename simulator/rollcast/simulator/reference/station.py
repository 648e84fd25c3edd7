"""The old place of `rollcast.simulator.engines.reference.station`, for stations of projects that still import it."""

import warnings

from rollcast.simulator.engines.reference.station import ProcessStation, Station, Surroundings, Visit, station

warnings.warn(
    "rollcast.simulator.reference.station is now rollcast.simulator.engines.reference.station: import from there.",
    DeprecationWarning,
    stacklevel=2,
)

__all__ = ["ProcessStation", "Station", "Surroundings", "Visit", "station"]
