"""The compiled engine as a replay sees it."""

from __future__ import annotations

from typing import Any

import numpy as np

from rollcast.simulator.base.compiling import compiled, lean
from rollcast.simulator.base.draws import Floats, Ints
from rollcast.simulator.engines.compiled.layout import EngineState, Net, net_of, state_of
from rollcast.simulator.engines.compiled.llm import serve_llm
from rollcast.simulator.engines.compiled.packing import packed_net, packed_state
from rollcast.simulator.engines.compiled.pool import serve_pool, serve_remote
from rollcast.simulator.engines.compiled.visits import deliver, keep
from rollcast.simulator.engines.interface import Batch, Completed, Demand, Disturbances, Visits
from rollcast.simulator.stations.network import Network
from rollcast.simulator.traffic.recording import Traffic

_SPARE = 64
_AGAIN = 1 << 16  # requests of a second lap of the traffic that there is room for from the start
CHUNK = 1024  # requests that are served at once: their arrays stay in the processor's caches


@compiled
def begin(net: Net, state: EngineState, requests: Ints, times: Floats, rows: Ints, paths: Ints) -> None:
    """Requests arrive at the first steps of their paths."""
    _begin(net, state, requests, times, rows, paths)


@compiled
def serve(net: Net, state: EngineState, until: float) -> None:
    """Everything that happens before `until`, station by station."""
    _serve(net, state, until)


@compiled
def prefill_cache(net: Net, state: EngineState, s: int, queries: Ints, t: float) -> None:
    """Puts results into a cache, the last one as the most recent."""
    _prefill_cache(net, state, s, queries, t)


@lean
def _begin(net: Net, state: EngineState, requests: Ints, times: Floats, rows: Ints, paths: Ints) -> None:
    width = net.path_station.shape[1]
    for i in range(len(requests)):
        g, p = requests[i], paths[i]
        state.path[g], state.row[g], state.open[g] = p, rows[i], net.path_sinks[p]
        for k in range(width):
            state.waits[g, k], state.attempt[g, k], state.principal[g, k] = net.path_ups[p, k], 1, k
        if net.path_station[p, 0] < 0:
            state.done[g], state.ended[g] = times[i], 1
            state.out[state.counts[0]] = g
            state.counts[0] += 1
        for k in range(width):
            if net.path_station[p, k] >= 0 and net.path_ups[p, k] == 0:
                deliver(net, state, g, k, times[i])


@lean
def _serve(net: Net, state: EngineState, until: float) -> None:
    for s in range(len(net.kind)):
        if net.kind[s] == 0:
            serve_pool(net, state, s, until)
        elif net.kind[s] == 1:
            serve_remote(net, state, s, until)
        else:
            serve_llm(net, state, s, until)


@lean
def _prefill_cache(net: Net, state: EngineState, s: int, queries: Ints, t: float) -> None:
    for i in range(len(queries)):
        keep(net, state, s, queries[i], t)


class Compiled:
    """The stations of a network as arrays, and requests on their way."""

    def __init__(
        self,
        network: Network,
        traffic: Traffic,
        seed: int,
        disturbances: Disturbances | None = None,
        *,
        chunk: int = CHUNK,
    ) -> None:
        self.network, self.chunk = network, chunk
        self.net = net_of(network, traffic, seed, disturbances or Disturbances())
        self.attempts = int(self.net.attempts.max(initial=1))
        self.room = 2 * chunk * self.attempts + _SPARE
        self.size = len(traffic) + min(len(traffic), _AGAIN)
        self.state = state_of(self.net, self.size, self.room)
        self.packed_net, self.packed = packed_net(self.net), packed_state(self.state)
        self.submitted = self.ended = self.most = 0
        self.batches: list[Batch] = []

    def submit(self, batch: Batch) -> None:
        if len(batch.request):
            self.batches.append(batch)

    def prefetch(self, station: int, queries: Ints, at_s: float) -> None:
        cache = self.network.stations[station].profile.cache
        if cache is not None:
            prefill_cache(self.packed_net, self.packed, station, queries[: cache.prefetch][::-1].copy(), at_s)

    def advance(self, until_s: float) -> Completed:
        found: list[Ints] = []
        for batch in self.batches:
            start = 0
            while start < len(batch.request):
                end = _cut(batch.arrival_s, start, self.chunk)
                self._begin(batch, start, end)
                upto = batch.arrival_s[end] if end < len(batch.request) else until_s
                serve(self.packed_net, self.packed, min(upto, until_s))
                found.append(self._out())
                start = end
        if not self.batches:
            serve(self.packed_net, self.packed, until_s)
            found.append(self._out())
        self.batches = []
        requests = np.concatenate(found) if found else np.zeros(0, np.int64)
        requests = requests[np.lexsort((requests, self.state.done[requests]))]
        first = np.where(self.state.ended[requests] == 2, np.nan, self.state.first[requests])
        return Completed(
            requests, self.state.done[requests], first, self.state.ended[requests] == 2, self.state.uses[requests]
        )

    def _begin(self, batch: Batch, start: int, end: int) -> None:
        own = slice(start, end)
        self.most = max(self.most, int(batch.request[end - 1]) + 1)
        needed = (self.submitted - self.ended + end - start) * self.attempts + _SPARE
        if self.most > self.size or needed > self.room:
            self._grow(max(self.most, 2 * self.size if self.most > self.size else 0, self.size), needed)
        self.submitted += end - start
        begin(self.packed_net, self.packed, batch.request[own], batch.arrival_s[own], batch.row[own], batch.path[own])

    def _out(self) -> Ints:
        count = int(self.state.counts[0])
        self.state.counts[0] = 0
        self.ended += count
        return self.state.out[:count].copy()

    def _grow(self, size: int, room: int) -> None:
        room = max(room * 2, self.room) if room > self.room else self.room
        self.state = grown(self.net, self.state, size, room)
        self.size, self.room, self.packed = size, room, packed_state(self.state)

    def visits(self) -> Visits:
        state, n = self.state, self.most
        arrive = np.where((state.waits[:n] == 0) | ~np.isnan(state.end[:n]), state.arrive[:n], np.nan)
        return Visits(arrive, state.start[:n], state.end[:n], state.uses[:n])

    def demand(self) -> tuple[Demand, ...]:
        state = self.state
        return tuple(
            Demand(
                self._busy_s(s), int(self.net.servers[s]), int(state.visits[s]), int(state.longest[s]),
                float(state.behind[s]),
            )
            for s in range(len(self.net.kind))
        )  # fmt: skip

    def _busy_s(self, s: int) -> float:
        line = int(self.net.llm[s])
        return float(self.state.busy_s[s]) if line < 0 else sum(self.state.stepped_s[line].tolist())


def _cut(arrival_s: Floats, start: int, chunk: int) -> int:
    """Where a chunk ends: never between requests that arrive at the same moment."""
    end = start + chunk
    if end >= len(arrival_s):
        return len(arrival_s)
    while end < len(arrival_s) and arrival_s[end] == arrival_s[end - 1]:
        end += 1
    return end


# Rings that are held by (head, length), and where those two are.
_RINGS = {
    "queue_r": ("queue_head", "queue_n"), "queue_t": ("queue_head", "queue_n"), "held_t": ("held_head", "held_n"),
    "held": ("held_head", "held_n"), "due_t": ("due_head", "due_n"), "due": ("due_head", "due_n"),
    "due_epoch": ("due_head", "due_n"),
}  # fmt: skip


def grown(net: Net, state: EngineState, size: int, room: int) -> EngineState:
    """The same state with more space."""
    fresh: dict[str, Any] = state_of(net, size, room)._asdict()
    for name, old in state._asdict().items():
        new = fresh[name]
        if name in _RINGS:
            _copy_ring(new, old, getattr(state, _RINGS[name][0]))
        elif name == "waiting":
            _copy_ring(new.reshape(-1, new.shape[2]), old.reshape(-1, old.shape[2]), state.replica[:, :, 0].reshape(-1))
        elif new.shape == old.shape:
            new[...] = old
        elif name not in ("spare", "spare_n"):
            new[tuple(slice(0, n) for n in old.shape)] = old
    for head in ("queue_head", "held_head", "due_head"):
        fresh[head][:] = 0
    fresh["replica"][:, :, 0] = 0
    more = room - state.slot.shape[1]
    for line in range(len(state.spare_n)):
        have = int(state.spare_n[line])
        fresh["spare"][line, :have] = state.spare[line, :have]
        fresh["spare"][line, have : have + more] = np.arange(room - more, room)
        fresh["spare_n"][line] = have + more
    return EngineState(**fresh)


def _copy_ring(new: Any, old: Any, heads: Ints) -> None:
    for i, head in enumerate(heads):
        new[i, : old.shape[1]] = np.roll(old[i], -int(head))
