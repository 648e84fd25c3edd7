"""What instances must answer: a class at the entry point `rollcast.instances`.

class TestDrawer(InstancesConformance):
    def make(self, tmp_path: Path, scope: str = "") -> Instances:
        return Drawer(DrawerSettings(file="drawer.sqlite"), tmp_path, scope)
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rollcast.stacks.base.errors import FenceError, StackError
from rollcast.stacks.instances import Instances, InstanceSpec, Placed, Provisioning
from rollcast.testing.settings import check_settings

ONE = Placed(
    folder="chat/generator/bot-1", digest="sha256:1", release="rel-1", slot="generator", owner="mine", pipeline="chat"
)
TWO = ONE.model_copy(update={"folder": "chat/generator/bot-2", "digest": "sha256:2"})
SPEC = InstanceSpec(reference="bot@1", kind="model-weights", parameters={"temperature": 0.5})


class InstancesConformance:
    """Subclass it; give `make`. What runs must be able to start within the time of a `Provisioning`."""

    watch = Provisioning(60.0)

    def make(self, tmp_path: Path, scope: str = "") -> Instances:
        """The instances of a place: a new object at each call, as every process has its own; one place for one path."""
        raise NotImplementedError

    def put(self, made: Instances, tmp_path: Path, placed: Placed, fence: int = 1) -> None:
        """Makes an instance of content that says its own digest."""
        made.put_instance(fence, placed, _content(tmp_path, placed), SPEC, self.watch)

    def test_its_settings_know_their_keys(self, tmp_path: Path) -> None:
        """A misspelt key of the declaration is found at its line."""
        check_settings(self.make(tmp_path))

    def test_one_place_has_one_name(self, tmp_path: Path) -> None:
        """By which a declaration that says the same otherwise is known to mean the same place."""
        assert self.make(tmp_path).place == self.make(tmp_path, "other").place
        assert self.make(tmp_path).place != self.make(tmp_path / "elsewhere").place

    # ---- what is made is read back -------------------------------------------------------------

    def test_a_place_that_nobody_has_used_is_empty(self, tmp_path: Path) -> None:
        """A first release finds nothing, and no error."""
        made = self.make(tmp_path)
        assert (made.newest(), made.placed()) == (0, {}), f"unused instances hold {made.placed()}"

    def test_an_instance_is_made_replaced_and_removed(self, tmp_path: Path) -> None:
        """Each step may be done again after a kill."""
        made = self.make(tmp_path)
        for placed in (ONE, ONE, TWO):
            self.put(made, tmp_path, placed)
        self._same(self.make(tmp_path), ONE, TWO)
        newer = ONE.model_copy(update={"digest": "sha256:3", "release": "rel-2"})
        self.put(made, tmp_path, newer)
        self._same(self.make(tmp_path), newer, TWO)
        for _ in range(2):
            made.remove_instance(1, ONE.folder, "mine")
        self._same(self.make(tmp_path), TWO)

    def test_what_was_made_is_kept_up(self, tmp_path: Path) -> None:
        """Else each plan would find something to put right."""
        made = self.make(tmp_path)
        self.put(made, tmp_path, ONE)
        assert self.make(tmp_path).down() == {}, f"down is {made.down()}"

    def test_an_address_stays_and_belongs_to_one_instance(self, tmp_path: Path) -> None:
        """Flags carry it: what is said of an instance may change, and who calls it finds it where it was."""
        made = self.make(tmp_path)
        self.put(made, tmp_path, ONE)
        self.put(made, tmp_path, TWO)
        before = self._addresses(made)
        self.put(made, tmp_path, ONE.model_copy(update={"release": "rel-2", "document": "sha256:d"}))
        assert self._addresses(self.make(tmp_path)) == before, "an address changed while its instance stayed"
        assert all(map(bool, before)) is made.addressed, f"addressed is {made.addressed}, and addresses are {before}"
        assert not made.addressed or len({*before}) == 2, f"two instances answer at {before}"

    def test_an_instance_is_whole_or_not_there(self, tmp_path: Path) -> None:
        """Content that can't be read makes no instance, and breaks none."""
        made = self.make(tmp_path)
        self.put(made, tmp_path, ONE)
        for placed in (ONE.model_copy(update={"digest": "sha256:3"}), TWO):
            with pytest.raises(StackError):
                made.put_instance(1, placed, tmp_path / "not-there", SPEC, self.watch)
        self._same(made, ONE)

    def test_another_owners_instance_stays(self, tmp_path: Path) -> None:
        """Projects that share a place do not overwrite or remove what the other one serves."""
        made = self.make(tmp_path)
        self.put(made, tmp_path, ONE)
        theirs = ONE.model_copy(update={"digest": "sha256:4", "owner": "theirs"})
        with pytest.raises(StackError):
            self.put(made, tmp_path, theirs)
        made.remove_instance(1, ONE.folder, "theirs")
        self._same(made, ONE)

    def test_what_is_handed_over_is_its_new_owners_and_the_same(self, tmp_path: Path) -> None:
        """`rollcast recover` takes over what a lost ledger owned: nothing of it restarts, and it may be done again."""
        made = self.make(tmp_path)
        self.put(made, tmp_path, ONE)
        self.put(made, tmp_path, TWO)
        before = self._addresses(made)
        for _ in range(2):
            made.hand_over(2, ONE.folder, "mine", "theirs")
        made.hand_over(2, "chat/generator/not-there", "mine", "theirs")
        taken = ONE.model_copy(update={"owner": "theirs"})
        self._same(self.make(tmp_path), taken, TWO)
        assert (self._addresses(made), self.make(tmp_path).down()) == (before, {}), "it is not as it was"
        with pytest.raises(StackError):
            made.hand_over(2, ONE.folder, "mine", "a third one")
        made.remove_instance(2, ONE.folder, "mine")
        self._same(made, taken, TWO)
        made.remove_instance(2, ONE.folder, "theirs")
        self._same(self.make(tmp_path), TWO)

    # ---- fencing tokens ------------------------------------------------------------------------

    @pytest.mark.parametrize("way", ["claim", "put_instance"])
    def test_a_newer_token_is_remembered(self, tmp_path: Path, way: str) -> None:
        """Whether it was claimed or came with a write, and by every process."""
        made = self.make(tmp_path)
        made.claim(5) if way == "claim" else self.put(made, tmp_path, ONE, 5)
        assert self.make(tmp_path).newest() == 5, f"the newest token is {self.make(tmp_path).newest()}, not 5"
        made.claim(5)  # its holder goes on with the same one

    @pytest.mark.parametrize("write", ["claim", "put_instance", "replace_instance", "remove_instance", "hand_over"])
    def test_a_late_write_changes_nothing(self, tmp_path: Path, write: str) -> None:
        """A process that lost its lease and wakes up later can't undo what its successor did."""
        made, late = self.make(tmp_path), self.make(tmp_path)
        self.put(made, tmp_path, ONE, 4)
        made.claim(5)
        writes: dict[str, Callable[[], Any]] = {
            "claim": lambda: late.claim(4),
            "put_instance": lambda: self.put(late, tmp_path, TWO, 4),
            "replace_instance": lambda: self.put(late, tmp_path, ONE.model_copy(update={"digest": "sha256:3"}), 4),
            "remove_instance": lambda: late.remove_instance(4, ONE.folder, "mine"),
            "hand_over": lambda: late.hand_over(4, ONE.folder, "mine", "theirs"),
        }
        with pytest.raises(FenceError):
            writes[write]()
        self._same(made, ONE)
        assert made.newest() == 5, f"a late {write} left {made.newest()}"

    def test_tokens_of_another_scope_stop_nobody(self, tmp_path: Path) -> None:
        """Projects that share a place count their tokens each for itself."""
        self.make(tmp_path, "one").claim(9)
        other = self.make(tmp_path, "other")
        self.put(other, tmp_path, ONE)
        found = (other.newest(), self.make(tmp_path, "one").newest())
        assert found == (1, 9), f"the newest tokens of two scopes are {found}, not (1, 9)"

    @staticmethod
    def _same(made: Instances, *wanted: Placed) -> None:
        found = {folder: item.unaddressed for folder, item in made.placed().items()}
        assert found == {placed.folder: placed for placed in wanted}, f"instances became {found}"

    @staticmethod
    def _addresses(made: Instances) -> list[str]:
        found = made.placed()
        return [found[folder].address for folder in (ONE.folder, TWO.folder)]


def _content(tmp_path: Path, placed: Placed) -> Path:
    """A folder as `apply` hands it over: content, and its manifest."""
    folder = tmp_path / "content" / placed.digest.removeprefix("sha256:")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "prompt.txt").write_text(placed.digest, "utf-8")
    (folder / "manifest.json").write_text(json.dumps({"digest": placed.digest}), "utf-8")
    return folder


__all__ = ["InstancesConformance"]
