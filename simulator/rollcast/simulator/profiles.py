"""The old place of `rollcast.simulator.stations.profiles`, for stations of projects that still import it from here."""

import warnings

from rollcast.simulator.stations.distributions import Distribution, Time
from rollcast.simulator.stations.profiles import (
    Cache,
    LlmProfile,
    PoolProfile,
    Profile,
    RemoteProfile,
    Retries,
    StepTime,
    parse,
    profile_of,
)

warnings.warn(
    "rollcast.simulator.profiles is now rollcast.simulator.stations.profiles: import from there.",
    DeprecationWarning,
    stacklevel=2,
)

__all__ = [
    "Cache",
    "Distribution",
    "LlmProfile",
    "PoolProfile",
    "Profile",
    "RemoteProfile",
    "Retries",
    "StepTime",
    "Time",
    "parse",
    "profile_of",
]
