"""The policies of a project: the default guardrails, and those of its `policies/*.py` in order of name.

A policy of the project replaces the default one of the same name. Files that begin with `test_` or `_` and
`conftest.py` hold no policies. The digest names the very rules that judged: the content of every Python file of the
folder and of the library of guardrails.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rollcast.policies.errors import PolicyError
from rollcast.policies.rules.rule import Policy, collecting
from rollcast.policies.rules.running import Returned, run_apart, run_here

FOLDER = "policies"
LOADING_S = 30.0


@dataclass(frozen=True, slots=True)
class PolicySet:
    """Policies in the order in which they are judged, and the digest of all that makes them."""

    policies: tuple[Policy, ...]
    digest: str
    files: tuple[str, ...] = ()

    def named(self, name: str) -> Policy:
        """The policy of that name. Raises KeyError."""
        found = {one.name: one for one in self.policies}
        return found[name]


def discover(project: Path) -> PolicySet:
    """The policies that hold for a project folder.

    Raises PolicyError when a file can't be loaded, or when two policies of the project share a name: rules that can't
    be known can't be passed.
    """
    from rollcast.policies.library import defaults

    folder = project / FOLDER
    own: dict[str, Policy] = {}
    files = [path for path in sorted(folder.glob("*.py")) if _holds_policies(path)] if folder.is_dir() else []
    for path, loaded in zip(files, _load(files), strict=True):
        for one in loaded:
            if one.name in own:
                raise PolicyError(
                    f"{path}: two policies are named '{one.name}' (the other is at {own[one.name].source}). "
                    "Give one of them another name: @policy(name=…), or name=… of a guardrail."
                )
            own[one.name] = one
    kept = tuple(one for one in defaults() if one.name not in own)
    return PolicySet((*kept, *own.values()), digest_of_rules(folder), tuple(path.name for path in files))


def _holds_policies(path: Path) -> bool:
    return not path.name.startswith(("test_", "_")) and path.name != "conftest.py"


def _load(paths: Sequence[Path]) -> list[list[Policy]]:
    """The policies of each file. They are loaded in a process of its own first: what ends there is not loaded here."""
    tried = run_apart([partial(_count, path) for path in paths], [LOADING_S] * len(paths))
    found = []
    for path, trial in zip(paths, tried, strict=True):
        answer = run_here(partial(_policies, path)) if isinstance(trial, Returned) else trial
        if not isinstance(answer, Returned):
            why = f"it can't be loaded: {answer.why}"
            raise PolicyError(f"{path}: {why}. Correct the file, or move it out of the folder.")
        found.append(answer.value)
    return found


def _count(path: Path) -> int:
    return len(_policies(path))


def _policies(path: Path) -> list[Policy]:
    with _beside(path.parent), collecting() as found:
        spec = importlib.util.spec_from_file_location(f"rollcast_project_policies.{path.stem}", path)
        if spec is None or spec.loader is None:
            raise ImportError(f"{path} is no Python file")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return found


@contextmanager
def _beside(folder: Path) -> Iterator[None]:
    """Policies may import what lies beside them, such as `_shared.py`; nothing of it stays behind."""
    before = set(sys.modules)
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        sys.dont_write_bytecode = written
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            if file and Path(file).parent == folder:
                del sys.modules[name]


def digest_of_rules(folder: Path) -> str:
    """`sha256:…` of everything that decides a verdict: the project's rules, the library and its version."""
    found = hashlib.sha256(f"rollcast {_version()}\n".encode())
    library = Path(__file__).parents[1]
    for root, paths in (
        (library, [found for room in ("rules", "judgement", "library") for found in library.glob(f"{room}/*.py")]),
        (folder, folder.glob("*.py")),
    ):
        for path in sorted(paths):
            if root == folder and (path.name.startswith("test_") or path.name == "conftest.py"):
                continue
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            found.update(f"{path.relative_to(root).as_posix()} {content}\n".encode())
    return "sha256:" + found.hexdigest()


def _version() -> str:
    try:
        return version("rollcast")
    except PackageNotFoundError:
        return "unknown"
