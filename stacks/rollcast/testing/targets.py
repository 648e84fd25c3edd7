"""What a target must answer: one class at the entry points `rollcast.flags` and `rollcast.instances`.

class TestDrawer(TargetConformance):
    def make(self, tmp_path: Path, scope: str = "") -> Target:
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
from rollcast.stacks.targets import Holding, Placed, Target
from rollcast.testing.settings import check_settings

FLAG = {
    "state": "ENABLED",
    "variants": {"rel-1": {"release": "rel-1", "größe": [1, 2.5, None, True]}},
    "defaultVariant": "rel-1",
    "targeting": {"if": [{"==": [{"var": "region"}, "eu"]}, "rel-1", None]},
    "metadata": {"rollcast_content": "sha256:0"},
}
HOLDING = Holding(lineage="l1", ledger="sqlite", driver="host:1", rollout="r1", since_s=1.0)
ONE = Placed(folder="chat/generator/bot-1", digest="sha256:1", release="rel-1", slot="generator", owner="mine")
TWO = ONE.model_copy(update={"folder": "chat/generator/bot-2", "digest": "sha256:2"})
TEXT = canonical({"name": "größe"})


class TargetConformance:
    """Subclass it; give `make`."""

    def make(self, tmp_path: Path, scope: str = "") -> Target:
        """The target of a place: a new object at each call, as every process has its own; one place for one path."""
        raise NotImplementedError

    def test_its_settings_know_their_keys(self, tmp_path: Path) -> None:
        """A misspelt key of the declaration is found at its line."""
        check_settings(self.make(tmp_path))

    # ---- what is written is read back ----------------------------------------------------------

    def test_a_place_that_nobody_has_used_is_empty(self, tmp_path: Path) -> None:
        """A first release finds nothing, and no error."""
        made = self.make(tmp_path)
        found = (made.newest(), made.flag("chat"), made.flags(), made.placed(), made.holdings())
        assert found == (0, None, {}, {}, {}), f"an unused target holds {found}"

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

    def test_an_instance_is_made_replaced_and_removed(self, tmp_path: Path) -> None:
        """Each step may be done again after a kill."""
        made = self.make(tmp_path)
        for placed in (ONE, ONE, TWO):
            made.put_instance(1, placed, _content(tmp_path, placed))
        _same_placed(self.make(tmp_path), ONE, TWO)
        newer = ONE.model_copy(update={"digest": "sha256:3", "release": "rel-2"})
        made.put_instance(1, newer, _content(tmp_path, newer))
        _same_placed(self.make(tmp_path), newer, TWO)
        for _ in range(2):
            made.remove_instance(1, ONE.folder, "mine")
        _same_placed(self.make(tmp_path), TWO)

    def test_an_instance_is_whole_or_not_there(self, tmp_path: Path) -> None:
        """Content that can't be read makes no instance, and breaks none."""
        made = self.make(tmp_path)
        made.put_instance(1, ONE, _content(tmp_path, ONE))
        for placed in (ONE.model_copy(update={"digest": "sha256:3"}), TWO):
            with pytest.raises(StackError):
                made.put_instance(1, placed, tmp_path / "not-there")
        _same_placed(made, ONE)

    def test_another_owners_instance_stays(self, tmp_path: Path) -> None:
        """Projects that share a target do not overwrite or remove what the other one serves."""
        made = self.make(tmp_path)
        made.put_instance(1, ONE, _content(tmp_path, ONE))
        theirs = ONE.model_copy(update={"digest": "sha256:4", "owner": "theirs"})
        with pytest.raises(StackError):
            made.put_instance(1, theirs, _content(tmp_path, theirs))
        made.remove_instance(1, ONE.folder, "theirs")
        _same_placed(made, ONE)

    def test_it_says_which_ledger_holds_a_pipeline(self, tmp_path: Path) -> None:
        """A clone with another ledger is sent there."""
        made, newer = self.make(tmp_path), HOLDING.model_copy(update={"rollout": "r2"})
        made.put_holding(1, ["chat", "search"], HOLDING)
        made.put_holding(1, ["chat"], newer)
        found = self.make(tmp_path).holdings()
        assert found == {"chat": newer, "search": HOLDING}, f"holdings became {found}"

    def test_a_definition_is_read_back_by_its_digest(self, tmp_path: Path) -> None:
        """A live state can be planned from, anywhere that the target can be read."""
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

    @pytest.mark.parametrize(
        "write", ["claim", "put_flag", "remove_flag", "put_instance", "remove_instance", "put_holding", "put_document"]
    )
    def test_a_late_write_changes_nothing(self, tmp_path: Path, write: str) -> None:
        """A process that lost its lease and wakes up later can't undo what its successor did."""
        made, late = self.make(tmp_path), self.make(tmp_path)
        made.put_flag(4, "chat", FLAG)
        made.put_instance(4, ONE, _content(tmp_path, ONE))
        made.claim(5)
        digest = digest_of(json.loads(TEXT))
        writes: dict[str, Callable[[], Any]] = {
            "claim": lambda: late.claim(4),
            "put_flag": lambda: late.put_flag(4, "chat", {"state": "DISABLED"}),
            "remove_flag": lambda: late.put_flag(4, "chat", None),
            "put_instance": lambda: late.put_instance(4, TWO, _content(tmp_path, TWO)),
            "remove_instance": lambda: late.remove_instance(4, ONE.folder, "mine"),
            "put_holding": lambda: late.put_holding(4, ["chat"], HOLDING),
            "put_document": lambda: late.put_document(4, digest, TEXT),
        }
        with pytest.raises(FenceError):
            writes[write]()
        _same_placed(made, ONE)
        found = (made.newest(), made.flags(), made.holdings())
        assert found == (5, {"chat": FLAG}, {}), f"a late {write} left {found}"

    def test_tokens_of_another_scope_stop_nobody(self, tmp_path: Path) -> None:
        """Projects that share a target count their tokens each for itself."""
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


def _content(tmp_path: Path, placed: Placed) -> Path:
    """A folder as `apply` hands it over: content, and its manifest."""
    folder = tmp_path / "content" / placed.digest.removeprefix("sha256:")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "prompt.txt").write_text(placed.digest, "utf-8")
    (folder / "manifest.json").write_text(json.dumps({"digest": placed.digest}), "utf-8")
    return folder


def _same_placed(target: Target, *wanted: Placed) -> None:
    found = target.placed()
    assert found == {placed.folder: placed for placed in wanted}, f"instances became {found}"


__all__ = ["TargetConformance"]
