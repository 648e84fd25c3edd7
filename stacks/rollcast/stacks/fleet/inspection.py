"""The fleet as a person wants to see it: each replica by name, with what it says of itself or why that is not known.

Nothing is waited for, decided or changed here, and whatever does not answer is part of what is seen.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.fleet.control import ASK_S, ReplicaState, at_once
from rollcast.stacks.fleet.fleet import Fleet
from rollcast.stacks.fleet.relays import YOUNG, HeardReplica, RelayKnowledge, together


class SeenReplica(BaseModel):
    """One replica. Times in seconds; counts are of requests.

    `generations`: by flag, the digest of the content that it acknowledges; `current`: whether each is what the target
    holds, None where it does not report that. `problem`: why nothing is known of it, or what is wrong with it.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    replica: str | None = None
    address: str | None = None
    kit: str | None = None
    bucketing: str | None = None
    generations: dict[str, str | None] = Field(default_factory=dict)
    current: bool | None = None
    in_flight: dict[str, int] = Field(default_factory=dict)
    heard_s: float | None = None
    lease_s: float | None = None
    missing: bool = False
    degraded: str | None = None
    problem: str | None = None


class SeenRelay(BaseModel):
    """One relay: how many replicas it knows, for how long it has been running, and what it says of its flags."""

    model_config = ConfigDict(frozen=True)

    address: str
    replicas: int | None = None
    running_s: float | None = None
    forget_s: float | None = None
    tag: str | None = None
    fault: str | None = None
    problem: str | None = None


class SeenFleet(BaseModel):
    """All replicas that can be known of, in a fixed order, and the relays that were queried.

    `definitions`: by flag, the digest of the content that the target holds now.
    """

    model_config = ConfigDict(frozen=True)

    definitions: dict[str, str] = Field(default_factory=dict)

    replicas: tuple[SeenReplica, ...]
    relays: tuple[SeenRelay, ...]


def inspect(endpoints: Sequence[str], wanted: Mapping[str, str], timeout_s: float = ASK_S) -> SeenFleet | None:
    """What is seen of a fleet within `timeout_s`; None where no address is declared.

    `wanted`: flag -> digest of the content that the target holds, for the flags of interest.
    """
    fleet = Fleet(endpoints)
    if not fleet:
        return None
    began = time.monotonic()
    answers = at_once(fleet.controls, lambda control: control.state(timeout_s))
    waited_s = time.monotonic() - began
    replicas = [_seen(control.address, found, wanted, address=control.address) for control, found in answers]
    relays, knowing = list[SeenRelay](), list[RelayKnowledge]()
    for address, known in fleet.relays.known(max(timeout_s - waited_s, 1.0)) if fleet.relays else ():
        if isinstance(known, StackError):
            relays.append(SeenRelay(address=address, problem=str(known)))
            continue
        knowing.append(known)
        about = {
            "replicas": len(known.replicas), "running_s": known.time - known.since, "forget_s": known.forget_s,
            "problem": YOUNG if known.is_young else None, **known.flags.model_dump(),
        }  # fmt: skip
        relays.append(SeenRelay.model_validate({"address": address, **about}))
    replicas += [_seen(f"replica {each.replica}", each, wanted) for each in together(knowing)]
    return SeenFleet(definitions=dict(wanted), replicas=tuple(replicas), relays=tuple(relays))


def _seen(
    name: str, found: ReplicaState | StackError, wanted: Mapping[str, str], address: str | None = None
) -> SeenReplica:
    if isinstance(found, StackError):
        return SeenReplica(name=name, address=address, problem=str(found))
    evaluated = found.definitions
    own = {flag: evaluated[flag] for flag in wanted if flag in evaluated} if evaluated is not None else {}
    heard = found if isinstance(found, HeardReplica) else None
    return SeenReplica(
        name=name,
        replica=found.replica,
        address=address,
        kit=found.kit,
        bucketing=found.bucketing,
        generations=own,
        current=all(own[flag] == wanted[flag] for flag in own) if own else None,
        in_flight={release: count for release, count in sorted(found.releases.items()) if count},
        heard_s=heard.heard_s if heard else 0.0,
        lease_s=heard.lease_s if heard else None,
        missing=heard.missing if heard else False,
        degraded=found.degraded,
    )
