"""Names of artifacts on a command line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rollcast.planner.declaration.models import Declaration


def require_artifacts(declaration: Declaration, names: Iterable[str]) -> None:
    """Raises StackError for a name that no artifact has: `name@version`, or `name` for all its versions."""
    from rollcast.planner.base.errors import did_you_mean
    from rollcast.stacks.base.errors import StackError

    known = {artifact.reference for artifact in declaration.artifacts}
    known |= {artifact.name for artifact in declaration.artifacts}
    for name in names:
        if name not in known:
            raise StackError(f"There is no artifact '{name}'. {did_you_mean(name, sorted(known))}".strip())
