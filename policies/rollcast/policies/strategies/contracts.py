"""Strategies for contracts: what one slot provides and another requires, before and after a change.

`contract_changes` draws the two ends of one contract so that the old pair and the new pair hold, and the two mixed
pairs are as the drawn `Mixed` says. So every row of the specification's table is generated on purpose, not by luck.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from hypothesis import strategies as st


class Mixed(StrEnum):
    """Which mixed pairs of a contract work while both of its ends change."""

    FREE = "free"
    PROVIDER_FIRST = "provider first"
    CONSUMER_FIRST = "consumer first"
    TOGETHER = "together"


@dataclass(frozen=True, slots=True)
class ContractChange:
    """One contract between two slots: the provided values and the required ones, (old, new)."""

    provided: tuple[str, str]
    required: tuple[str, str]


_REQUIRED = {
    Mixed.FREE: (">=1,<3", ">=1,<3"),
    Mixed.PROVIDER_FIRST: (">=1,<3", ">=2,<3"),
    Mixed.CONSUMER_FIRST: (">=1,<2", ">=1,<3"),
    Mixed.TOGETHER: (">=1,<2", ">=2,<3"),
}


_MIXED, _EXACT = st.sampled_from(Mixed), st.booleans()
_OLD, _NEW = st.sampled_from((">=1,<3", "1")), st.sampled_from((">=1,<3", ">=1", "1"))


@st.composite
def contract_changes(draw: st.DrawFn, provider_changes: bool = True, consumer_changes: bool = True) -> ContractChange:
    """A contract whose old ends agree and whose new ends agree. An end that does not change keeps its value."""
    if not provider_changes:
        old = draw(_OLD)
        new = draw(_NEW) if consumer_changes else old
        return ContractChange(("1", "1"), (old, new))
    if not consumer_changes:
        return ContractChange(("1", "2"), (">=1,<3", ">=1,<3"))
    mixed = draw(_MIXED)
    if mixed is Mixed.TOGETHER and draw(_EXACT):
        return ContractChange(("space-1", "space-2"), ("space-1", "space-2"))
    return ContractChange(("1", "2"), _REQUIRED[mixed])


__all__ = ["ContractChange", "Mixed", "contract_changes"]
