"""The old place of `rollcast.simulator.engines.reference`, for stations of projects that still import it from here."""
