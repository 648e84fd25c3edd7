"""Every replica of a data plane, each at an address of its own: what holds of the fleet holds of all of them.

A shift counts when every address evaluates the new definition, an instance is warm when every address has warmed it, a
drain ends when no address has a request left. An address behind which several replicas answer in turn would hide all of
them but one, so it is refused by name; it is known by answers of two replicas of which the first comes again (a replica
that was restarted never does). Replicas that come and go acknowledge to relays instead (`relays`), and are the fleet
that these know.

Long because addresses and relays are two ways to one fleet, of which the same holds.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from rollcast.planner.base.buckets import BUCKETING
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.fleet.control import (
    ASK_S,
    POLL_S,
    Control,
    ReplicaState,
    Say,
    Stopped,
    Unanswered,
    at_once,
    nap,
    pause,
    silent,
)
from rollcast.stacks.fleet.relays import RELAY, Look, MissingReplica, Relays

CONFIRM_S = 15.0
_PROBES = 6  # of an address: with two replicas in turn the first comes again at the third, at random in 15 of 16


class KnownStates(NamedTuple):
    """States by the names of replicas, and whether these are all that there are."""

    states: Mapping[str, ReplicaState]
    whole: bool


class Fleet:
    """The replicas of one data plane; none where nothing is declared. Addresses of relays begin with `relay+`."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self.controls = tuple(Control(address) for address in addresses if not address.startswith(RELAY))
        self.relays = Relays([address for address in addresses if address.startswith(RELAY)])

    def __bool__(self) -> bool:
        return bool(self.controls) or bool(self.relays)

    def warm(self, instance: str, timeout_s: float, stopped: Stopped, say: Say = silent) -> None:
        """Returns when every replica has the instance warm, and says why one has not yet. Raises StackError."""
        until = time.monotonic() + timeout_s
        for _, found in at_once(self.controls, lambda control: control.warm(instance, timeout_s, stopped, say)):
            if isinstance(found, StackError):
                raise found
        if not self.relays:
            return
        self.relays.want(instance, min(timeout_s, ASK_S))
        while True:
            cold = [
                f"{name}: {found}" if isinstance(found, StackError) else name
                for name, found in self.relays.looks(ASK_S)
                if isinstance(found, StackError) or instance not in (found.warm or ())
            ]
            if not cold:
                return
            if time.monotonic() > until:
                raise StackError(f"{instance} is not warm after {timeout_s:.0f} s at {'; '.join(cold[:5])}.")
            nap(POLL_S, stopped)

    def evaluate(self, release: Mapping[str, Any], suite: str, timeout_s: float) -> dict[str, Any]:
        """Metrics of a suite on a release, from the first replica: all hold the same. Raises StackError."""
        if not self.controls:
            raise StackError("An evaluation suite runs at one replica's own address. List one under 'endpoint', too.")
        return self.controls[0].evaluate(release, suite, timeout_s)

    def drain(self, releases: Collection[str], least_s: float, timeout_s: float, stopped: Stopped) -> None:
        """Returns when `least_s` are over and no replica has a request on `releases`.

        Raises StackError after `timeout_s` where one has; sooner where one does not answer for CONFIRM_S: it may be
        busy, and waiting does not show it.
        """
        began = time.monotonic()
        pause(least_s, stopped)
        self.refuse_proxies()
        answered = time.monotonic()  # when nobody was silent last
        while True:
            busy, silent = list[str](), list[StackError]()
            for name, found in self.looks():
                if isinstance(found, StackError):
                    silent.append(found)
                    continue
                counts = {release: found.releases.get(release, 0) for release in sorted(releases)}
                busy += [f"{count} on {release} at {name}" for release, count in counts.items() if count]
            if not busy and not silent:
                return
            waited_s = time.monotonic() - began
            answered = answered if silent else time.monotonic()
            if silent and (waited_s > timeout_s or time.monotonic() - answered > CONFIRM_S):
                raise silent[0]
            if waited_s > timeout_s:
                raise StackError(
                    f"Requests are still in flight after {waited_s:.0f} s: {', '.join(busy)}. Wait for them or end "
                    "them, then run 'rollcast apply --resume'."
                )
            nap(POLL_S, stopped)

    def confirm(self, key: str, content: str, stopped: Stopped, most_s: float = CONFIRM_S) -> list[str]:
        """Waits up to `most_s` until every replica evaluates this content of a flag.

        Gives the addresses that do not report what they evaluate, and replicas that it left out. Raises StackError
        where one evaluates another content still, by another hash, or does not answer: what it serves is not known.
        """
        self.refuse_proxies()
        until = time.monotonic() + most_s
        while True:
            late, silent = self._unconfirmed(key, content)
            if not late:
                return [*silent, *self.relays.went_on_without]
            if time.monotonic() > until:
                raise StackError(
                    f"Not every replica evaluates the new {key} after {most_s:.0f} s: {'; '.join(late)}. Nothing "
                    "goes on until all do: see that each reads the target's definition, then run "
                    "'rollcast apply --resume'."
                )
            nap(POLL_S, stopped)

    def confirmed(self, key: str, content: str) -> bool:
        """Whether no replica is known to evaluate anything else now. Does not wait."""
        return not self._unconfirmed(key, content)[0]

    def _unconfirmed(self, key: str, content: str) -> tuple[list[str], list[str]]:
        """(what is not yet so, a sentence each; who does not report)."""
        late, silent = [], []
        for name, found in self.looks():
            if isinstance(found, Unanswered):
                late.append(f"{name} does not answer" if name.startswith("http") else str(found))
            elif isinstance(found, StackError):
                late.append(str(found))
            elif found.bucketing not in (None, BUCKETING):
                late.append(f"{name} splits by {found.bucketing}, and this split is made for {BUCKETING}")
            elif found.definitions is None or key not in found.definitions:
                silent.append(name)
            elif found.definitions[key] != content:
                late.append(f"{name} still evaluates {(found.definitions[key] or 'nothing')[:19]}")
        return late, silent

    def refuse_proxies(self) -> None:
        """Raises StackError where an address stands for several replicas, or two addresses for one.

        One address after another: called at once, two of one proxy could each reach the same replica every time.
        """
        homes: dict[str, str] = {}
        for control in self.controls:
            seen: list[str] = []
            for _ in range(_PROBES):
                try:
                    replica = control.state().replica
                except Unanswered:
                    break
                if replica is None:
                    break
                if replica in seen[:-1] and seen[-1] != replica:
                    raise StackError(
                        f"Several replicas answer at {control.address} ({', '.join(sorted(set(seen)))}), so that none "
                        "of them can be reached for certain. List the address of each replica under the target's "
                        "'endpoint'."
                    )
                seen.append(replica)
            if seen:
                other = homes.setdefault(seen[-1], control.address)
                if other != control.address:
                    raise StackError(
                        f"{other} and {control.address} are one replica ({seen[-1]}). List the address of each replica "
                        "once under the target's 'endpoint'."
                    )

    def looks(self, timeout_s: float = ASK_S) -> list[Look]:
        """Every replica by name: what it says of itself, or why that is not known. Raises MissingReplica."""
        answers = at_once(self.controls, lambda control: control.state(timeout_s))
        return [
            *((control.address, found) for control, found in answers),
            *(self.relays.looks(timeout_s) if self.relays else ()),
        ]

    def forget(self, replica: str, timeout_s: float = ASK_S) -> bool:
        """Has every relay forget a replica whose process is dead. Whether any knew it. Raises StackError."""
        if not self.relays:
            raise StackError(
                "The target names no relay, and only relays remember replicas. Take a dead one's address out of the "
                "target's 'endpoint'."
            )
        return self.relays.forget(replica, timeout_s)

    def states(self) -> Iterator[tuple[str, ReplicaState]]:
        """What every replica says of itself. Raises StackError where one does not answer."""
        for name, found in self.looks():
            if isinstance(found, StackError):
                raise found
            yield name, found

    def known_states(self, timeout_s: float) -> KnownStates:
        """What those say of themselves that answer within `timeout_s`."""
        try:
            looks = self.looks(timeout_s)
        except MissingReplica:
            return KnownStates({}, False)
        states = {name: found for name, found in looks if not isinstance(found, StackError)}
        return KnownStates(states, len(states) == len(looks))
