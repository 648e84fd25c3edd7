"""Every replica of a data plane, each at an address of its own: what holds of the fleet holds of all of them.

A shift counts when every address evaluates the new definition, an instance is warm when every address has warmed it, a
drain ends when no address has a request left. An address behind which several replicas answer in turn would hide all of
them but one, so it is refused by name; it is known by answers of two replicas of which the first comes again (a replica
that was restarted never does).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.targets.control import POLL_S, Control, ReplicaState, Stopped, Unanswered, nap, pause

CONFIRM_S = 15.0
_PROBES = 6  # of an address: with two replicas in turn the first comes again at the third, at random in 15 of 16
Result = TypeVar("Result")


class Fleet:
    """The control endpoints of one data plane; none where nothing is declared."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self.controls = tuple(Control(address) for address in addresses)

    def __bool__(self) -> bool:
        return bool(self.controls)

    def warm(self, instance: str, timeout_s: float, stopped: Stopped) -> None:
        """Returns when every replica has the instance warm. Raises StackError."""
        self._each(lambda control: control.warm(instance, timeout_s, stopped))

    def evaluate(self, release: Mapping[str, Any], suite: str, timeout_s: float) -> dict[str, Any]:
        """Metrics of a suite on a release, from the first replica: all hold the same. Raises StackError."""
        return self.controls[0].evaluate(release, suite, timeout_s)

    def drain(self, releases: Collection[str], least_s: float, timeout_s: float, stopped: Stopped) -> None:
        """Returns when `least_s` are over and no replica has a request on `releases`.

        Raises StackError after `timeout_s`, and where an address does not answer: it may be busy.
        """
        began = time.monotonic()
        pause(least_s, stopped)
        self.refuse_proxies()
        while True:
            busy = [
                f"{count} on {release} at {control.address}"
                for control, state in self.states()
                for release in sorted(releases)
                if (count := state.releases.get(release, 0))
            ]
            if not busy:
                return
            waited_s = time.monotonic() - began
            if waited_s > timeout_s:
                raise StackError(
                    f"Requests are still in flight after {waited_s:.0f} s: {', '.join(busy)}. Wait for them or end "
                    "them, then run 'rollcast apply --resume'."
                )
            nap(POLL_S, stopped)

    def confirm(self, key: str, content: str, stopped: Stopped, most_s: float = CONFIRM_S) -> list[str]:
        """Waits up to `most_s` until every replica evaluates this content of a flag.

        Gives the addresses that do not tell what they evaluate. Raises StackError where one evaluates another content
        still, or does not answer: what it serves is not known.
        """
        self.refuse_proxies()
        until = time.monotonic() + most_s
        while True:
            late, silent = self._unconfirmed(key, content)
            if not late:
                return silent
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
        """(what is not yet so, a sentence each; addresses that do not tell)."""
        late, silent = [], []
        for control, found in self._answers(lambda control: control.state()):
            if isinstance(found, Unanswered):
                late.append(f"{control.address} does not answer")
            elif isinstance(found, StackError):
                late.append(str(found))
            elif found.definitions is None or key not in found.definitions:
                silent.append(control.address)
            elif found.definitions[key] != content:
                late.append(f"{control.address} still evaluates {(found.definitions[key] or 'nothing')[:19]}")
        return late, silent

    def refuse_proxies(self) -> None:
        """Raises StackError where an address stands for several replicas, or two addresses for one.

        One address after another: asked at once, two of one proxy could each meet the same replica every time.
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
                        "of them can be asked for certain. List the address of each replica under the target's "
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

    def states(self) -> Iterator[tuple[Control, ReplicaState]]:
        """What every replica says of itself. Raises StackError where one does not answer."""
        for control, found in self._answers(lambda control: control.state()):
            if isinstance(found, StackError):
                raise found
            yield control, found

    def known_states(self, timeout_s: float) -> dict[str, ReplicaState]:
        """By address, what those say of themselves that answer within `timeout_s`."""
        answers = self._answers(lambda control: control.state(timeout_s))
        return {control.address: found for control, found in answers if not isinstance(found, StackError)}

    def _each(self, ask: Callable[[Control], None]) -> None:
        for _, found in self._answers(ask):
            if isinstance(found, StackError):
                raise found

    def _answers(self, ask: Callable[[Control], Result]) -> list[tuple[Control, Result | StackError]]:
        """All at once, in the order of the declaration."""

        def one(control: Control) -> Result | StackError:
            try:
                return ask(control)
            except StackError as error:
                return error

        if len(self.controls) == 1:
            return [(self.controls[0], one(self.controls[0]))]
        with ThreadPoolExecutor(max(1, min(len(self.controls), 32))) as pool:
            return list(zip(self.controls, pool.map(one, self.controls), strict=True))
