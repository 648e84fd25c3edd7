"""What flags must answer: a class at the entry point `rollcast.flags`.

class TestDrawer(FlagsConformance):
    def make(self, tmp_path: Path, scope: str = "") -> FlagStore:
        return Drawer(DrawerSettings(file="drawer.sqlite"), tmp_path, scope)
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from rollcast.planner.releases.releases import canonical, digest_of
from rollcast.stacks.base.errors import FenceError, StackError
from rollcast.stacks.flags import FlagStore, Holding
from rollcast.testing.settings import check_settings

FLAG = {
    "state": "ENABLED",
    "variants": {"rel-1": {"release": "rel-1", "größe": [1, 2.5, None, True]}},
    "defaultVariant": "rel-1",
    "targeting": {"if": [{"==": [{"var": "region"}, "eu"]}, "rel-1", None]},
    "metadata": {"rollcast_content": "sha256:0"},
}
HOLDING = Holding(lineage="l1", ledger="sqlite", driver="host:1", rollout="r1", since_s=1.0)
TEXT = canonical({"name": "größe"})


class FlagsConformance:
    """Subclass it; give `make`."""

    def make(self, tmp_path: Path, scope: str = "") -> FlagStore:
        """The flags of a place: a new object at each call, as every process has its own; one place for one path."""
        raise NotImplementedError

    def test_its_settings_know_their_keys(self, tmp_path: Path) -> None:
        """A misspelt key of the declaration is found at its line."""
        check_settings(self.make(tmp_path))

    # ---- what is written is read back ----------------------------------------------------------

    def test_a_place_that_nobody_has_used_is_empty(self, tmp_path: Path) -> None:
        """A first release finds nothing, and no error."""
        made = self.make(tmp_path)
        found = (made.newest(), made.flag("chat"), made.flags(), made.holdings())
        assert found == (0, None, {}, {}), f"unused flags hold {found}"

    def test_one_place_has_one_name(self, tmp_path: Path) -> None:
        """By which a declaration that says the same otherwise is known to mean the same place."""
        assert self.make(tmp_path).place == self.make(tmp_path, "other").place
        assert self.make(tmp_path).place != self.make(tmp_path / "elsewhere").place

    def test_a_flag_is_read_back_as_it_was_written(self, tmp_path: Path) -> None:
        """By any process; else every plan would find a drift."""
        self.make(tmp_path).put_flag(1, "chat", FLAG)
        made = self.make(tmp_path)
        assert made.flag("chat") == FLAG, f"a flag became {made.flag('chat')}"
        assert made.flags() == {"chat": FLAG}, f"all flags became {made.flags()}"

    def test_a_flag_is_replaced_as_a_whole_and_others_stay(self, tmp_path: Path) -> None:
        """What an older version of it said is gone; another pipeline's flag is not touched."""
        made = self.make(tmp_path)
        made.put_flag(1, "other", FLAG)
        made.put_flag(1, "chat", FLAG)
        made.put_flag(1, "chat", {"state": "DISABLED"})
        assert made.flags() == {"other": FLAG, "chat": {"state": "DISABLED"}}, f"all flags became {made.flags()}"
        made.put_flag(1, "chat", None)
        made.put_flag(1, "chat", None)  # a step that is done again after a kill
        assert (made.flag("chat"), made.flags()) == (None, {"other": FLAG}), "a flag that was taken away is still there"

    def test_it_says_which_ledger_holds_a_pipeline(self, tmp_path: Path) -> None:
        """A clone with another ledger is sent there."""
        made, newer = self.make(tmp_path), HOLDING.model_copy(update={"rollout": "r2"})
        made.put_holding(1, ["chat", "search"], HOLDING)
        made.put_holding(1, ["chat"], newer)
        found = self.make(tmp_path).holdings()
        assert found == {"chat": newer, "search": HOLDING}, f"holdings became {found}"

    def test_a_definition_is_read_back_by_its_digest(self, tmp_path: Path) -> None:
        """A live state can be planned from, anywhere that the flags can be read."""
        digest = digest_of(json.loads(TEXT))
        for _ in range(2):
            self.make(tmp_path).put_document(1, digest, TEXT)
        found = self.make(tmp_path).document(digest)
        assert found == json.loads(TEXT), f"a definition became {found}"

    def test_a_definition_that_is_absent_is_one_clear_error(self, tmp_path: Path) -> None:
        """Never an empty one: a plan would be made from it."""
        with pytest.raises(StackError):
            self.make(tmp_path).document(digest_of({"name": "absent"}))

    # ---- fencing tokens ------------------------------------------------------------------------

    @pytest.mark.parametrize("way", ["claim", "put_flag"])
    def test_a_newer_token_is_remembered(self, tmp_path: Path, way: str) -> None:
        """Whether it was claimed or came with a write, and by every process."""
        made = self.make(tmp_path)
        made.claim(5) if way == "claim" else made.put_flag(5, "chat", FLAG)
        assert self.make(tmp_path).newest() == 5, f"the newest token is {self.make(tmp_path).newest()}, not 5"
        made.claim(5)  # its holder goes on with the same one

    @pytest.mark.parametrize("write", ["claim", "put_flag", "remove_flag", "put_holding", "put_document"])
    def test_a_late_write_changes_nothing(self, tmp_path: Path, write: str) -> None:
        """A process that lost its lease and wakes up later can't undo what its successor did."""
        made, late = self.make(tmp_path), self.make(tmp_path)
        made.put_flag(4, "chat", FLAG)
        made.claim(5)
        digest = digest_of(json.loads(TEXT))
        writes: dict[str, Callable[[], Any]] = {
            "claim": lambda: late.claim(4),
            "put_flag": lambda: late.put_flag(4, "chat", {"state": "DISABLED"}),
            "remove_flag": lambda: late.put_flag(4, "chat", None),
            "put_holding": lambda: late.put_holding(4, ["chat"], HOLDING),
            "put_document": lambda: late.put_document(4, digest, TEXT),
        }
        with pytest.raises(FenceError):
            writes[write]()
        found = (made.newest(), made.flags(), made.holdings())
        assert found == (5, {"chat": FLAG}, {}), f"a late {write} left {found}"

    def test_tokens_of_another_scope_stop_nobody(self, tmp_path: Path) -> None:
        """Projects that share flags count their tokens each for itself."""
        self.make(tmp_path, "one").claim(9)
        other = self.make(tmp_path, "other")
        other.put_flag(1, "chat", FLAG)
        found = (other.newest(), self.make(tmp_path, "one").newest())
        assert found == (1, 9), f"the newest tokens of two scopes are {found}, not (1, 9)"

    def test_writes_at_one_time_lose_nothing(self, tmp_path: Path) -> None:
        """Two pipelines are written by processes of their own."""
        keys = [f"chat-{number}" for number in range(12)]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda key: self.make(tmp_path).put_flag(1, key, FLAG), keys))
        missing = set(keys) - set(self.make(tmp_path).flags())
        assert not missing, f"flags {sorted(missing)} were lost"


__all__ = ["FlagsConformance"]
