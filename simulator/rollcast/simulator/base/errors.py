"""What can be wrong with traffic, profiles and forecasts. Every message says what is wrong, where, and what to do."""

from __future__ import annotations


class SimulatorError(Exception):
    """Any refusal of the simulator."""


class TrafficError(SimulatorError):
    """Recorded traffic that can't be used."""


class ProfileError(SimulatorError):
    """A performance profile that can't be used."""
