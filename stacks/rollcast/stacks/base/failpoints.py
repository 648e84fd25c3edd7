"""Failpoints: places between two steps that a crash can fall into, by name.

`failpoint(name)` does nothing. A test that breaks a rollout gives a hook to `install` in each process of that rollout;
the hook may end the process, or raise an OSError as the call beside it would.
"""

from __future__ import annotations

from collections.abc import Callable

Hook = Callable[[str], None]
_installed: list[Hook] = []


def failpoint(name: str) -> None:
    """A place between two steps. Raises what an installed hook raises."""
    for hook in _installed:
        hook(name)


def install(hook: Hook) -> None:
    """From now on, every failpoint that this process passes is given to the hook."""
    _installed.append(hook)
