"""`pool` and `remote`, compiled. See `reference.pool` and `reference.remote`, whose results these are.

Long because the event loops of two stations share one queue.
"""

from __future__ import annotations

import numpy as np

from rollcast.simulator.base.compiling import lean
from rollcast.simulator.base.draws import quantile
from rollcast.simulator.engines.compiled.layout import EngineState, Net
from rollcast.simulator.engines.compiled.order import pop, push, sort
from rollcast.simulator.engines.compiled.visits import (
    FIRST_TOKEN,
    HIT,
    NEVER,
    breaks,
    enter,
    fail,
    finish,
    leave,
    note_queue,
    random_draw,
    service_s,
    slowed,
)

_BROKEN = 1 << 40  # added to a server's number: the service will have failed
_NO_SERVER = 1 << 20


@lean
def serve_pool(net: Net, state: EngineState, s: int, until: float) -> None:
    """Everything that happens at a pool before `until`."""
    sort(state.inbox_t[s], state.inbox_r[s], state.inbox_n[s])
    arrivals, taken = state.inbox_n[s], 0
    tracked = len(net.change_at) > 0
    ends_t, again_t, inbox_t = state.ends_t[s], state.again_t[s], state.inbox_t[s]
    late = net.timeout[s] < NEVER
    while True:
        change = _next_change(net, state, s) if tracked else NEVER
        end = ends_t[0] if state.ends_n[s] else NEVER
        arrival = inbox_t[taken] if taken < arrivals else NEVER
        again = again_t[0] if state.again_n[s] else NEVER
        due = state.queue_t[s, state.queue_head[s]] if late and state.queue_n[s] else NEVER
        t = min(change, end, arrival, again, due)
        if not t < until:
            break
        if change == t:
            _change_pool(net, state, s, t)
        elif end == t:
            _end(net, state, s, t, tracked)
        elif arrival == t or again == t:
            if again < arrival or (again == arrival and state.again_r[s, 0] < state.inbox_r[s, taken]):
                g = state.again_r[s, 0]
                pop(state.again_t[s], state.again_r[s], state.again_x[s], state.again_n[s])
                state.again_n[s] -= 1
            else:
                g = state.inbox_r[s, taken]
                taken += 1
            _arrive(net, state, s, g, t, tracked)
        else:
            g = state.queue_r[s, state.queue_head[s]]
            _unqueue(state, s, t)
            fail(net, state, s, g, net.step_of[state.path[g], s], t)
    state.inbox_n[s] = 0


@lean
def _arrive(net: Net, state: EngineState, s: int, g: int, t: float, tracked: bool) -> None:
    k = net.step_of[state.path[g], s]
    if enter(net, state, s, g, k, t):
        return
    free = net.servers[s] - (min(state.down[s] * net.concurrency[s], net.servers[s]) if tracked else 0)
    if (_free_server(net, state, s) >= 0) if tracked else (state.busy[s] < free):
        _start(net, state, s, g, k, t, t + net.timeout[s], tracked)
    elif net.queue[s] >= 0 and state.queue_n[s] >= net.queue[s]:
        fail(net, state, s, g, k, t)
    else:
        i = (state.queue_head[s] + state.queue_n[s]) % state.queue_r.shape[1]
        state.queue_r[s, i], state.queue_t[s, i] = g, t + net.timeout[s]
        state.queue_n[s] += 1
        note_queue(state, s, state.queue_n[s], t)


@lean
def _free_server(net: Net, state: EngineState, s: int) -> int:
    """The free server with the lowest number, -1 when none is. Only where capacity changes."""
    for i in range(state.down[s] * net.concurrency[s], net.servers[s]):
        if state.server[s, i] < 0:
            return i
    return -1


@lean
def _unqueue(state: EngineState, s: int, t: float) -> None:
    state.queue_head[s] = (state.queue_head[s] + 1) % state.queue_r.shape[1]
    state.queue_n[s] -= 1
    note_queue(state, s, state.queue_n[s], t)


@lean
def _start(net: Net, state: EngineState, s: int, g: int, k: int, t: float, due: float, tracked: bool) -> None:
    server = _NO_SERVER
    if tracked:
        server = _free_server(net, state, s)
        state.server[s, server] = g
    state.busy[s] += 1
    state.start[g, k] = t
    state.uses[g, k] += 1
    end = t + slowed(net, s, t, service_s(net, state, s, g, k))
    broken = breaks(net, state, s, g, k)
    if end > due:
        end, broken = due, True
    state.busy_s[s] += end - t
    extra = server + (state.attempt[g, k] << 50) + (_BROKEN if broken else 0)
    push(state.ends_t[s], state.ends_r[s], state.ends_s[s], state.ends_n[s], end, g, extra)
    state.ends_n[s] += 1


@lean
def _end(net: Net, state: EngineState, s: int, t: float, tracked: bool) -> None:
    g, extra = state.ends_r[s, 0], state.ends_s[s, 0]
    pop(state.ends_t[s], state.ends_r[s], state.ends_s[s], state.ends_n[s])
    state.ends_n[s] -= 1
    k = net.step_of[state.path[g], s]
    if extra == HIT:
        leave(net, state, g, k, t, True, np.nan)
        return
    server, attempt, broken = extra & (_BROKEN - 1), extra >> 50, (extra & _BROKEN) != 0
    if tracked:
        if state.server[s, server] != g or state.attempt[g, k] != attempt:
            return  # its replica was lost meanwhile
        state.server[s, server] = -1
    state.busy[s] -= 1
    if broken:
        fail(net, state, s, g, k, t)
    else:
        finish(net, state, s, g, k, t, np.nan)
    _next(net, state, s, t, tracked)


@lean
def _next(net: Net, state: EngineState, s: int, t: float, tracked: bool) -> None:
    while state.queue_n[s]:
        if tracked:
            if _free_server(net, state, s) < 0:
                return
        elif state.busy[s] >= net.servers[s]:
            return
        head = state.queue_head[s]
        g, due = state.queue_r[s, head], state.queue_t[s, head]
        _unqueue(state, s, t)
        _start(net, state, s, g, net.step_of[state.path[g], s], t, due, tracked)


@lean
def _next_change(net: Net, state: EngineState, s: int) -> float:
    """When the capacity of a station changes next."""
    i = state.change[s]
    while i < len(net.change_at) and net.change_station[i] != s:
        i += 1
    state.change[s] = i
    return net.change_at[i] if i < len(net.change_at) else NEVER


@lean
def _change_pool(net: Net, state: EngineState, s: int, t: float) -> None:
    before = state.down[s] * net.concurrency[s]
    state.down[s] = net.change_down[state.change[s]]
    state.change[s] += 1
    now = min(state.down[s] * net.concurrency[s], net.servers[s])
    while True:
        first = -1
        for i in range(before, now):
            if state.server[s, i] >= 0 and (first < 0 or state.server[s, i] < state.server[s, first]):
                first = i
        if first < 0:
            break
        g = state.server[s, first]
        state.server[s, first] = -1
        state.busy[s] -= 1
        fail(net, state, s, g, net.step_of[state.path[g], s], t)
    _next(net, state, s, t, True)


# ---- remote -------------------------------------------------------------------------------------


@lean
def serve_remote(net: Net, state: EngineState, s: int, until: float) -> None:
    """Everything that happens at a remote service before `until`."""
    sort(state.inbox_t[s], state.inbox_r[s], state.inbox_n[s])
    arrivals, taken = state.inbox_n[s], 0
    while True:
        end = state.ends_t[s, 0] if state.ends_n[s] else NEVER
        arrival = state.inbox_t[s, taken] if taken < arrivals else NEVER
        again = state.again_t[s, 0] if state.again_n[s] else NEVER
        due = state.queue_t[s, state.queue_head[s]] if state.queue_n[s] else NEVER
        t = min(end, arrival, again, due)
        if not t < until:
            break
        if end == t:
            _end_remote(net, state, s, t)
        elif arrival == t or again == t:
            if again < arrival or (again == arrival and state.again_r[s, 0] < state.inbox_r[s, taken]):
                g = state.again_r[s, 0]
                pop(state.again_t[s], state.again_r[s], state.again_x[s], state.again_n[s])
                state.again_n[s] -= 1
            else:
                g = state.inbox_r[s, taken]
                taken += 1
            _arrive_remote(net, state, s, g, t)
        else:
            g = state.queue_r[s, state.queue_head[s]]
            state.queue_head[s] = (state.queue_head[s] + 1) % state.queue_r.shape[1]
            state.queue_n[s] -= 1
            fail(net, state, s, g, net.step_of[state.path[g], s], t)
    state.inbox_n[s] = 0


@lean
def _arrive_remote(net: Net, state: EngineState, s: int, g: int, t: float) -> None:
    k = net.step_of[state.path[g], s]
    if enter(net, state, s, g, k, t):
        return
    due, start = t + net.timeout[s], t
    if net.every[s] > 0.0:
        start = max(start, state.allowed_s[s] - net.every[s] * (net.burst[s] - 1))
        if start > due:
            i = (state.queue_head[s] + state.queue_n[s]) % state.queue_r.shape[1]
            state.queue_r[s, i], state.queue_t[s, i] = g, due
            state.queue_n[s] += 1
            return
        state.allowed_s[s] = max(start, state.allowed_s[s]) + net.every[s]
    state.start[g, k] = start
    state.uses[g, k] += 1
    took = slowed(net, s, start, service_s(net, state, s, g, k))
    end = start + took
    broken = breaks(net, state, s, g, k)
    if end > due:
        end, broken = due, True
    state.busy_s[s] += end - start
    push(state.ends_t[s], state.ends_r[s], state.ends_s[s], state.ends_n[s], end, g, 1 if broken else 0)
    state.ends_n[s] += 1


@lean
def _end_remote(net: Net, state: EngineState, s: int, t: float) -> None:
    g, extra = state.ends_r[s, 0], state.ends_s[s, 0]
    pop(state.ends_t[s], state.ends_r[s], state.ends_s[s], state.ends_n[s])
    state.ends_n[s] -= 1
    k = net.step_of[state.path[g], s]
    if extra == HIT:
        leave(net, state, g, k, t, True, np.nan)
    elif extra == 1:
        fail(net, state, s, g, k, t)
    else:
        first = np.nan
        if net.first_shape[s] >= 0:
            drawn = random_draw(net, state, s, g, k, FIRST_TOKEN)
            first = quantile(net.first_shape[s], net.first_a[s], net.first_b[s], net.first_table[s], drawn)
            start = state.start[g, k]
            took = slowed(net, s, start, service_s(net, state, s, g, k))
            first = start + min(first, took)
        finish(net, state, s, g, k, t, first)
