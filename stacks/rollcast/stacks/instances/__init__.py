"""Instances: what a component runs as, made from an artifact's content, and whose it is.

A kind is an entry point in `rollcast.instances`: a class with the attribute `settings_model`, made from such settings,
the project folder, and the scope whose tokens its writes carry. An instance of one owner is never changed or removed
for another. What runs somewhere has an address, which the flag's variants carry to the data plane; it stays the same as
long as the instance exists. Read `folder`, `process_settings`, `readiness`, `process`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field

from rollcast.stacks.base.errors import StackError

MANIFEST = "manifest.json"


class Placed(BaseModel):
    """An instance that exists: what it holds, and the release and slot that it was provisioned for.

    `owner` is the lineage of the ledger that made it, for `pipeline`; empty where an older version made it. `address`:
    where it answers, for kinds that run; it is found there, never given.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)
    folder: str
    digest: str
    release: str = ""
    slot: str = ""
    document: str = ""
    owner: str = ""
    pipeline: str = ""
    address: str = ""

    @property
    def unaddressed(self) -> Placed:
        """Without what was only found: two are the same instance where this is equal."""
        return self.model_copy(update={"address": ""}) if self.address else self


class InstanceSpec(BaseModel):
    """What a kind may build an instance from, beside its content: the slot of the release, as it is declared.

    `kind`: of the artifact. `needs`: capacity of one replica.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)
    reference: str = ""
    kind: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict)
    replicas: int = 1
    needs: dict[str, float] = Field(default_factory=dict)
    regions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Provisioning:
    """How long a provisioning may wait, in seconds; how to notice that it is cancelled, and how to say how it goes."""

    timeout_s: float = 600.0
    stopped: Callable[[], bool] = lambda: False
    progress: Callable[[str], None] = lambda text: None


class Instances(Protocol):
    """What rollcast asks of a place where components run."""

    @property
    def place(self) -> str:
        """Names the place: two objects with one name hold the same instances."""

    @property
    def addressed(self) -> bool:
        """Whether its instances answer at addresses, which flags then carry."""

    def claim(self, fence: int) -> None:
        """Refuses every older token from now on. Raises FenceError when this one is older itself."""

    def newest(self) -> int:
        """The newest token that was claimed here; 0 before there was any."""

    def placed(self) -> dict[str, Placed]:
        """The instances that exist, by folder, whoever made them. Each was ready once; it may be down now."""

    def down(self) -> dict[str, str]:
        """Which of them nobody keeps up, and why: which making it again as it is puts right."""

    def put_instance(self, fence: int, placed: Placed, content: Path, spec: InstanceSpec, watch: Provisioning) -> None:
        """Makes an instance from a folder's content, in the place of none but its owner's; returns once it can serve.

        Whole or not at all. Where the content is there already, only what is said of it changes, and nothing restarts.
        Raises FenceError, StackError, which for what never became ready ends with the last that it said.
        """

    def remove_instance(self, fence: int, folder: str, owner: str = "") -> None:
        """Takes an instance away, where there is one of this owner; returns once it has ended. Its drain is over.

        Raises FenceError, StackError.
        """

    def hand_over(self, fence: int, folder: str, before: str, owner: str) -> None:
        """Says of an instance that it is `owner`'s from now on, who takes over what is `before`'s; nothing restarts.

        Fine where it is gone, or is `owner`'s already. Raises FenceError; StackError where it is a third one's.
        """

    def content(self, folder: str) -> Path | None:
        """The content of an instance as a folder of this machine, where it is one."""


def refuse_no_content(content: Path) -> None:
    """Raises StackError where a folder is not what `apply` hands over: content with its manifest."""
    if not (content / MANIFEST).is_file():
        raise StackError(f"{content} is no content: it has no {MANIFEST}. Run 'rollcast apply' again.")


def refusal(folder: str, other: Placed) -> str:
    """Why an instance is not touched: it is another owner's."""
    return (
        f"Instance {folder} is that of another owner (pipeline '{other.pipeline}', lineage {other.owner[:12]}) and "
        "stays as it is. Give the component or the pipeline another name, or choose another target."
    )


def is_to_hand_over(found: Placed | None, before: str, owner: str) -> bool:
    """Whether an instance is to change hands; not where it is gone, or did. Raises StackError: it is a third one's."""
    if found is None or found.owner == owner:
        return False
    if found.owner and found.owner != before:
        raise StackError(refusal(found.folder, found))
    return True


def owned_by_another(found: Placed | None, owner: str) -> bool:
    """Whether what was found says that it is another owner's."""
    return found is not None and bool(owner) and bool(found.owner) and found.owner != owner
