"""A fleet as its relays know it: every replica acknowledges to every relay, so that any of them will do.

What several relays say is put together by replica, the one that heard last counts. A relay that began less than a lease
ago does not know its fleet yet, so it is waited for. A replica whose lease is over may be dead, or cut off and still
serving by what it last knew: what happens then is declared (`on_missing_replica`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rollcast.planner.declaration.models import OnMissing
from rollcast.stacks.base.errors import HeldError, StackError, first_mistake
from rollcast.stacks.fleet.control import Control, ReplicaState, Result, Unanswered, at_once

YOUNG = "began less than a lease ago, and does not know its fleet yet"
RELAY = "relay+"  # how the address of a relay differs from that of a replica
DRIVER_TOKEN = "ROLLCAST_RELAY_DRIVER_TOKEN"


class MissingReplica(HeldError):
    """A replica's lease is over, and nothing is to go on without it."""


class HeardReplica(ReplicaState):
    """A replica, as a relay heard of it."""

    replica: str = ""
    lease_s: float = 10.0
    missing: bool = False


class RelayedFlagState(BaseModel):
    """The definition that a relay serves: its tag, and what is wrong with its source."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    tag: str = ""
    fault: str | None = None


class RelayKnowledge(BaseModel):
    """What one relay knows of the fleet. Times in seconds, on its own clock."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    since: float
    time: float
    lease_s: float = 10.0
    forget_s: float | None = None
    flags: RelayedFlagState = Field(default_factory=RelayedFlagState)
    replicas: list[HeardReplica] = Field(default_factory=list)
    left: list[str] = Field(default_factory=list)

    @property
    def is_young(self) -> bool:
        """Whether a replica may live that it has not heard of yet."""
        return self.time - self.since < self.lease_s


Look = tuple[str, ReplicaState | StackError]


class Relays:
    """The relays of one data plane; `addresses` as `relay+URL#on-missing`."""

    def __init__(self, addresses: Sequence[str]) -> None:
        parts = [address.removeprefix(RELAY).partition("#") for address in addresses]
        self._controls = [Control(url, DRIVER_TOKEN) for url, _, _ in parts]
        self.on_missing = OnMissing(parts[0][2] or OnMissing.WAIT) if parts else OnMissing.WAIT
        self.went_on_without: list[str] = []

    def __bool__(self) -> bool:
        return bool(self._controls)

    def looks(self, timeout_s: float) -> list[Look]:
        """Each replica's state, or why it is not known. Raises MissingReplica where one is and all is to hold."""
        known, failures = self._ask(lambda control: _fleet_of(control, timeout_s))
        self.went_on_without = []
        if all(each.is_young for each in known):
            why = "; ".join(failures) or f"each {YOUNG}"
            return [("the relays", Unanswered(f"No relay reports the fleet: {why}."))]
        found = together(known)
        if not found:
            return [("the relays", Unanswered("No replica acknowledges to the relays. See that services name them."))]
        forget_s = max((each.forget_s for each in known if each.forget_s is not None), default=None)
        return [look for each in found for look in self._one(each, forget_s)]

    def known(self, timeout_s: float) -> list[tuple[str, RelayKnowledge | StackError]]:
        """What each relay knows by its address, or why it does not say."""
        return [
            (control.address, found)
            for control, found in at_once(self._controls, lambda control: _fleet_of(control, timeout_s))
        ]

    def _one(self, heard: HeardReplica, forget_s: float | None) -> list[Look]:
        name = f"replica {heard.replica}"
        if not heard.missing:
            return [(name, heard)]
        why = f"{name} was not heard of for {heard.heard_s:.0f} s, and may still serve what it last knew"
        if self.on_missing is OnMissing.PROCEED:
            self.went_on_without.append(why)
            return []
        if self.on_missing is OnMissing.HOLD:
            raise MissingReplica(f"{why}. Nothing goes on without it (on_missing_replica: hold). {_remedy(heard)}")
        left_s = None if forget_s is None else max(0.0, forget_s - heard.heard_s)
        return [(name, Unanswered(f"{why}. {_remedy(heard, left_s)}"))]

    def forget(self, replica: str, timeout_s: float) -> bool:
        """Has every relay forget a replica. Whether any of them knew it. Raises StackError where one does not answer.

        A replica that lives acknowledges again, and is known again.
        """
        path = f"/rollcast/v1/replicas/{quote(replica, safe='')}"
        known, failures = self._ask(lambda control: control.ask("DELETE", path, timeout_s).get("forgotten") is True)
        if failures:
            raise StackError(f"Not every relay has forgotten {replica}: {'; '.join(failures)}")
        return any(known)

    def want(self, instance: str, timeout_s: float) -> None:
        """Has every relay ask its replicas to make an instance warm. Raises Unanswered where none takes it."""
        body = {"instance": instance}
        taken, failures = self._ask(lambda control: control.ask("POST", "/rollcast/v1/warm", timeout_s, body))
        if not taken:
            raise Unanswered("; ".join(failures))

    def _ask(self, ask: Callable[[Control], Result]) -> tuple[list[Result], list[str]]:
        """(what relays answer, why the others don't). Raises what one refuses."""
        answers, failures = list[Result](), list[str]()
        for _, found in at_once(self._controls, ask):
            if isinstance(found, Unanswered):
                failures.append(str(found))
            elif isinstance(found, StackError):
                raise found
            else:
                answers.append(found)
        return answers, failures


def _remedy(heard: HeardReplica, left_s: float | None = None) -> str:
    """What to do about a replica that is missing. `left_s`: seconds until the relays forget it by themselves."""
    remedy = (
        "Bring it back; or, where its process is dead, have the relays forget it: 'rollcast dataplane forget "
        f"{heard.replica}'."
    )
    if left_s is None:
        return remedy
    return f"{remedy} They do so by themselves in {left_s:.0f} s ('rollcast relay --forget-after')."


def _fleet_of(control: Control, timeout_s: float) -> RelayKnowledge:
    return _read(control.address, control.ask("GET", "/rollcast/v1/fleet", timeout_s))


def _read(address: str, answer: dict[str, Any]) -> RelayKnowledge:
    try:
        return RelayKnowledge.model_validate(answer)
    except ValidationError as error:
        place, said = first_mistake(error)
        raise StackError(f"The relay at {address} gives '{place}' that can't be used ({said}).") from None


def together(known: Sequence[RelayKnowledge]) -> list[HeardReplica]:
    """Every replica once, as heard last; who said goodbye to one relay and is missing at the others is gone."""
    newest: dict[str, HeardReplica] = {}
    for each in known:
        for heard in each.replicas:
            if heard.replica not in newest or heard.heard_s < newest[heard.replica].heard_s:
                newest[heard.replica] = heard
    left = {replica for each in known for replica in each.left}
    return [heard for name, heard in sorted(newest.items()) if not (heard.missing and name in left)]


__all__ = [
    "DRIVER_TOKEN", "RELAY", "YOUNG", "HeardReplica", "Look", "MissingReplica", "RelayKnowledge", "Relays", "together",
]  # fmt: skip
