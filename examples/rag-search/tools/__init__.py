"""Builders of this project's artifacts, and what they read."""
