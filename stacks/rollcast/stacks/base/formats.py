"""What is stored says the version of its form, `format`: major.minor.

A newer minor adds fields, which are kept and written back as they were. A newer major means something else by the
fields that are known here, so that nothing of it is read. What says no format was written before there was one: 1.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from rollcast.stacks.base.errors import FormatError, LedgerError, first_mistake

FORMAT = "1.0"


class StoredModel(BaseModel):
    """What is stored. Fields that a newer version added are kept beside those that are known."""

    model_config = ConfigDict(extra="allow", defer_build=True)
    format: str = Field(FORMAT, description="the version of the form; a newer major is refused")

    @field_validator("format", mode="before")
    @classmethod
    def _readable(cls, said: Any) -> Any:
        """Within another model as well. Raises FormatError, which no validation swallows."""
        require_readable({"format": said}, cls.__name__)
        return said

    @property
    def known(self) -> dict[str, Any]:
        """The fields that are known here, without the format."""
        left_out = {"format", *(self.model_extra or {})}
        return self.model_dump(mode="json", exclude=left_out)

    def to_json(self) -> dict[str, Any]:
        """All that is stored, what a newer version added included."""
        return self.model_dump(mode="json")


M = TypeVar("M", bound=StoredModel)


def require_readable(data: Mapping[str, Any], what: str) -> None:
    """Raises FormatError where `what` says a newer major format, or one that is none."""
    said = data.get("format", FORMAT)
    major = str(said).partition(".")[0]
    known = FORMAT.partition(".")[0]
    if not isinstance(said, str) or not (major.isascii() and major.isdigit()) or int(major) > int(known):
        by = f" by {data['written_by']}" if data.get("written_by") else ""
        raise FormatError(
            f"{what} was written{by} in format {said}; this rollcast reads {known}.x. Nothing was done. "
            f"Use a newer rollcast, one that reads format {said}."
        )


def read_stored(model: type[M], data: Any, what: str) -> M:
    """Stored data as its model. Raises FormatError on a newer major, LedgerError on what can't be read."""
    if not isinstance(data, Mapping):
        raise LedgerError(f"{what} is no object but {type(data).__name__}. Restore the ledger from a backup.")
    require_readable(data, what)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        where, said = first_mistake(error)
        by = data.get("written_by") or "another version of rollcast"
        raise LedgerError(
            f"{what}, written by {by}, can't be read ({where}: {said}). Use the newer of the two."
        ) from None
