"""What all compiled stations share: caches, retries, draws, and how a request goes on. See `reference.station`."""

from __future__ import annotations

import numpy as np

from rollcast.simulator.base.compiling import lean
from rollcast.simulator.base.draws import quantile, uniform
from rollcast.simulator.engines.compiled.layout import EngineState, Net
from rollcast.simulator.engines.compiled.order import push

# Plain numbers, because compiled code takes globals as constants: Purpose.SERVICE, FIRST_TOKEN, LOST; ATTEMPT.
SERVICE, FIRST_TOKEN, LOST, ATTEMPT = 1, 2, 11, 64
NEVER = np.inf
HIT = -2  # an end of a cache hit, not of a service


@lean
def random_draw(net: Net, state: EngineState, s: int, g: int, k: int, purpose: int) -> float:
    """The draw of a request at a station, in its present attempt."""
    return uniform(net.seed, g, net.number[s], purpose + ATTEMPT * (state.attempt[g, k] - 1))


@lean
def service_s(net: Net, state: EngineState, s: int, g: int, k: int) -> float:
    """How long a pool or a remote service takes, before what disturbs it."""
    row = state.row[g]
    drawn = quantile(net.shape[s], net.a[s], net.b[s], net.table[s], random_draw(net, state, s, g, k, SERVICE))
    if net.kind[s] == 0:
        tokens_s: float = net.per_input[s] * net.input_tokens[row]
        tokens_s += net.per_output[s] * net.output_tokens[row]
    else:
        tokens_s = net.per_output[s] * net.output_tokens[row]
    return drawn + tokens_s


@lean
def slowed(net: Net, s: int, at: float, took: float) -> float:
    """A time at a station, with the slowness of that moment."""
    for i in range(len(net.slow_station)):
        if net.slow_station[i] == s and net.slow_from[i] <= at < net.slow_to[i]:
            took = took * net.slow_factor[i] + net.slow_added[i]
    return took


@lean
def breaks(net: Net, state: EngineState, s: int, g: int, k: int) -> bool:
    """Whether a fault makes this attempt fail."""
    risk = 0.0
    at = state.start[g, k]
    for i in range(len(net.slow_station)):
        if net.slow_station[i] == s and net.slow_from[i] <= at < net.slow_to[i]:
            risk = max(risk, net.slow_errors[i])
    return risk > 0.0 and random_draw(net, state, s, g, k, LOST) < risk


# ---- caches -------------------------------------------------------------------------------------


@lean
def _unlink(state: EngineState, c: int, q: int) -> None:
    newer, older = state.newer[c, q], state.older[c, q]
    state.newer[c, older], state.older[c, newer] = newer, older


@lean
def _link(state: EngineState, c: int, q: int) -> None:
    """Makes q the most recent: next to the anchor."""
    anchor = state.newer.shape[1] - 1
    before = state.older[c, anchor]
    state.older[c, anchor], state.newer[c, q] = q, anchor
    state.older[c, q], state.newer[c, before] = before, q


@lean
def cached(net: Net, state: EngineState, s: int, g: int, t: float) -> bool:
    """Whether a station's cache answers."""
    c = net.cache[s]
    if c < 0:
        return False
    q = net.query[state.row[g]]
    made = state.made[c, q]
    if made != made:
        return False
    if t - made >= net.ttl[s]:
        _unlink(state, c, q)
        state.made[c, q] = np.nan
        state.kept[c] -= 1
        return False
    _unlink(state, c, q)
    _link(state, c, q)
    return True


@lean
def keep(net: Net, state: EngineState, s: int, q: int, t: float) -> None:
    """Keeps a result; the least recently used one makes room."""
    c = net.cache[s]
    if c < 0:
        return
    if state.made[c, q] == state.made[c, q]:
        _unlink(state, c, q)
    else:
        if state.kept[c] >= net.entries[s]:
            oldest = state.newer[c, state.newer.shape[1] - 1]
            _unlink(state, c, oldest)
            state.made[c, oldest] = np.nan
            state.kept[c] -= 1
        state.kept[c] += 1
    state.made[c, q] = t
    _link(state, c, q)


# ---- visits -------------------------------------------------------------------------------------


@lean
def deliver(net: Net, state: EngineState, g: int, k: int, t: float) -> None:
    """A request comes to the station of a step."""
    s = net.path_station[state.path[g], k]
    i = state.inbox_n[s]
    state.inbox_t[s, i], state.inbox_r[s, i] = t, g
    state.inbox_n[s] = i + 1
    state.arrive[g, k] = t


@lean
def enter(net: Net, state: EngineState, s: int, g: int, k: int, t: float) -> bool:
    """A visit begins, or begins again. True when what is kept answers it: its end is then scheduled."""
    if state.attempt[g, k] == 1:
        state.visits[s] += 1
    if not cached(net, state, s, g, t):
        return False
    state.start[g, k] = t
    push(state.ends_t[s], state.ends_r[s], state.ends_s[s], state.ends_n[s], t + net.hit[s], g, HIT)
    state.ends_n[s] += 1
    return True


@lean
def finish(net: Net, state: EngineState, s: int, g: int, k: int, t: float, first: float) -> None:
    """A visit was served."""
    keep(net, state, s, net.query[state.row[g]], t)
    leave(net, state, g, k, t, True, first)


@lean
def fail(net: Net, state: EngineState, s: int, g: int, k: int, t: float) -> None:
    """An attempt failed or was late: again while attempts and budget last."""
    attempt = state.attempt[g, k]
    if attempt < net.attempts[s] and state.retries[s] + 1 <= net.budget[s] * state.visits[s]:
        state.retries[s] += 1
        again = t + net.backoff[s] * 2.0 ** (attempt - 1)
        state.attempt[g, k] = attempt + 1
        push(state.again_t[s], state.again_r[s], state.again_x[s], state.again_n[s], again, g, 0)
        state.again_n[s] += 1
        return
    leave(net, state, g, k, t, False, np.nan)


@lean
def leave(net: Net, state: EngineState, g: int, k: int, t: float, served: bool, first: float) -> None:
    """A visit is over: the request goes on, falls back, or fails."""
    state.end[g, k] = t
    p = state.path[g]
    principal = state.principal[g, k]
    if not served:
        other = net.path_fallback[p, k]
        if other >= 0:
            state.principal[g, other] = principal
            deliver(net, state, g, other, t)
        else:
            _failed(state, g, t)
        return
    if first == first and not (state.first[g] >= first):
        state.first[g] = first
    if net.path_sink[p, principal] == 1:
        state.open[g] -= 1
        if not state.done[g] >= t and state.ended[g] != 2:
            state.done[g] = t
        if state.open[g] == 0:
            _ended(state, g, 1)
    for i in range(net.path_down.shape[2]):
        following = net.path_down[p, principal, i]
        if following < 0:
            break
        state.waits[g, following] -= 1
        ready = state.arrive[g, following]
        state.arrive[g, following] = t if not ready >= t else ready
        if state.waits[g, following] == 0:
            deliver(net, state, g, following, state.arrive[g, following])


@lean
def _failed(state: EngineState, g: int, t: float) -> None:
    """The first failure in time decides, whichever station is served first."""
    if state.ended[g] == 2:
        if t < state.done[g]:
            state.done[g] = t
        return
    state.done[g] = t
    _ended(state, g, 2)


@lean
def _ended(state: EngineState, g: int, how: int) -> None:
    state.ended[g] = how
    state.out[state.counts[0]] = g
    state.counts[0] += 1


@lean
def note_queue(state: EngineState, s: int, length: int, t: float) -> None:
    """Keeps what shows whether a station keeps up."""
    if length > state.longest[s]:
        state.longest[s] = length
    if length == 0:
        state.behind[s] = np.nan
    elif state.behind[s] != state.behind[s]:
        state.behind[s] = t
