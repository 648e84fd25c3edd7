"""What a registry must answer: the entry points `rollcast.registries`.

class TestShelf(RegistryConformance):
    absent = "nothing"
    mistaken = "no name"

    def make(self) -> Registry:
        return Shelf()

    def put(self, project: Path, text: str) -> str:
        (project / "shelf" / "bot").mkdir(parents=True, exist_ok=True)
        (project / "shelf" / "bot" / "prompt.txt").write_text(text)
        return "bot"
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Literal

import pytest

from rollcast.planner.declaration.models import SourcePin
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.registries.sources import LocalRegistry, Registry, RemoteRegistry
from rollcast.stacks.registries.transfer import Transfer
from rollcast.stacks.registries.trees import tree_digest, tree_of


class RegistryConformance:
    """Subclass it; give `make` and `put`, and what they can't know.

    absent: what names nothing, behind the scheme. mistaken: what is written wrongly; None where any text will do.
    by_name: sources are pinned by their name, so they have no content here, and `absent` is not looked up.
    demands_digest: a source holds the digest of its content, so that `put` gives another source for another text.
    """

    absent: str | None = None
    mistaken: str | None = None
    by_name: bool = False
    demands_digest: bool = False

    def make(self) -> Registry:
        """The registry."""
        raise NotImplementedError

    def put(self, project: Path, text: str) -> str:
        """Puts content made of a text where the registry finds it; gives what a source says of it behind the scheme.

        The same place each time: another text replaces what was there.
        """
        raise NotImplementedError

    def test_it_is_made_without_arguments(self) -> None:
        """A source is one line of text: there is nowhere to write settings."""
        type(self.make())()

    def test_a_source_that_is_right_has_no_mistake(self, tmp_path: Path) -> None:
        """What `content` reads, `mistake` lets through."""
        said = self.make().mistake(self.put(tmp_path, "one"))
        assert said == "", f"a source that is right is refused: {said}"

    def test_a_mistake_is_a_sentence(self) -> None:
        """It is written behind the source, with what to do."""
        if self.mistaken is None:
            pytest.skip("any text will do")
        said = self.make().mistake(self.mistaken)
        assert said.strip(), f"'{self.mistaken}' is taken for a source"

    def test_the_same_source_gives_the_same_content(self, tmp_path: Path) -> None:
        """Else one lock would stand for two things."""
        rest = self.put(tmp_path, "one")
        found = [self._files(rest, tmp_path) for _ in range(2)]
        assert found[0] == found[1], "two reads of one source differ"

    def test_other_content_is_seen(self, tmp_path: Path) -> None:
        """Else the lock would not notice that something else is deployed."""
        if self.by_name:
            pytest.skip("sources are pinned by their name")
        if self.demands_digest:
            pytest.skip("a source demands its digest, so that it never leads to other content")
        rest = self.put(tmp_path, "one")
        before = self._files(rest, tmp_path)
        assert self.put(tmp_path, "two") == rest, "'put' must put both texts into one place"
        assert self._files(rest, tmp_path) != before, "content has changed, and its files have not"

    def test_what_is_pinned_never_becomes_something_else(self, tmp_path: Path) -> None:
        """A name may move; its pin leads to what it led to, or nowhere."""
        made = self.make()
        if not isinstance(made, RemoteRegistry):
            pytest.skip("content on this machine is read where a project is, and held against the lock")
        rest = self.put(tmp_path, "one")
        pin, before = self._pinned(made, rest, tmp_path)
        self.put(tmp_path, "two")
        try:
            after = self._fetched(made, pin, tmp_path)
        except StackError:
            return
        assert after == before or tree_digest(after) != pin.digest, "other content under a pin that is as it was"
        if pin.covers == "manifest":
            assert after == before, f"{pin.identity} leads to other content, and nobody would see it"

    def test_a_pin_is_whole(self, tmp_path: Path) -> None:
        """Its identity is a source of the same kind, without a mistake."""
        made = self.make()
        if not isinstance(made, RemoteRegistry):
            pytest.skip("nothing is pinned")
        pin, _ = self._pinned(made, self.put(tmp_path, "one"), tmp_path)
        scheme, colon, rest = pin.identity.partition(":")
        assert colon, f"{pin.identity} has no scheme"
        assert scheme, f"{pin.identity} has no scheme"
        assert made.mistake(rest) == "", f"{pin.identity} is refused: {made.mistake(rest)}"

    def test_what_is_absent_is_one_clear_error(self, tmp_path: Path) -> None:
        """A StackError becomes one line with the place in the declaration; anything else a crash."""
        if self.absent is None:
            pytest.skip("nothing is looked up")
        with pytest.raises(StackError) as caught:
            self._look_up(self.absent, tmp_path)
        assert str(caught.value).strip(), "the error says nothing"

    # ---- what a source leads to ---------------------------------------------------------------

    def _files(self, rest: str, project: Path) -> list[list[str]]:
        """All files of some content, with their digests."""
        made = self.make()
        if isinstance(made, RemoteRegistry):
            return self._pinned(made, rest, project)[1]
        path = self._local(made, rest, project)
        if self.by_name:
            assert path is None, "a source that is pinned by name has no content"
            return []
        assert path is not None, "there is no content, and the suite does not say 'by_name'"
        return _tree(path)

    def _look_up(self, rest: str, project: Path) -> None:
        made = self.make()
        if isinstance(made, RemoteRegistry):
            self._pinned(made, rest, project)
        else:
            self._local(made, rest, project)

    def _local(self, made: Registry, rest: str, project: Path) -> Path | None:
        assert isinstance(made, LocalRegistry), f"{type(made).__name__} has neither 'content' nor 'resolve' and 'fetch'"
        return made.content(rest, project)

    def _pinned(self, made: RemoteRegistry, rest: str, project: Path) -> tuple[SourcePin, list[list[str]]]:
        """What a source stands for now, as `rollcast lock` pins it, and its files."""
        found = made.resolve(rest, project)
        covers: Literal["files", "manifest"] = "manifest" if found.digest else "files"
        digest = found.digest or f"sha256:{'0' * 64}"
        pin = SourcePin(identity=found.identity, digest=digest, covers=covers, size=found.size)
        tree = self._fetched(made, pin, project)
        return (pin if found.digest else pin.model_copy(update={"digest": tree_digest(tree)})), tree

    def _fetched(self, made: RemoteRegistry, pin: SourcePin, project: Path) -> list[list[str]]:
        """The files of what is pinned."""
        with tempfile.TemporaryDirectory(dir=project) as folder:
            into = Path(folder) / "files"
            into.mkdir()
            transfer = Transfer("it", Path(folder) / "parts", expected=pin.size)
            made.fetch(pin.identity.partition(":")[2], pin, into, transfer)
            return _tree(into)


def _tree(path: Path) -> list[list[str]]:
    """All files of some content. Raises AssertionError where there is none, or a link in it."""
    below = [path] if path.is_file() else sorted(path.rglob("*"))
    assert not [each for each in below if each.is_symlink()], "what is behind a symbolic link may change unseen"
    found = tree_of(path)
    assert found, f"{path} holds no file"
    return found


__all__ = ["RegistryConformance"]
