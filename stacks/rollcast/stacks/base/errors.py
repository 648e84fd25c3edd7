"""What can go wrong while a plan is carried out. The message says what is wrong, then what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class StackError(Exception):
    """A step that could not be done. Nothing is lost: the ledger says how far it went."""


class EngineError(StackError):
    """The Pulumi engine is absent or can't be installed."""


class StaleError(StackError):
    """Something newer has written, or what a plan was made from has moved: exit code 6."""


class DriftError(StaleError):
    """The live state was changed by someone else: exit code 6."""


class LockedError(StackError):
    """Another rollout holds the lease: exit code 7."""


class FenceError(LockedError):
    """A write came late: a newer holder of the lease has written since. Nothing was changed: exit code 7."""


HELD = "[held] "  # before what a provider says of such an error: of its kind the engine passes on nothing but text


class HeldError(StackError):
    """Nothing goes on until a person has acted: exit code 5. What was reached stays as it is, and is resumable."""


class IneligibleError(HeldError):
    """A release may not enter an environment yet: the time in the one before is not over, or approval is missing."""


class LedgerError(StackError):
    """The ledger can't be reached, or its chain is broken."""


class MovedError(LedgerError):
    """The ledger is at another place now, or on its way there."""


class FormatError(LedgerError):
    """A newer version of rollcast stored this, in a form that this one does not read."""


def first_mistake(error: ValidationError, whole: str = "") -> tuple[str, str]:
    """(where, what) of the first thing that a model refuses; `whole` stands for a mistake of all of it."""
    first = error.errors()[0]
    return ".".join(str(part) for part in first["loc"]) or whole, str(first["msg"])
