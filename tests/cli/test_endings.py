"""The last words of a rollout: where everyone is, why, and who had met what is gone."""

from __future__ import annotations

from rollcast.cli.output.ending import last_words
from rollcast.stacks.rollout.driver import Ended, Exit
from rollcast.stacks.rollout.evidence import RequestCounts


def ended(outcome: str, exit_: Exit, **total: int) -> Ended:
    named = {name.replace("_", "-"): served for name, served in total.items()}
    return Ended(exit_, "the reason", RequestCounts(total=named), outcome)


def test_a_rollback_says_where_everyone_is_and_who_had_met_what_is_gone() -> None:
    said = last_words(ended("rolled_back", Exit.ROLLED_BACK, rel_new=1260, rel_old=9000), {"rel-old"})
    assert said == "Rolled back to rel-old: the reason\n  1,260 requests had met rel-new; nothing else is to be done"
    bare = last_words(ended("rolled_back", Exit.ROLLED_BACK, rel_old=9), {"rel-old"})
    assert "no request is on record of what was taken back" in bare
    assert last_words(ended("rolled_back", Exit.ROLLED_BACK), set()).startswith(
        "Rolled back: nothing serves: the reason"
    )


def test_going_back_by_hand_is_no_promotion() -> None:
    said = last_words(ended("promoted", Exit.DONE, rel_new=3, rel_old=5), {"rel-old"}, by_hand=True)
    assert said == "Rolled back to rel-old\n  every milestone is reached; nothing else is to be done"
    assert last_words(ended("promoted", Exit.DONE), {"rel-new"}) == "Promoted: the reason"
    stopped = Ended(Exit.HELD, "waits for a person", RequestCounts(), None)
    assert last_words(stopped, {"rel-old"}, by_hand=True) == "Held: waits for a person"
