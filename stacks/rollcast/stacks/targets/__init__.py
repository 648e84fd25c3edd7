"""Targets: where releases are put and read back from: flags and instances in one.

A kind is an entry point in `rollcast.flags` and the same one in `rollcast.instances`: a class with the attribute
`settings_model`, made from such settings, the project folder, and the scope whose tokens its writes carry.

A target refuses a write whose fencing token is older than one that it has seen. So a process that lost its lease and
wakes up later can't undo what its successor did, whatever it believes. Tokens are those of one scope (a pipeline in an
environment): projects that share a target do not stop each other.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

from rollcast.planner.base.errors import KindError
from rollcast.planner.declaration.models import TargetSettings
from rollcast.plugins.settings import opened
from rollcast.stacks.base.errors import StackError


class Placed(BaseModel):
    """An instance that exists: what it holds, and the release and slot that it was provisioned for.

    `owner` is the lineage of the ledger that made it, for `pipeline`; empty where an older version made it.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)
    folder: str
    digest: str
    release: str = ""
    slot: str = ""
    document: str = ""
    owner: str = ""
    pipeline: str = ""


class Holding(BaseModel):
    """Which ledger a pipeline of a target is kept in, and who drove its last rollout: where others have to go.

    `ledger` says where it is, without a secret; `since_s` is when the driver began, in seconds since 1970.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)
    lineage: str
    ledger: str
    driver: str
    rollout: str
    since_s: float


class Target(Protocol):
    """What rollcast asks of a place where releases run."""

    def claim(self, fence: int) -> None:
        """Refuses every older token from now on. Raises FenceError when this one is older itself."""

    def newest(self) -> int:
        """The newest token that was claimed here; 0 before there was any."""

    def flag(self, key: str) -> dict[str, Any] | None:
        """The flag that the data plane evaluates now."""

    def flags(self) -> dict[str, Any]:
        """All flags by key, whoever wrote them."""

    def put_flag(self, fence: int, key: str, flag: Mapping[str, Any] | None) -> None:
        """Replaces a flag in one step; None takes it away. Raises FenceError, StackError."""

    def placed(self) -> dict[str, Placed]:
        """The instances that exist, by folder."""

    def put_instance(self, fence: int, placed: Placed, content: Path) -> None:
        """Makes an instance from a folder's content, whole or not at all, in the place of none but its owner's.

        Raises FenceError, StackError.
        """

    def remove_instance(self, fence: int, folder: str, owner: str = "") -> None:
        """Takes an instance away, where there is one of this owner. Raises FenceError, StackError."""

    def holdings(self) -> dict[str, Holding]:
        """By pipeline, which ledger it is kept in, as far as drivers have said so."""

    def put_holding(self, fence: int, pipelines: Collection[str], holding: Holding) -> None:
        """Says for these pipelines which ledger they are kept in. Raises FenceError, StackError."""

    def document(self, digest: str) -> Any:
        """A stored definition. Raises StackError when it is absent or not what its digest says."""

    def put_document(self, fence: int, digest: str, body: str) -> None:
        """Stores canonical JSON under its digest. Raises FenceError, StackError."""


def target_of(settings: TargetSettings, root: Path, scope: str = "") -> Target:
    """The target of its kind. `root` is the project folder that relative paths are below. Raises StackError.

    `scope`: the ledger's, where something is to be written. Fencing tokens are compared within it.
    """
    try:
        kind, own = opened("target", settings)
    except KindError as error:
        raise StackError(str(error)) from None
    made: Target = kind(own, root, scope)
    return made
