"""What can go wrong in an example's data plane, each with the HTTP status that a caller sees."""

from __future__ import annotations

from rollcast_dataplane import Refused


class DataPlaneError(Refused):
    """A request that can't be served, which the kit answers. The text says what is wrong, and then what to do."""

    status = 500


class BadRequest(DataPlaneError):
    """The caller's own mistake; it is no evidence about a release."""

    status = 400


class InstanceNotReady(DataPlaneError):
    """A release names an instance that isn't there, isn't whole, or isn't what the release says it is."""

    status = 503


class BrokenMix(DataPlaneError):
    """Two components were combined that don't understand each other."""

    status = 500
