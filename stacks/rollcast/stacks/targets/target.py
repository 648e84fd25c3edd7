"""Flags and instances of one environment, each of its kind, as one thing to read from and to claim."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.flags import FlagStore, Holding
from rollcast.stacks.instances import Instances, Placed

Chooser = Callable[[str, str, str], Instances]
"""(folder of an instance, slot, kind of artifact) -> the instances that it is one of."""


class Target:
    """What an environment's releases are put into.

    A folder that two kinds know is that of the kind that is declared for its component now: the other is about to go.
    """

    def __init__(self, flags: FlagStore, instances: Sequence[Instances], chosen: Chooser) -> None:
        """`instances`: where several write to one place, the first of them is enough to read it and to claim it."""
        places = {each.place: each for each in reversed(instances)}
        self._flags, self.instances, self.instances_of = flags, tuple(reversed(places.values())), chosen

    @property
    def places(self) -> tuple[str, ...]:
        """Names where its flags are, then where its instances are."""
        return (self._flags.place, *sorted(each.place for each in self.instances))

    @property
    def addressed(self) -> bool:
        """Whether any of its instances answers at an address."""
        return any(each.addressed for each in self.instances)

    def claim(self, fence: int) -> None:
        """Refuses every older token from now on, everywhere. Raises FenceError, StackError."""
        self._flags.claim(fence)
        for each in self.instances:
            each.claim(fence)

    def newest(self) -> int:
        """The newest token that was claimed anywhere in it; 0 before there was any."""
        return max([self._flags.newest(), *(each.newest() for each in self.instances)])

    # ---- flags --------------------------------------------------------------------------------

    def flag(self, key: str) -> dict[str, Any] | None:
        """The flag that the data plane evaluates now."""
        return self._flags.flag(key)

    def flags(self) -> dict[str, Any]:
        """All flags by key, whoever wrote them."""
        return self._flags.flags()

    def put_flag(self, fence: int, key: str, flag: Mapping[str, Any] | None) -> None:
        """Replaces a flag in one step; None takes it away. Raises FenceError, StackError."""
        self._flags.put_flag(fence, key, flag)

    def holdings(self) -> dict[str, Holding]:
        """By pipeline, which ledger it is kept in, as far as drivers have said so."""
        return self._flags.holdings()

    def put_holding(self, fence: int, pipelines: Collection[str], holding: Holding) -> None:
        """Says for these pipelines which ledger they are kept in. Raises FenceError, StackError."""
        self._flags.put_holding(fence, pipelines, holding)

    def document(self, digest: str) -> Any:
        """A stored definition. Raises StackError when it is absent or not what its digest says."""
        return self._flags.document(digest)

    def put_document(self, fence: int, digest: str, body: str) -> None:
        """Stores canonical JSON under its digest. Raises FenceError, StackError."""
        self._flags.put_document(fence, digest, body)

    # ---- instances ----------------------------------------------------------------------------

    def placed(self) -> dict[str, Placed]:
        """The instances that exist, by folder, whoever made them."""
        found: dict[str, Placed] = {}
        for each in self.instances:
            for folder, item in each.placed().items():
                if folder not in found or self.instances_of(folder, item.slot, "").place == each.place:
                    found[folder] = item
        return dict(sorted(found.items()))

    def hand_over(self, fence: int, item: Placed, before: str, owner: str) -> None:
        """Says of an instance, wherever it is, that it is `owner`'s from now on. Raises FenceError, StackError.

        A kind that can't is refused by name: it was made for an older version of rollcast.
        """
        for each in self.instances:
            if item.folder in each.placed():
                if not hasattr(each, "hand_over"):
                    raise StackError(
                        f"Instance {item.folder} can't change hands: what keeps it ({each.place}) is of an older "
                        "version. Use a newer one of that distribution."
                    )
                each.hand_over(fence, item.folder, before, owner)

    def down(self) -> dict[str, str]:
        """The instances that nobody keeps up, and why."""
        return {folder: why for each in self.instances for folder, why in each.down().items()}

    def content(self, folder: str) -> Path | None:
        """The content of an instance as a folder of this machine, where it is one."""
        return next((found for each in self.instances if (found := each.content(folder)) is not None), None)
