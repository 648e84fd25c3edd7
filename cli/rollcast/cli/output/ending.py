"""The last words of a rollout: how it ended, why, who was served by what is gone, and what is left to do."""

from __future__ import annotations

from collections.abc import Collection

from rollcast.cli.reports.amounts import count
from rollcast.cli.terminal import clean, paint
from rollcast.planner.base.wording import some_of
from rollcast.stacks.rollout.driver import Ended

_MOST = 3  # releases that a sentence names


def last_words(ended: Ended, serving: Collection[str], *, by_hand: bool = False) -> str:
    """Text for a terminal. `serving`: the releases that serve now. `by_hand`: the plan was to go back, and all of it is
    done where it is promoted.
    """
    back = ended.outcome == "rolled_back" or (by_hand and ended.outcome == "promoted")
    if not back:
        word = (ended.outcome or ended.exit.name).replace("_", " ").lower()
        return f"{paint(word.capitalize(), bold=True)}: {clean(ended.reason)}"
    now = some_of(sorted(serving), _MOST)
    head = paint(f"Rolled back to {clean(now)}" if now else "Rolled back: nothing serves", bold=True)
    why = "" if by_hand else f": {clean(ended.reason)}"
    met = "every milestone is reached" if by_hand else _met(ended, serving)
    return f"{head}{why}\n  {met}; nothing else is to be done"


def _met(ended: Ended, serving: Collection[str]) -> str:
    """How many requests what no longer serves has answered, as far as telemetry brought them."""
    gone = {release: served for release, served in ended.tally.total.items() if release not in serving and served}
    if not gone:
        return "no request is on record of what was taken back"
    return ", ".join(f"{count(served)} requests had met {clean(release)}" for release, served in sorted(gone.items()))


__all__ = ["last_words"]
