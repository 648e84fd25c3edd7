"""What replicas said of themselves last, in bounded memory, on a clock that nobody sets.

Bounds: so many replicas, so many releases of each, so many instances wanted warm. Where a new replica finds no room the
one that is missing for longest is forgotten, and that is said; with nobody missing the new one is refused. What is
stored of a replica is the JSON that the driver will be given.
"""

from __future__ import annotations

import json
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from rollcast.stacks.base.errors import first_mistake
from rollcast.stacks.relay.states import PROTOCOL, Acknowledgement

LEASE_S = 10.0
FORGET_S = 3600.0
MOST_REPLICAS = 4000
MOST_RELEASES = 500
_MOST_WANTED = 64
_WANTED_S = 3600.0
_MOST_GONE = 2000
_PER_S = 800  # acknowledgements that one relay is glad to take a second
_LONGEST_ID = 128


class RelayRefusal(Exception):
    """An acknowledgement that is not taken: HTTP status and what to answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(slots=True)
class _Heard:
    """The state of one replica as JSON without its closing brace, and when it was heard."""

    head: bytes
    lease_s: float
    at_s: float


class Replicas:
    """Every replica that this process has heard of. `now` is a monotonic clock in seconds."""

    def __init__(
        self,
        say: Callable[[str], None],
        now: Callable[[], float] = time.monotonic,
        most: int = MOST_REPLICAS,
        forget_s: float = FORGET_S,
    ) -> None:
        self._say, self._now, self._most, self._forget_s = say, now, most, forget_s
        self.relay = uuid.uuid4().hex
        self._began_s = now()
        self._heard: OrderedDict[str, _Heard] = OrderedDict()  # the one not heard of for longest is first
        self._left: OrderedDict[str, float] = OrderedDict()
        self._forgotten: OrderedDict[str, float] = OrderedDict()
        self._wanted: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._heard)

    def acknowledge(self, replica: str, body: bytes) -> dict[str, Any]:
        """Takes what a replica says, and gives the answer to it. Raises RelayRefusal."""
        said = _read(replica, body)
        if said.leaving and not any(said.releases.values()):
            self._heard.pop(replica, None)
            self._keep(self._left, replica)
        else:
            if replica not in self._heard:
                self._make_room(replica)
            self._heard[replica] = _Heard(said.head(), said.lease_s, self._now())
            self._heard.move_to_end(replica)
            self._left.pop(replica, None)
            self._forgotten.pop(replica, None)
        interval_s = min(max(1.0, len(self._heard) / _PER_S), said.lease_s / 3)
        return {"protocol": PROTOCOL, "warm": self.wanted(), "interval_s": round(interval_s, 3)}

    def _make_room(self, replica: str) -> None:
        if len(self._heard) < self._most:
            return
        oldest, heard = next(iter(self._heard.items()))
        if self._now() - heard.at_s <= heard.lease_s:
            raise RelayRefusal(503, f"This relay knows {self._most} replicas, all of them alive, and takes no more.")
        self.forget(oldest)
        self._say(f"Replica {oldest} is missing and was forgotten, to make room for {replica}.")

    def forget(self, replica: str) -> bool:
        """Forgets a replica. Whether it was known."""
        known = self._heard.pop(replica, None) is not None
        if known:
            self._keep(self._forgotten, replica)
        return known

    def _keep(self, gone: OrderedDict[str, float], replica: str) -> None:
        gone[replica] = self._now()
        gone.move_to_end(replica)
        while len(gone) > _MOST_GONE:
            gone.popitem(last=False)

    def tick(self) -> None:
        """Forgets who was not heard of for so long that its process can't be alive, and says so."""
        for replica, heard in list(self._heard.items()):
            silent_s = self._now() - heard.at_s
            if silent_s <= self._forget_s:
                return
            if silent_s > heard.lease_s:  # what is forgotten within its lease would never be missing
                self.forget(replica)
                self._say(f"Replica {replica} was not heard of for {silent_s:.0f} s and is forgotten.")

    def slept(self, seconds: float) -> None:
        """This process did not run for so long: nobody could be heard, so nobody's lease went by."""
        for heard in self._heard.values():
            heard.at_s += seconds

    def want(self, instance: str) -> None:
        """Asks every replica, those that come later too, to make an instance warm."""
        self._wanted[instance] = self._now()
        self._wanted.move_to_end(instance)
        while len(self._wanted) > _MOST_WANTED:
            self._wanted.popitem(last=False)

    def wanted(self) -> list[str]:
        """Instances that are wanted warm."""
        if not self._wanted:
            return []
        now_s = self._now()
        for instance in [name for name, at_s in self._wanted.items() if now_s - at_s > _WANTED_S]:
            del self._wanted[instance]
        return list(self._wanted)

    def fleet(self, flags: dict[str, Any]) -> bytes:
        """The fleet as JSON, for the driver. `flags`: what is said there of the definition that is served."""
        now_s, now = self._now(), time.time()
        about = {
            "protocol": PROTOCOL,
            "relay": self.relay,
            "since": now - (now_s - self._began_s),
            "time": now,
            "lease_s": LEASE_S,
            "forget_s": self._forget_s,
            "flags": flags,
            "left": list(self._left),
            "forgotten": {name: round(now_s - at_s, 1) for name, at_s in self._forgotten.items()},
        }
        replicas = (
            b'%s,"heard_s":%.3f,"missing":%s}'
            % (heard.head, now_s - heard.at_s, b"true" if now_s - heard.at_s > heard.lease_s else b"false")
            for heard in self._heard.values()
        )
        return json.dumps(about).encode()[:-1] + b',"replicas":[' + b",".join(replicas) + b"]}"


def _read(replica: str, body: bytes) -> Acknowledgement:
    if not replica or len(replica) > _LONGEST_ID or not replica.isprintable():
        raise RelayRefusal(400, f"The id of a replica has 1 to {_LONGEST_ID} printable characters.")
    try:
        said = Acknowledgement.model_validate_json(body)
    except ValidationError as error:
        raise RelayRefusal(400, ": ".join(first_mistake(error, "the body"))) from None
    if said.protocol > PROTOCOL:
        raise RelayRefusal(426, f"This relay speaks protocol {PROTOCOL}, and the kit {said.protocol}.")
    busy = {release: count for release, count in said.releases.items() if count}
    if len(busy) > MOST_RELEASES:
        raise RelayRefusal(
            413, f"Requests on {len(busy)} releases at once; a relay takes {MOST_RELEASES} of a replica."
        )
    return said.model_copy(
        update={
            "replica": replica,
            "releases": busy,
            "entered": _newest(said.entered),
            "finished": _newest(said.finished),
        }
    )


def _newest(counts: dict[str, int] | None) -> dict[str, int] | None:
    """The counters of the releases that came last: kits name them in the order in which they saw them."""
    if counts is None or len(counts) <= MOST_RELEASES:
        return counts
    return dict(list(counts.items())[-MOST_RELEASES:])
