"""Whose a target's flags and instances are. What another owner put there is never changed: it is said where to go.

An owner is a ledger, by its lineage. Flags and instances carry it; those of older versions do not, and belong to the
pipeline that they were made for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

from rollcast.planner.releases.releases import SHARED
from rollcast.planner.routing.split import flag_key
from rollcast.stacks.base.clock import moment
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.flags import Holding
from rollcast.stacks.flags.definitions import OWNER
from rollcast.stacks.targets.target import Target


def others_of(target: Target, pipelines: Collection[str], mine: str, folders: Collection[str] = ()) -> list[str]:
    """What of these pipelines and of these instances another owner holds at a target: each a sentence with the remedy.

    `mine` is the lineage of the ledger that asks; empty before it has one. `folders`: instances that are to be made.
    Raises StackError where the target can't be read.
    """
    flags, holdings = target.flags(), target.holdings()
    found = []
    for name in sorted(pipelines):
        flag = flags.get(flag_key(name))
        metadata = flag.get("metadata") if isinstance(flag, dict) else None
        owner = str(metadata.get(OWNER) or "") if isinstance(metadata, dict) else ""
        if owner and owner != mine:
            found.append(f"Pipeline '{name}' is served at this target by another project, or by another ledger of this "
                         f"one ({_held(owner, holdings.get(name))})")  # fmt: skip
    said = len(found)
    for folder, item in target.placed().items():
        wanted = folder in folders or (item.pipeline in pipelines and not said)
        if wanted and item.owner and item.owner != mine:
            found.append(f"Instance {folder} at this target is that of another owner: pipeline '{item.pipeline}' "
                         f"({_held(item.owner, holdings.get(item.pipeline))})")  # fmt: skip
    remedy = (
        "Nothing of it is changed from here. Go on with that ledger, in its own project or by ROLLCAST_LEDGER_URL, "
        "or give what is declared here another name or another target."
    )
    return [f"{text}. {remedy}" for text in found]


def refuse_others(target: Target, pipelines: Iterable[str], mine: str, folders: Collection[str] = ()) -> None:
    """Raises StackError where another owner holds what is needed."""
    for text in others_of(target, {*pipelines}, mine, folders):
        raise StackError(text)


def _held(owner: str, holding: Holding | None) -> str:
    """The ledger and the driver that hold something, as far as the target says."""
    lineage = f"lineage {owner.removeprefix('sha256:')[:12]}"
    if holding is None or holding.lineage != owner:
        return lineage
    return (
        f"{lineage}; its ledger is {holding.ledger}; rollout {holding.rollout} was last driven by {holding.driver}, "
        f"since {moment(holding.since_s)}"
    )


class ForeignItem(BaseModel):
    """What is at a target and not ours: a flag or an instance, and who holds it as far as that is said there.

    `owner`: the lineage of a ledger; empty where nothing of rollcast is said. `ledger` and `driver`: where to go.
    """

    model_config = ConfigDict(frozen=True)
    what: Literal["flag", "instance"]
    name: str
    pipeline: str = ""
    owner: str = ""
    ledger: str = ""
    driver: str = ""


def foreign_at(target: Target, pipelines: Collection[str], mine: str) -> list[ForeignItem]:
    """What a target holds that is not ours, flags first. `mine` as for `others_of`. Raises StackError.

    What says no owner is ours where it is of one of our pipelines.
    """
    holdings, found = target.holdings(), []
    for key, flag in sorted(target.flags().items()):
        metadata = flag.get("metadata") if isinstance(flag, dict) else None
        owner = str(metadata.get(OWNER) or "") if isinstance(metadata, dict) else ""
        ours = flag_key("")
        pipeline = key.removeprefix(ours) if key.startswith(ours) else ""
        if owner != mine if owner else pipeline not in pipelines:
            found.append(_foreign("flag", key, pipeline, owner, holdings))
    for folder, item in target.placed().items():
        pipeline = item.pipeline or folder.partition("/")[0]
        if item.owner != mine if item.owner else pipeline not in {*pipelines, SHARED}:
            found.append(_foreign("instance", folder, pipeline, item.owner, holdings))
    return found


def _foreign(
    what: Literal["flag", "instance"], name: str, pipeline: str, owner: str, holdings: Mapping[str, Holding]
) -> ForeignItem:
    held = holdings.get(pipeline)
    known = held if held is not None and held.lineage == owner else None
    return ForeignItem(
        what=what, name=name, pipeline=pipeline, owner=owner, ledger=known.ledger if known else "",
        driver=known.driver if known else "",
    )  # fmt: skip
