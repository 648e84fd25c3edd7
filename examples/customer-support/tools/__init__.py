"""Builds, measures and records what the example is made of."""
