"""Strategies for pipelines before and after a change: slots, how requests flow, contracts, what changes.

A pipeline is drawn once with its change: the data flow, which slots change and how, and then a contract for each bound
pair that both sides keep (`contracts.contract_changes`). Nothing is drawn and thrown away.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cache
from typing import Any

from hypothesis import strategies as st

from rollcast.planner.declaration.models import Artifact, Component, Requirement
from rollcast.policies.strategies.artifacts import ATTACHED, SERVING
from rollcast.policies.strategies.contracts import contract_changes


class Fate(StrEnum):
    """What happens to a slot."""

    SAME = "same"
    NEW_VERSION = "new version"
    PARAMETERS = "parameters"
    ADDED = "added"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Slot:
    """A drawn slot: place in the flow, fate, and its contracts of both sides."""

    name: str
    fate: Fate = Fate.SAME
    upstream: tuple[str, ...] = ()
    in_place: bool = False
    shared: bool = False
    replicas: int = 1
    needs: float = 0.0
    regions: tuple[str, ...] = ()
    prompt: Fate | None = None
    provides: tuple[dict[str, str], dict[str, str]] = field(default_factory=lambda: ({}, {}))
    requires: tuple[dict[str, Requirement], dict[str, Requirement]] = field(default_factory=lambda: ({}, {}))
    independent_of: tuple[str, ...] = ()

    def there(self, side: int) -> bool:
        return self.fate is not (Fate.ADDED if side == 0 else Fate.REMOVED)

    @property
    def changes(self) -> bool:
        """Whether it may provide or require something else than before: it has another artifact."""
        return self.fate is Fate.NEW_VERSION

    def version(self, side: int) -> str:
        return "2" if side and self.fate is Fate.NEW_VERSION else "1"


@dataclass(frozen=True, slots=True)
class PipelineChange:
    """A pipeline as it serves (side 0) and as it is declared (side 1)."""

    name: str
    slots: tuple[Slot, ...]

    def artifacts(self, side: int) -> list[Artifact]:
        """Every artifact that a side's components name."""
        found = []
        for place, slot in enumerate(s for s in self.slots if s.there(side)):
            kind = SERVING[place % len(SERVING)]
            contracts: dict[str, Any] = {"provides": slot.provides[side], "requires": slot.requires[side]}
            name = slot.name if slot.shared else f"{self.name}-{slot.name}"
            found.append(Artifact(kind=kind, name=name, version=slot.version(side), **contracts))
            if slot.prompt is not None and slot.prompt is not (Fate.ADDED if side == 0 else Fate.REMOVED):
                version = "2" if side and slot.prompt is Fate.NEW_VERSION else "1"
                found.append(Artifact(kind=ATTACHED[0], name=f"{self.name}-{slot.name}-prompt", version=version))
        return found

    def components(self, side: int) -> dict[str, Component]:
        """The side's components."""
        there = {slot.name for slot in self.slots if slot.there(side)}
        components = {}
        for slot in self.slots:
            if slot.name not in there:
                continue
            name = slot.name if slot.shared else f"{self.name}-{slot.name}"
            prompt = slot.prompt is not None and slot.prompt is not (Fate.ADDED if side == 0 else Fate.REMOVED)
            prompt_version = "2" if side and slot.prompt is Fate.NEW_VERSION else "1"
            components[slot.name] = Component(
                artifact=f"{name}@{slot.version(side)}",
                prompt=f"{name}-prompt@{prompt_version}" if prompt else None,
                upstream=tuple(up for up in slot.upstream if up in there),
                independent_of=tuple(other for other in slot.independent_of if other in there),
                parameters={"top_k": 10 * side} if slot.fate is Fate.PARAMETERS else {},
                in_place=slot.in_place,
                shared=slot.shared,
                needs={"accelerators": slot.needs} if slot.needs else {},
                replicas=slot.replicas,
                regions=slot.regions,
            )
        return components


# Drawn often: made once, for Hypothesis checks each new strategy.
_COUNTS = {most: st.integers(0, most) for most in (2, 3, 9)}
_REPLICAS = st.integers(1, 3)
_YES = st.booleans()
_REQUIRED_AS = st.sampled_from(("1", "1", ">=1"))
_PROMPTS = st.sampled_from((None, None, Fate.SAME, Fate.NEW_VERSION))
_FATES = (Fate.SAME, Fate.NEW_VERSION, Fate.NEW_VERSION, Fate.PARAMETERS, Fate.ADDED, Fate.REMOVED)


_ANY_FATE, _KEPT = st.sampled_from(_FATES), st.sampled_from(_FATES[:4])


@st.composite
def pipeline_changes(
    draw: st.DrawFn,
    name: str = "pipeline",
    *,
    max_slots: int = 5,
    in_place: bool = True,
    rewiring: bool = True,
    prompts: bool = True,
    regions: tuple[str, ...] = (),
    allowed: tuple[str, ...] = (),
) -> PipelineChange:
    """A pipeline and what changes in it. At least one slot is there on both sides."""
    count = draw(st.integers(1, max_slots))
    slots: list[Slot] = []
    for number in range(count):
        once = in_place and draw(_COUNTS[3]) == 3
        slots.append(
            Slot(
                name=f"s{number}",
                fate=draw(_ANY_FATE if rewiring and number else _KEPT),
                upstream=draw(_upstream(number)),
                in_place=once,
                replicas=draw(_REPLICAS),
                needs=float(draw(_COUNTS[2])),
                regions=draw(_regions(regions, allowed)),
                prompt=draw(_PROMPTS) if prompts else None,
            )
        )
    return PipelineChange(name, tuple(_bind(draw, slots)))


@cache
def _upstream(number: int) -> st.SearchStrategy[tuple[str, ...]]:
    if not number:
        return st.just(())
    before = [f"s{other}" for other in range(number)]
    some = st.lists(st.sampled_from(before), unique=True, max_size=2).map(lambda found: tuple(sorted(found)))
    return st.one_of(st.just((before[-1],)), some)


@cache
def _regions(known: tuple[str, ...], allowed: tuple[str, ...]) -> st.SearchStrategy[tuple[str, ...]]:
    """Where a slot runs: everywhere, or in some regions; where a rule allows only some, in some of these."""
    if not known:
        return st.just(())
    some = st.lists(st.sampled_from(allowed or known), unique=True, min_size=1).map(lambda found: tuple(sorted(found)))
    return some if allowed else st.one_of(st.just(()), some)


def _bind(draw: st.DrawFn, slots: list[Slot]) -> list[Slot]:
    """Contracts (or declared independence) between slots of the flow, and now and then across it."""
    bound = list(slots)
    for consumer in range(len(slots)):
        for provider in range(len(slots)):
            flows = slots[provider].name in slots[consumer].upstream
            if provider == consumer or not draw(_COUNTS[9]) >= (4 if flows else 8):
                continue
            _contract(draw, bound, provider, consumer)
    _move(draw, bound)
    for place, slot in enumerate(bound):
        free = tuple(up for up in slot.upstream if draw(_COUNTS[3]) == 3)
        bound[place] = replace(slot, independent_of=free)
        if slot.changes and draw(_COUNTS[3]) == 3:
            bound[place] = _with_sessions(bound[place], draw(_YES))
    return bound


def _move(draw: st.DrawFn, slots: list[Slot]) -> None:
    """Now and then, a contract that moves from one provider to another, of a consumer that goes on requiring it."""
    stays = [slot for slot in slots if slot.fate not in (Fate.ADDED, Fate.REMOVED)]
    loses = [slot for slot in slots if slot.fate in (Fate.NEW_VERSION, Fate.REMOVED)]
    gains = [slot for slot in slots if slot.fate in (Fate.NEW_VERSION, Fate.ADDED)]
    if not stays or not loses or not gains or draw(_COUNTS[3]):
        return
    taker, loser, gainer = (draw(st.sampled_from(found)).name for found in (stays, loses, gains))
    if len({taker, loser, gainer}) < 3:
        return
    then = draw(_REQUIRED_AS)
    for place, slot in enumerate(slots):
        provides, requires = [dict(side) for side in slot.provides], [dict(side) for side in slot.requires]
        if slot.name in (loser, gainer):
            provides[slot.name == gainer]["moved"] = "1"
        for wanted, value in zip(requires, ("1", then if slot.fate is Fate.NEW_VERSION else "1"), strict=True):
            if slot.name == taker:
                wanted["moved"] = Requirement(value=value)
        slots[place] = replace(slot, provides=(provides[0], provides[1]), requires=(requires[0], requires[1]))


def _with_sessions(slot: Slot, reads_old: bool) -> Slot:
    """A slot whose new version writes another session state, and can or can't read the old one's."""
    provides = ({**slot.provides[0], "session-state": "1"}, {**slot.provides[1], "session-state": "2"})
    wanted = {"session-state": Requirement(value=">=1,<3")} if reads_old else {}
    return replace(slot, provides=provides, requires=(slot.requires[0], {**slot.requires[1], **wanted}))


def _contract(draw: st.DrawFn, slots: list[Slot], provider: int, consumer: int) -> None:
    giver, taker = slots[provider], slots[consumer]
    sides = [side for side in (0, 1) if giver.there(side) and taker.there(side)]
    if not sides or (len(sides) == 1 and not _may_differ(giver, taker)):
        return
    change = draw(contract_changes(giver.changes, taker.changes))
    contract = f"c~{giver.name}~{taker.name}"
    provides = (dict(giver.provides[0]), dict(giver.provides[1]))
    requires = (dict(taker.requires[0]), dict(taker.requires[1]))
    of = giver.name if draw(_YES) else None
    for side in sides:
        provides[side][contract] = change.provided[side]
        requires[side][contract] = Requirement(value=change.required[side], of=of)
    slots[provider] = replace(giver, provides=provides)
    slots[consumer] = replace(taker, requires=requires)


def _may_differ(giver: Slot, taker: Slot) -> bool:
    """A contract of one side only needs both ends to be other artifacts, or absent, on the other side."""
    return all(slot.fate in (Fate.NEW_VERSION, Fate.ADDED, Fate.REMOVED) for slot in (giver, taker))


__all__ = ["Fate", "PipelineChange", "Slot", "pipeline_changes"]
