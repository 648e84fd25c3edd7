"""Git's own program, as rollcast runs it: it asks nobody for a password, and never waits for ever."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.registries.limits import Limits

COMMIT = re.compile(r"[0-9a-f]{40}")
_LONGER = 20  # times the limit of one answer: what a transfer may take


def commit_of(url: str, ref: str) -> str:
    """The commit that a branch or tag names now. Raises StackError."""
    patterns = [f"refs/heads/{ref}", f"refs/tags/{ref}", f"refs/tags/{ref}^{{}}"]
    said = run_git(["ls-remote", "--quiet", "--", url, *patterns], url).decode("utf-8", "replace")
    found = {name: commit for commit, _, name in (line.partition("\t") for line in said.splitlines())}
    named = [name for name in (f"refs/heads/{ref}", f"refs/tags/{ref}") if name in found]
    if not named:
        raise StackError(f"{url} has no branch or tag '{ref}'. Correct it, or push it.")
    if len(named) > 1:
        raise StackError(f"{url} has a branch and a tag '{ref}'. Rename one of them.")
    commit = found.get(f"{named[0]}^{{}}", found[named[0]])
    if not COMMIT.fullmatch(commit):
        raise StackError(f"{url} names its commits otherwise than by SHA-1, which is not supported.")
    return commit


def run_git(arguments: Sequence[str], url: str, index: str = "") -> bytes:
    """What git says. `index`: a file that holds an index of its own.

    Raises StackError with the last line of what it says is wrong.
    """
    most_s = Limits.from_environment().timeout_s * (_LONGER if {"fetch", "read-tree"} & {*arguments} else 1)
    environment = git_environment() | ({"GIT_INDEX_FILE": index} if index else {})
    try:
        done = subprocess.run(
            ["git", *arguments], capture_output=True, env=environment, stdin=subprocess.DEVNULL, timeout=most_s,
            check=False,
        )  # fmt: skip
    except FileNotFoundError:
        raise StackError("There is no 'git' on PATH. Install it.") from None
    except subprocess.TimeoutExpired:
        raise StackError(f"{url} did not answer git within {most_s:g} s. Check its address and the network.") from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        why = next((line for line in said if line.startswith(("fatal:", "error:"))), said[-1] if said else "no reason")
        raise StackError(f"git can't read {url} ({why}). Check its address, the network, and your rights.")
    return done.stdout


def git_environment() -> dict[str, str]:
    """Git asks nobody for a password, and knows nothing of a repository around the project."""
    kept = {
        key: value for key, value in os.environ.items() if key not in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
    }
    return {**kept, "GIT_TERMINAL_PROMPT": "0", "GIT_LFS_SKIP_SMUDGE": "1", "LC_ALL": "C"}
