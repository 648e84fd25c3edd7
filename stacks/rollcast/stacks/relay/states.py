"""The body of an acknowledgement: what a replica says of itself, and how long to believe it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

PROTOCOL = 1
_Name = Annotated[str, StringConstraints(max_length=300)]
_Counts = dict[_Name, Annotated[int, Field(ge=0)]]


class Acknowledgement(BaseModel):
    """Counts are of requests, by release. Fields that a newer kit adds are left out."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    protocol: int = 1
    kit: Annotated[str, StringConstraints(max_length=200)] | None = None
    replica: str | None = None
    bucketing: Annotated[str, StringConstraints(max_length=100)] | None = None
    definitions: dict[_Name, _Name | None] | None = None
    releases: _Counts = Field(default_factory=dict)
    entered: _Counts | None = None
    finished: _Counts | None = None
    warm: list[_Name] | None = None
    degraded: bool | Annotated[str, StringConstraints(max_length=1000)] = False
    time: float | None = None
    lease_s: float = Field(10.0, ge=1, le=300)
    leaving: bool = False

    def head(self) -> bytes:
        """As JSON without the closing brace."""
        return self.model_dump_json(exclude_none=True).encode()[:-1]
