"""Which versions may serve together: contract edges between slots, and whether two versions are compatible on them.

A requirement belongs to the nearest upstream slot that provides the contract (in either version), or to the slot
that it names. Only when no upstream slot provides it is it looked for elsewhere in the pipeline. Where neither end of
a data-flow edge declares anything about the other, the worst is assumed: the two only go together in one release.

Most of it is decided pair by pair. What takes three is a contract that moves from one provider to another while its
consumer goes on requiring the same of it: each of the two providers may serve the consumer, whichever of its versions
that is, and yet the old one must not have lost the contract before the new one has it. So such providers constrain each
other, and of that contract they don't constrain the consumer.

Long because pairs, moved contracts and whole configurations are three readings of one set of contracts.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from rollcast.planner.base.values import satisfies
from rollcast.planner.releases.releases import SlotVersion

Slots = Mapping[str, SlotVersion]
Edge = tuple[str, str]
SESSION_STATE = "session-state"  # a contract between successive versions of one slot, not between slots


@dataclass(frozen=True, slots=True)
class Clash:
    """One unmet requirement: `consumer` requires `contract` `wanted` of `provider`, which has `found`."""

    consumer: str
    provider: str
    contract: str
    wanted: str
    found: str | None

    def __str__(self) -> str:
        has = f" (it provides {self.found})" if self.found else ""
        return f"{self.consumer} requires {self.contract} {self.wanted}, which {self.provider} does not provide{has}"


class ContractGraph:
    """The contract edges of one line between an old and a new set of slots.

    `bound[(a, b)]` holds the requirement names of b that concern a. `open_edges` are data-flow edges about which
    nothing is declared.
    """

    def __init__(self, old: Slots, new: Slots) -> None:
        self.old, self.new = old, new
        self.names = sorted({*old, *new})
        self.flow = flow_of(old) | flow_of(new)
        self._offered = (_offers(old), _offers(new))
        self.providers = self._providers()
        self.bound: dict[Edge, set[str]] = {}
        for side in (old, new):
            for name, slot in side.items():
                for contract, requirement in slot.requires.items():
                    for provider in self.resolve(side, name, contract, requirement.of):
                        self.bound.setdefault((provider, name), set()).add(contract)
                        self._bind_fallback(provider, name, contract)
        self.open_edges = {edge for edge in self.flow if not self._declared(edge)}
        self._held_elsewhere: dict[Edge, set[str]] = {}
        self.moved = {} if self._settled else self._moves()

    @cached_property
    def _settled(self) -> bool:
        """Whether each contract has the same providers on both sides, and the wiring is the same.

        Then whatever a configuration lacks is a clash of two of its slots: a requirement has one provider in all.
        """
        if self.old is self.new:
            return True
        if wiring(self.old) != wiring(self.new):
            return False
        return all(self.old[name].provides.keys() == slot.provides.keys() for name, slot in self.new.items())

    def _moves(self) -> dict[Edge, list[tuple[str, str]]]:
        """(who provides a contract of one side, who of the other): the (consumer, contract) that stay."""
        found: dict[Edge, list[tuple[str, str]]] = {}
        sides = tuple(zip((self.old, self.new), self._offered, strict=True))
        for name, slot in self.old.items():
            follows = self.new.get(name)
            for contract, requirement in slot.requires.items() if follows else ():
                if contract == SESSION_STATE or requirement.of is not None:
                    continue
                if follows is None or follows.requires.get(contract) != requirement:
                    continue
                was, becomes = (_providing(side, offers, name, contract, None) for side, offers in sides)
                if not was or not becomes or set(was) & set(becomes):
                    continue
                for u, v in itertools.product(was, becomes):
                    found.setdefault((min(u, v), max(u, v)), []).append((name, contract))
                for provider in (*was, *becomes):
                    self._held_elsewhere.setdefault((provider, name), set()).add(contract)
        return found

    def _wanted_of(self, provider: str, consumer: str) -> list[str]:
        """Names of the requirements of `consumer` that `provider` alone can fulfil."""
        edge = provider, consumer
        return sorted(self.bound.get(edge, set()) - self._held_elsewhere.get(edge, set()))

    def _bind_fallback(self, provider: str, consumer: str, contract: str) -> None:
        """What may answer in a provider's place must keep the provider's contracts with what is downstream of it."""
        for side in (self.old, self.new):
            substitute = side[provider].fallback if provider in side else None
            if substitute and substitute != consumer and _leads(side, provider, consumer):
                self.bound.setdefault((substitute, consumer), set()).add(contract)

    def _providers(self) -> dict[str, set[str]]:
        old, new = self._offered
        return {contract: old.get(contract, set()) | new.get(contract, set()) for contract in old.keys() | new.keys()}

    def resolve(self, side: Slots, name: str, contract: str, of: str | None) -> list[str]:
        """The slots that a requirement of `name` concerns, nearest upstream first; empty when nothing provides it."""
        if contract == SESSION_STATE:
            return []
        if of is not None:
            return [of]
        return _nearest(side, name, self.providers.get(contract, set()) - {name})

    def _declared(self, edge: Edge) -> bool:
        u, v = edge
        if edge in self.bound or (v, u) in self.bound:
            return True
        for side in (self.old, self.new):
            if (v in side and u in side[v].independent_of) or (u in side and v in side[u].independent_of):
                return True
        return False

    @cached_property
    def _edges(self) -> list[Edge]:
        pairs: dict[Edge, Edge] = {}
        for edge in sorted({*self.flow, *self.bound, *self.moved}):
            pairs.setdefault((min(edge), max(edge)), edge)
            if edge in self.flow:
                pairs[(min(edge), max(edge))] = edge
        return sorted(edge for edge in pairs.values() if edge[0] != edge[1])

    def edges(self) -> list[Edge]:
        """Every pair of slots that constrain each other, each once, in data-flow direction where there is one."""
        return self._edges

    def edges_of(self, slots: Iterable[str]) -> list[Edge]:
        """The edges that touch any of these slots."""
        found = dict.fromkeys(edge for slot in slots for edge in self._edges_at.get(slot, ()))
        return list(found)

    @cached_property
    def _edges_at(self) -> dict[str, list[Edge]]:
        at: dict[str, list[Edge]] = {}
        for edge in self._edges:
            for slot in edge:
                at.setdefault(slot, []).append(edge)
        return at

    def clashes(self, u: str, a: SlotVersion | None, v: str, b: SlotVersion | None) -> Iterator[Clash]:
        """Unmet requirements when version `a` of slot u is combined with `b` of slot v on one request's path."""
        if a is None or b is None:
            return
        for provider, p, consumer, c in ((u, a, v, b), (v, b, u, a)):
            for contract in self._wanted_of(provider, consumer):
                wanted = c.requires.get(contract)
                if wanted is None:
                    continue
                found = p.provides.get(contract)
                if found is None or not satisfies(found, wanted.value):
                    names = (f"{consumer} {c.reference}", f"{provider} {p.reference}")
                    yield Clash(*names, contract, wanted.value, found)

    def compatible(self, u: str, a: SlotVersion | None, v: str, b: SlotVersion | None) -> bool:
        """Whether the two versions may serve one request together; `why_not` says how this is decided."""
        return not self.why_not(u, a, v, b)

    def why_not(
        self, u: str, a: SlotVersion | None, v: str, b: SlotVersion | None, flow: Collection[Edge] | None = None
    ) -> str:
        """Why two versions (None: the slot is not there) may not serve one request; empty when they may.

        `flow`: the data-flow edges of the release in which they would; where it is not known, those of both sides.

        Versions of one generation always may: a declared release is checked as a whole. On an edge about which nothing
        is declared only they may. A slot that exists on one side only changes the wiring of its neighbours, so on a
        data-flow edge it is combined only with its own generation; elsewhere, what is required of it must be there.
        """
        if self._same_generation(u, a, v, b):
            return ""
        lost = self._lost(u, a, v, b) if self.moved else ""
        if lost:
            return lost
        flows = (u, v) in self.flow or (v, u) in self.flow
        if flows and (a is None or b is None):
            return f"{u if a is None else v} is added or removed, which rewires its neighbours"
        if any(edge in self.open_edges and (flow is None or edge in flow) for edge in ((u, v), (v, u))):
            return f"no contract is declared between {u} and {v}, so their versions only go together in one release"
        if a is None or b is None:
            return self._absent(u, a, v, b)
        clash = next(self.clashes(u, a, v, b), None)
        return str(clash) if clash else ""

    def _lost(self, u: str, a: SlotVersion | None, v: str, b: SlotVersion | None) -> str:
        """A contract that has left the one and is not yet with the other, though what requires it is there."""
        for consumer, contract in self.moved.get((min(u, v), max(u, v)), ()):
            slot = self.old[consumer]
            wanted = slot.requires[contract].value
            offers = [one.provides.get(contract) if one else None for one in (a, b)]
            if not any(offer is not None and satisfies(offer, wanted) for offer in offers):
                who = " and ".join(f"{name} {one.reference}" if one else f"no {name}" for name, one in ((u, a), (v, b)))
                return f"{consumer} {slot.reference} requires {contract} {wanted}, which {who} do not provide"
        return ""

    def _absent(self, u: str, a: SlotVersion | None, v: str, b: SlotVersion | None) -> str:
        (missing, name, there) = (u, v, b) if a is None else (v, u, a)
        for contract in self._wanted_of(missing, name) if there else ():
            if there and contract in there.requires:
                wanted = there.requires[contract].value
                return str(Clash(f"{name} {there.reference}", missing, contract, wanted, None))
        return ""

    def _same_generation(self, u: str, a: SlotVersion | None, v: str, b: SlotVersion | None) -> bool:
        old, new = self.old, self.new
        return (_same(old.get(u), a) and _same(old.get(v), b)) or (_same(new.get(u), a) and _same(new.get(v), b))

    def unfit(self, slots: Slots) -> list[str]:
        """Why one configuration on the way may not serve: what may not serve together in it, else what it lacks."""
        flow = flow_of(slots)
        found = [why for u, v in self.edges() if (why := self.why_not(u, slots.get(u), v, slots.get(v), flow))]
        return found or [str(clash) for clash in self.lacking(slots)]

    def broken(self, slots: Slots) -> list[Clash]:
        """Every unmet requirement within one configuration."""
        found = [c for u, v in self.edges() for c in self.clashes(u, slots.get(u), v, slots.get(v))]
        known = {(c.contract, c.consumer) for c in found}
        return found + [c for c in self.unprovided(slots) if (c.contract, c.consumer) not in known]

    def lacking(self, slots: Slots) -> list[Clash]:
        """What a configuration on the way lacks. A whole generation lacks nothing: it was checked when declared."""
        whole = _generation(slots, self.old) or _generation(slots, self.new)
        settled = self._settled and wiring(slots) == wiring(self.old)
        return [] if whole or settled else self.unprovided(slots)

    def unprovided(self, slots: Slots) -> list[Clash]:
        """Requirements of a configuration, read as if it were declared, that their providers do not satisfy."""
        found: list[Clash] = []
        offers = _offers(slots)
        for name, slot in slots.items():
            who = f"{name} {slot.reference}"
            for contract, requirement in slot.requires.items():
                if contract == SESSION_STATE:
                    continue
                wanted = requirement.value
                providers = _providing(slots, offers, name, contract, requirement.of)
                if not providers:
                    found.append(Clash(who, "the pipeline", contract, wanted, None))
                for provider in providers:
                    offer = slots[provider].provides[contract]
                    if not satisfies(offer, wanted):
                        found.append(Clash(who, f"{provider} {slots[provider].reference}", contract, wanted, offer))
        return found


def _offers(slots: Slots) -> dict[str, set[str]]:
    """Contract -> the slots of a configuration that provide it."""
    found: dict[str, set[str]] = {}
    for name, slot in slots.items():
        for contract in slot.provides:
            found.setdefault(contract, set()).add(name)
    return found


def _providing(slots: Slots, offers: Mapping[str, set[str]], name: str, contract: str, of: str | None) -> list[str]:
    """The slots of one configuration that a requirement concerns: those nearest upstream that provide it, or any."""
    providing = offers.get(contract, set())
    if of is not None:
        return [of] if of in providing else []
    return _nearest(slots, name, providing - {name})


def _nearest(slots: Slots, name: str, providing: set[str]) -> list[str]:
    """Of these, the slots of the nearest level upstream of `name` that holds one; all of them where none does."""
    level, seen = list(slots[name].upstream), {name}
    while level and providing:
        found = sorted(providing.intersection(level))
        if found:
            return found
        seen.update(level)
        level = [up for slot in level if slot in slots for up in slots[slot].upstream if up not in seen]
    return sorted(providing)


def flow_of(slots: Slots) -> set[Edge]:
    """The data-flow edges of one configuration."""
    return set(_flow(slots))


def _flow(slots: Slots) -> Iterator[Edge]:
    """Data-flow edges, those of fallbacks included: what answers late requests flows where its principal does."""
    for name, slot in slots.items():
        for up in slot.upstream:
            yield up, name
            substitute = slots[up].fallback if up in slots else None
            if substitute and substitute != name:
                yield substitute, name


def _leads(slots: Slots, slot: str, other: str) -> bool:
    """Whether what a slot gives flows to another one."""
    pending, seen = [other], set[str]()
    while pending:
        name = pending.pop()
        for up in slots[name].upstream if name in slots else ():
            if up == slot:
                return True
            if up not in seen:
                seen.add(up)
                pending.append(up)
    return False


def _same(one: SlotVersion | None, other: SlotVersion | None) -> bool:
    if one is None or other is None:
        return one is other
    return one is other or one.identity == other.identity


def _generation(slots: Slots, side: Slots) -> bool:
    return slots.keys() == side.keys() and all(_same(slot, side[name]) for name, slot in slots.items())


def wiring(slots: Slots) -> dict[str, frozenset[str]]:
    """Which slots there are, and what is upstream of each: the shape that a request's data flows through."""
    return {name: frozenset(slot.upstream) for name, slot in slots.items()}


__all__ = ["SESSION_STATE", "Clash", "ContractGraph", "Edge", "Slots", "flow_of", "wiring"]
