"""A branch or tag of a git repository.

What is kept, in a state folder: a bare copy of the repository, and for each project a folder of its own into which git
writes the tree of that project alone. The folder stays where it is from commit to commit and git knows nothing of
`.rollcast` in it, so that ledger, lock and engine find their state again. Each project has an index of its own: one
that waits for its turn keeps another commit than the others.

Killed anywhere, the same calls are made again: what was being put in place is completed before anything else is; git's
own locks that a killed one left are removed, for only the process that holds the source acts here; a copy that is
broken is made again.
"""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path

from rollcast.stacks.base import atomic_files
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.following.revision import Revision, chosen, folder_name
from rollcast.stacks.registries.git_program import commit_of, run_git
from rollcast.stacks.registries.http_client import userinfo_mistake

_FOLLOWED = "refs/rollcast/followed"
_STATE = ".rollcast"
_PUTTING = "putting"  # the file that holds what is being put in place


class GitSource:
    """See the module. `only`: the projects to follow; all that are found where it is empty."""

    def __init__(self, url: str, ref: str, state: Path, file: str, only: tuple[str, ...] = ()) -> None:
        """Raises StackError where the address or the name is none, or the state is that of another source."""
        self.url, self.ref, self.name = url, ref, f"{url} {ref}"
        self._last: Revision | None = None
        self._refuse()
        self._state, self._file, self._only = state.resolve(), file, only
        self._copy = self._state / "repository.git"
        self._own()

    def look(self) -> Revision:
        before = self.known()
        commit = commit_of(self.url, self.ref)
        if before is not None and before.commit == commit:
            return before
        self._fetch()
        commit = self._git("rev-parse", "--verify", "--quiet", f"{_FOLLOWED}^{{commit}}").strip()
        gone = before.commit if before is not None and not self._contains(commit, before.commit) else ""
        found = self._read(commit, gone)
        atomic_files.write(self._state / "known.json", json.dumps({"commit": commit}) + "\n")
        self._last = found
        return found

    def known(self) -> Revision | None:
        if self._last is None:
            with suppress(OSError, ValueError, KeyError, TypeError, StackError):
                commit = str(json.loads((self._state / "known.json").read_text("utf-8"))["commit"])
                self._last = self._read(commit, "")
        return self._last

    def folder(self, path: str) -> Path:
        return self._state / "projects" / folder_name(path)

    def candidate(self, path: str, content: str) -> Path:
        place = self._state / "candidates" / folder_name(path)
        shutil.rmtree(place, ignore_errors=True)
        index = place.with_suffix(".index")
        index.unlink(missing_ok=True)
        self._write_tree(content, place, index)
        index.unlink(missing_ok=True)
        return place

    def put(self, path: str, content: str) -> None:
        name = folder_name(path)
        self._complete(name)
        atomic_files.write(self._beside(name, _PUTTING), content)
        self._complete(name)

    def in_place(self, path: str) -> str:
        name = folder_name(path)
        with suppress(OSError):
            if not self._beside(name, _PUTTING).exists():
                return self._beside(name, "content").read_text("utf-8")
        return ""

    def _complete(self, name: str) -> None:
        """Completes what was begun to be put in place: a file of it that git has not noted down would stay for ever."""
        begun = self._beside(name, _PUTTING)
        if begun.exists():
            content = begun.read_text("utf-8")
            self._write_tree(content, self._state / "projects" / name, self._beside(name, "index"))
            atomic_files.write(self._beside(name, "content"), content)
            begun.unlink()

    def _beside(self, name: str, what: str) -> Path:
        """A file of ours about a project, outside of its folder."""
        return self._state / "places" / f"{name}.{what}"

    def _read(self, commit: str, gone: str) -> Revision:
        """The projects of a commit."""
        trees, found, problems = {".": self._git("rev-parse", f"{commit}^{{tree}}").strip()}, [], {}
        listing = self._git("ls-tree", "-r", "-t", "-z", "--full-tree", commit)
        for entry in filter(None, listing.split("\0")):
            about, _, name = entry.partition("\t")
            _, kind, identity = about.split(" ")
            above, _, last = name.rpartition("/")
            if kind == "tree":
                trees[name] = identity
            if kind == "blob" and last == self._file:
                found.append(above or ".")
            if last == _STATE:
                problems[above or "."] = (
                    f"{name} is committed, and would be written over what rollcast keeps there. Remove it with "
                    f"'git rm -r --cached {name}', and list it in .gitignore."
                )
        paths = chosen(found, self._only, self._file)
        return Revision(commit, {path: trees[path] for path in paths if path not in problems}, problems, gone)

    def _fetch(self) -> None:
        refs = [f"+refs/heads/{self.ref}:{_FOLLOWED}", f"+refs/tags/{self.ref}:{_FOLLOWED}"]
        for number, ref in enumerate(refs):
            try:
                self._git("-c", "gc.autoDetach=false", "fetch", "--quiet", "--no-tags", "--", self.url, ref)
                return
            except StackError:
                if number + 1 == len(refs):
                    raise

    def _contains(self, commit: str, earlier: str) -> bool:
        with suppress(StackError):
            self._git("merge-base", "--is-ancestor", earlier, commit)
            return True
        return False

    def _write_tree(self, tree: str, into: Path, index: Path) -> None:
        """Makes the files in a folder those of a tree; what git does not know of stays."""
        for folder in (into, index.parent):
            folder.mkdir(parents=True, exist_ok=True)
        index.with_name(f"{index.name}.lock").unlink(missing_ok=True)
        inside = ["-C", str(into), f"--git-dir={self._copy}", f"--work-tree={into}"]
        run_git([*inside, "read-tree", "--reset", "-u", tree], self.url, index=str(index))

    def _git(self, *arguments: str) -> str:
        said = run_git([f"--git-dir={self._copy}", *arguments], self.url)
        return said.decode("utf-8", "surrogateescape")

    def _refuse(self) -> None:
        if self.url.startswith("-") or not self.url.strip():
            raise StackError(f"'{self.url}' is no repository. Name its address, or a path.")
        if self.ref.startswith("-") or ".." in self.ref or not self.ref.strip() or ":" in self.ref:
            raise StackError(f"'{self.ref}' is no branch and no tag. Correct --branch.")
        if "://" in self.url and (mistake := userinfo_mistake(self.url)):
            raise StackError(f"The address of the repository {mistake}")

    def _own(self) -> None:
        """Makes the state folder this source's. Raises StackError where it is another one's, or can't be written."""
        mark = self._state / "source"
        try:
            self._state.mkdir(parents=True, exist_ok=True, mode=0o700)
            if mark.exists() and (found := mark.read_text("utf-8").strip()) != self.name:
                raise StackError(f"{self._state} belongs to the source '{found}'. Name another folder with --state.")
            atomic_files.write(mark, f"{self.name}\n")
        except OSError as error:
            raise StackError(f"{self._state} can't be written ({error.strerror}). Name another with --state.") from None

    def prepare(self) -> None:
        """Makes the copy where there is none or a broken one. Only the process that holds the source may call it."""
        for left in self._copy.rglob("*.lock") if self._copy.exists() else ():
            left.unlink(missing_ok=True)
        try:
            self._git("rev-parse", "--is-bare-repository")
            if (self._state / "known.json").exists():
                self._git("fsck", "--connectivity-only", "--no-progress", "--no-dangling")
        except StackError:
            self._last = None
            shutil.rmtree(self._copy, ignore_errors=True)
            run_git(["init", "--quiet", "--bare", str(self._copy)], self.url)
        for begun in (self._state / "places").glob(f"*.{_PUTTING}"):
            with suppress(StackError):  # of a copy that is lost: it is put in place again
                self._complete(begun.stem)


__all__ = ["GitSource"]
