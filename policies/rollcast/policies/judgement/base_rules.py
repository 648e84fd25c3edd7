"""The rules of the branch that a change is to be merged into, so that no change weakens what it is judged by.

The policies and overrides of the base hold. The change may only add policies: one whose name is known at the base does
not count, and neither does an override that is new. Policies of the change are loaded and judge in a process
of their own, whose answer is data: nothing that they do reaches the process that judges by the base. What they add is
only as good as they are: a change may add a rule and have it say nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rollcast.planner.base.wording import in_words, some_of
from rollcast.planner.declaration.models import Declaration, Override
from rollcast.policies.errors import PolicyError
from rollcast.policies.judgement.discovery import FOLDER, PolicySet, digest_of_rules, discover
from rollcast.policies.judgement.evaluation import Judgement, evaluate
from rollcast.policies.rules.review import Review
from rollcast.policies.rules.running import Returned, run_apart

LIMIT_S = 300.0  # for all that a change adds, loaded and judged
NAME = "rules-of-the-base"


@dataclass(frozen=True, slots=True)
class BaseRules:
    """The project folder as it is at the base, its declared overrides, and what the base is called."""

    folder: Path
    overrides: tuple[Override, ...]
    revision: str


def judged_by(base: BaseRules, folder: Path, review: Review) -> tuple[tuple[Judgement, ...], str]:
    """The judgements of the base's policies and of those that a change adds, and the digest of both.

    Raises PolicyError where policies of either can't be loaded.
    """
    ruling = discover(base.folder)
    held = replace(review, declaration=review.declaration.model_copy(update={"overrides": base.overrides}))
    known = {one.name for one in ruling.policies}
    added, again = _of_the_change(folder, held, known)
    same = digest_of_rules(folder / FOLDER) == digest_of_rules(base.folder / FOLDER)
    note = _note(base, [] if same else again, review.declaration)
    each = (*evaluate(held, ruling.policies), *added, *([note] if note else []))
    return each, _digest(ruling, folder)


def _of_the_change(folder: Path, review: Review, known: Collection[str]) -> tuple[list[Judgement], list[str]]:
    """What the policies say that a change adds, and which of its own are known at the base by name."""

    def work() -> dict[str, Any]:
        own = [one for one in discover(folder).policies if not one.of_library]
        found = evaluate(review, [one for one in own if one.name not in known])
        judged = [one.model_dump(mode="json") for one in found if one.policy != "overrides"]
        return {"judged": judged, "again": [one.name for one in own if one.name in known]}

    (answer,) = run_apart([work], [LIMIT_S])
    if not isinstance(answer, Returned):
        raise PolicyError(f"{folder / FOLDER}: {answer.why}. Correct the policies of this change.")
    return [Judgement.model_validate(one) for one in answer.value["judged"]], list(answer.value["again"])


def _note(base: BaseRules, again: Sequence[str], declaration: Declaration) -> Judgement | None:
    """What of a change does not count yet, for whoever reviews it."""
    said = []
    if again:
        said.append(f"this change has its own {some_of(again)}, and the base's judged")
    if new := [one.policy for one in declaration.overrides if one not in base.overrides]:
        said.append(f"its override of {some_of(new)} is new and does not count")
    if not said:
        return None
    message = f"{in_words(said)}. They hold once {base.revision} has them: merge rules in a change of their own."
    message = f"{message[0].upper()}{message[1:]}"
    return Judgement(policy=NAME, level="advisory", passed=False, message=message, reason="no change is its own judge")


def _digest(ruling: PolicySet, folder: Path) -> str:
    both = f"{ruling.digest} {digest_of_rules(folder / FOLDER)}"
    return f"sha256:{hashlib.sha256(both.encode()).hexdigest()}"


__all__ = ["NAME", "BaseRules", "judged_by"]
