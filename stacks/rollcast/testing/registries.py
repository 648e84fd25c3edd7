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

from pathlib import Path

import pytest

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.registries.sources import Registry


class RegistryConformance:
    """Subclass it; give `make` and `put`, and what they can't know.

    absent: what names nothing, behind the scheme. mistaken: what is written wrongly; None where any text will do.
    by_name: sources are pinned by their name, so they have no content here, and `absent` is not looked up.
    """

    absent: str | None = None
    mistaken: str | None = None
    by_name: bool = False

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
        found = [_files(self.make().content(rest, tmp_path), self.by_name) for _ in range(2)]
        assert found[0] == found[1], "two reads of one source differ"

    def test_other_content_is_seen(self, tmp_path: Path) -> None:
        """Else the lock would not notice that something else is deployed."""
        if self.by_name:
            pytest.skip("sources are pinned by their name")
        made, rest = self.make(), self.put(tmp_path, "one")
        before = _files(made.content(rest, tmp_path), False)
        assert self.put(tmp_path, "two") == rest, "'put' must put both texts into one place"
        assert _files(made.content(rest, tmp_path), False) != before, "content has changed, and its files have not"

    def test_what_is_absent_is_one_clear_error(self, tmp_path: Path) -> None:
        """A StackError becomes one line with the place in the declaration; anything else a crash."""
        if self.absent is None:
            pytest.skip("nothing is looked up")
        with pytest.raises(StackError) as caught:
            self.make().content(self.absent, tmp_path)
        assert str(caught.value).strip(), "the error says nothing"


def _files(path: Path | None, by_name: bool) -> dict[str, bytes]:
    """All files of some content. Raises AssertionError where there is none, or a link in it."""
    if by_name:
        assert path is None, "a source that is pinned by name has no content"
        return {}
    assert path is not None, "there is no content, and the suite does not say 'by_name'"
    below = [path] if path.is_file() else sorted(path.rglob("*"))
    assert not [each for each in below if each.is_symlink()], "what is behind a symbolic link may change unseen"
    found = {each.relative_to(path.parent).as_posix(): each.read_bytes() for each in below if each.is_file()}
    assert found, f"{path} holds no file"
    return found


__all__ = ["RegistryConformance"]
