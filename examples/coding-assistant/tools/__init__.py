"""Builders of artifacts, and what they and the load share."""
