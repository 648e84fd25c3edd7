"""What can go wrong with traffic, profiles and simulations. The message says what is wrong, where, and what to do."""

from __future__ import annotations


class SimulatorError(Exception):
    """Input that can't be simulated: a trace, a profile, an injected fault."""
