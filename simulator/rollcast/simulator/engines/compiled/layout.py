"""What the compiled engine works on: arrays, in named tuples that numba can take apart.

`Net` is the network (never written), `EngineState` everything that changes. Sizes: S stations, P paths, K steps, G
requests, C room for what is under way at one station, L `llm` stations, R replicas, Q distinct queries.

Long because numba takes named tuples of arrays only, and every field is listed.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rollcast.simulator.base.draws import Floats, Ints
from rollcast.simulator.engines.interface import Disturbances
from rollcast.simulator.stations.distributions import TABLE_POINTS, Encoded
from rollcast.simulator.stations.network import Network
from rollcast.simulator.stations.profiles import LlmProfile, PoolProfile, RemoteProfile
from rollcast.simulator.traffic.recording import Traffic

Small = npt.NDArray[np.int8]
POOL, REMOTE, LLM = 0, 1, 2
BALANCES = ("requests", "waiting", "turns")


class Net(NamedTuple):
    """The network, the trace, and what disturbs them."""

    kind: Ints  # [S]
    servers: Ints  # [S] pool: replicas x concurrency; others: replicas
    concurrency: Ints
    queue: Ints  # the most that may wait; -1 is no limit
    timeout: Floats
    number: Ints
    shape: Ints
    a: Floats
    b: Floats
    table: Floats  # [S, TABLE_POINTS]
    per_input: Floats
    per_output: Floats
    first_shape: Ints  # -1: does not stream
    first_a: Floats
    first_b: Floats
    first_table: Floats
    every: Floats
    burst: Ints
    attempts: Ints
    backoff: Floats
    budget: Floats
    cache: Ints  # [S] which cache; -1 is none
    entries: Ints
    ttl: Floats
    hit: Floats
    llm: Ints  # [S] which llm; -1 is none
    sequences: Ints
    batched: Ints
    kv: Ints
    step: Floats  # [S, 7] as `StepTime`: the five summands, weights, token
    overhead: Floats
    prefix: Ints  # [S] blocks that are kept beside the key-value memory
    shared: Ints  # [S] 1: blocks are kept in it
    whole: Ints  # [S] 1: a prompt is admitted when the whole of it fits
    chunked: Ints  # [S] 1: prompts may be cut into chunks
    balance: Ints  # [S] see BALANCES
    path_station: Ints  # [P, K], -1 beyond the path
    path_ups: Ints
    path_fallback: Ints
    path_sink: Ints
    path_sinks: Ints  # [P]
    path_down: Ints  # [P, K, K] steps that follow, -1 beyond them
    step_of: Ints  # [P, S]
    input_tokens: Ints  # [rows]
    output_tokens: Ints
    query: Ints
    block_start: Ints
    blocks: Ints
    block_tokens: int
    slow_station: Ints
    slow_from: Floats
    slow_to: Floats
    slow_factor: Floats
    slow_added: Floats
    slow_errors: Floats
    change_station: Ints
    change_at: Floats
    change_down: Ints
    seed: int


class EngineState(NamedTuple):
    """Everything that changes. Requests by number, stations by number."""

    path: Ints  # [G]
    row: Ints
    waits: Small  # [G, K]
    attempt: Small
    principal: Small
    uses: Small
    arrive: Floats
    start: Floats
    end: Floats
    first: Floats  # [G]
    open: Small
    ended: Small  # 0 under way, 1 answered, 2 failed
    done: Floats
    out: Ints  # [C] requests that ended in this piece of time
    counts: Ints  # [1] how many
    inbox_t: Floats  # [S, C]
    inbox_r: Ints
    inbox_n: Ints
    ends_t: Floats
    ends_r: Ints
    ends_s: Ints
    ends_n: Ints
    again_t: Floats
    again_r: Ints
    again_x: Ints
    again_n: Ints
    queue_r: Ints
    queue_t: Floats
    queue_head: Ints
    queue_n: Ints
    busy: Ints
    server: Ints  # [S, servers] request that a server has, -1 is free; only where capacity changes
    down: Ints
    change: Ints  # [S] changes that were made
    visits: Ints
    retries: Ints
    busy_s: Floats
    longest: Ints
    behind: Floats
    allowed_s: Floats  # [S] remote: when the next request conforms
    made: Floats  # [caches, Q] when a result was made, NaN without one
    newer: Ints  # [caches, Q + 1] a ring in order of use; Q is its anchor
    older: Ints
    kept: Ints  # [caches]
    slot: Ints  # [L, C, 16] sequences, see `llm`
    slot_first: Floats  # [L, C]
    spare: Ints  # [L, C]
    spare_n: Ints
    held_t: Floats  # [L, C] sequences in their overhead
    held: Ints
    held_head: Ints
    held_n: Ints
    due_t: Floats  # [L, C] timeouts in order
    due: Ints
    due_epoch: Ints
    due_head: Ints
    due_n: Ints
    aborted: Ints  # [L, C] to be forgotten at the next step of their replica
    aborted_n: Ints
    lost: Ints
    waiting: Ints  # [L, R, C]
    stack: Ints  # [L, R, 2 C, 2] slot and epoch, in order of admission
    finish: Ints  # [L, R, 2 C, 4] heap of (step, request, slot, epoch)
    prompt: Ints  # [L, R, sequences, 2] slot and chunk of the step under way
    replica: Ints  # [L, R, 16], see `llm`
    step_end: Floats  # [L, R]
    stepped_s: Floats  # [L, R] time spent in steps
    turn: Ints  # [L] the replica whose turn it is
    prefix_in: Small  # [L, R, blocks]
    prefix_held: Ints  # [L, R, blocks] sequences that hold a block
    prefix_newer: Ints
    prefix_older: Ints
    prefix_n: Ints


def net_of(network: Network, traffic: Traffic, seed: int, disturbances: Disturbances) -> Net:
    """The arrays of a network. Raises KeyError for a station of a user's own."""
    specs = network.stations
    count, width = len(specs), max(network.width, 1)
    ints: dict[str, Any] = {name: np.full(count, -1, np.int64) for name in _INTS}
    floats: dict[str, Any] = {name: np.zeros(count) for name in _FLOATS}
    table, first_table, step = np.zeros((count, TABLE_POINTS)), np.zeros((count, TABLE_POINTS)), np.zeros((count, 7))
    caches = llms = 0
    for s, spec in enumerate(specs):
        profile = spec.profile
        ints["number"][s], ints["servers"][s], ints["concurrency"][s] = spec.number, spec.replicas, 1
        floats["timeout"][s] = np.inf if spec.timeout_s is None else spec.timeout_s
        retries = profile.retries
        ints["attempts"][s] = retries.attempts if retries else 1
        floats["backoff"][s] = retries.backoff_s if retries else 0.0
        floats["budget"][s] = retries.budget if retries else 0.0
        if profile.cache is not None:
            ints["cache"][s], caches = caches, caches + 1
            ints["entries"][s] = profile.cache.entries
            floats["ttl"][s] = np.inf if profile.cache.ttl_s is None else profile.cache.ttl_s
            floats["hit"][s] = profile.cache.hit_s
        if isinstance(profile, PoolProfile):
            ints["kind"][s], ints["concurrency"][s] = POOL, profile.concurrency
            ints["servers"][s] = spec.replicas * profile.concurrency
            _encode(profile.service_s.encode(), s, ints, floats, table, "")
            floats["per_input"][s], floats["per_output"][s] = profile.per_input_token_s, profile.per_output_token_s
            ints["queue"][s] = -1 if profile.queue is None else profile.queue
        elif isinstance(profile, RemoteProfile):
            ints["kind"][s], ints["burst"][s] = REMOTE, profile.burst
            _encode(profile.latency_s.encode(), s, ints, floats, table, "")
            floats["per_output"][s] = profile.per_output_token_s
            if profile.first_token_s is not None:
                _encode(profile.first_token_s.encode(), s, ints, floats, first_table, "first_")
            floats["every"][s] = 1.0 / profile.requests_per_s if profile.requests_per_s is not None else 0.0
        elif isinstance(profile, LlmProfile):
            ints["kind"][s], ints["llm"][s], llms = LLM, llms, llms + 1
            ints["sequences"][s], ints["batched"][s] = profile.max_sequences, profile.max_batched_tokens
            ints["kv"][s], floats["overhead"][s] = profile.kv_tokens, profile.overhead_s
            times = profile.step
            step[s] = (
                times.base_s, times.prefill_token_s, times.decode_sequence_s, times.kv_token_s,
                times.prefill_attention_s, times.weights_s, times.token_s,
            )  # fmt: skip
            ints["prefix"][s] = profile.prefix_tokens // max(traffic.block_tokens, 1) if profile.prefix_tokens else -1
            ints["shared"][s], ints["whole"][s] = int(profile.prefix_caching), int(profile.whole_prompt)
            ints["chunked"][s], ints["balance"][s] = int(profile.chunked_prefill), BALANCES.index(profile.balance)
        else:
            raise KeyError(profile.station)
    slow, changes = disturbances.slow, sorted(disturbances.capacity, key=lambda change: change.at_s)
    return Net(
        **ints, **floats, table=table, first_table=first_table, step=step,
        **_paths(network, count, width),
        input_tokens=traffic.input_tokens, output_tokens=traffic.output_tokens, query=traffic.query,
        block_start=traffic.block_start, blocks=traffic.blocks, block_tokens=traffic.block_tokens,
        slow_station=np.array([s.station for s in slow], np.int64),
        slow_from=np.array([s.start_s for s in slow], np.float64),
        slow_to=np.array([s.end_s for s in slow], np.float64),
        slow_factor=np.array([s.factor for s in slow], np.float64),
        slow_added=np.array([s.added_s for s in slow], np.float64),
        slow_errors=np.array([s.errors for s in slow], np.float64),
        change_station=np.array([c.station for c in changes], np.int64),
        change_at=np.array([c.at_s for c in changes], np.float64),
        change_down=np.array([c.replicas_down for c in changes], np.int64),
        seed=seed,
    )  # fmt: skip


_INTS = (
    "kind", "servers", "concurrency", "queue", "number", "shape", "first_shape", "burst", "attempts", "cache",
    "entries", "llm", "sequences", "batched", "kv", "prefix",
    "shared", "whole", "chunked", "balance",
)  # fmt: skip
_FLOATS = (
    "timeout", "a", "b", "per_input", "per_output", "first_a", "first_b", "every", "backoff", "budget", "ttl", "hit",
    "overhead",
)  # fmt: skip


def _encode(
    found: Encoded, station: int, ints: dict[str, Ints], floats: dict[str, Floats], table: Floats, prefix: str
) -> None:
    ints[f"{prefix}shape"][station] = found.shape
    floats[f"{prefix}a"][station], floats[f"{prefix}b"][station] = found.a, found.b
    table[station] = found.table


def _paths(network: Network, stations: int, width: int) -> dict[str, Any]:
    count = len(network.paths)
    found: dict[str, Any] = {
        name: np.full((count, width), -1, np.int64)
        for name in ("path_station", "path_ups", "path_fallback", "path_sink")
    }
    found["path_sinks"] = np.zeros(count, np.int64)
    found["path_down"] = np.full((count, width, width), -1, np.int64)
    found["step_of"] = np.full((count, stations), -1, np.int64)
    for p, path in enumerate(network.paths):
        found["path_sinks"][p] = len(path.sinks)
        for k, step in enumerate(path.steps):
            found["path_station"][p, k] = step.station
            found["path_ups"][p, k] = len(step.upstream) if step.ordinary else -1
            found["path_fallback"][p, k] = -1 if step.fallback is None else step.fallback
            found["path_sink"][p, k] = int(k in path.sinks)
            found["step_of"][p, step.station] = k
            following = [i for i, other in enumerate(path.steps) if other.ordinary and k in other.upstream]
            found["path_down"][p, k, : len(following)] = following
    return found


def state_of(net: Net, requests: int, room: int) -> EngineState:
    """Empty arrays for `requests` requests, `room` of them under way at once."""
    stations, width = len(net.kind), net.path_station.shape[1]
    per_request = _requests(requests, width)
    per_room = _rooms(net, room)
    queries = int(net.query.max()) + 1 if len(net.query) else 1
    caches = int((net.cache >= 0).sum())
    llms, replicas, blocks = _llm_sizes(net)
    zeros: dict[str, Any] = {
        name: np.zeros(stations, np.int64)
        for name in ("inbox_n", "ends_n", "again_n", "queue_head", "queue_n", "busy", "down", "change", "visits",
                     "retries", "longest")
    }  # fmt: skip
    servers = int(net.servers.max()) if len(net.change_at) and stations else 1
    ring = np.full((caches, queries + 1), queries, np.int64)
    block_ring = np.full((llms, replicas, blocks + 1), blocks, np.int64)
    return EngineState(
        **per_request, **per_room, **zeros, counts=np.zeros(1, np.int64),
        server=np.full((stations, servers), -1, np.int64), busy_s=np.zeros(stations),
        behind=np.full(stations, np.nan), allowed_s=np.full(stations, -np.inf),
        made=np.full((caches, queries), np.nan), newer=ring, older=ring.copy(), kept=np.zeros(caches, np.int64),
        spare_n=np.full(llms, room, np.int64), held_head=np.zeros(llms, np.int64), held_n=np.zeros(llms, np.int64),
        due_head=np.zeros(llms, np.int64), due_n=np.zeros(llms, np.int64), aborted_n=np.zeros(llms, np.int64),
        prompt=np.zeros((llms, replicas, int(net.sequences.max(initial=1)) + 1, 2), np.int64),
        replica=_replicas(llms, replicas), step_end=np.full((llms, replicas), np.inf),
        stepped_s=np.zeros((llms, replicas)),
        prefix_in=np.zeros((llms, replicas, blocks), np.int8),
        prefix_held=np.zeros((llms, replicas, blocks), np.int64), turn=np.zeros(llms, np.int64),
        prefix_newer=block_ring,
        prefix_older=block_ring.copy(), prefix_n=np.zeros((llms, replicas), np.int64),
    )  # fmt: skip


def _llm_sizes(net: Net) -> tuple[int, int, int]:
    own = net.llm >= 0
    blocks = int(net.blocks.max()) + 1 if len(net.blocks) and bool(((net.prefix >= 0) | (net.shared > 0)).any()) else 1
    return int(own.sum()), int(net.servers[own].max(initial=1)), blocks


def _replicas(llms: int, replicas: int) -> Ints:
    found = np.zeros((llms, replicas, 16), np.int64)
    found[:, :, 10] = -1  # no prompt is begun
    return found


def _requests(requests: int, width: int) -> dict[str, Any]:
    small = {n: np.zeros((requests, width), np.int8) for n in ("waits", "attempt", "principal", "uses")}
    times = {n: np.full((requests, width), np.nan) for n in ("arrive", "start", "end")}
    return {
        **small, **times, "path": np.full(requests, -1, np.int64), "row": np.zeros(requests, np.int64),
        "first": np.full(requests, np.nan), "open": np.zeros(requests, np.int8),
        "ended": np.zeros(requests, np.int8), "done": np.full(requests, np.nan),
    }  # fmt: skip


def _rooms(net: Net, room: int) -> dict[str, Any]:
    stations = len(net.kind)
    llms, replicas, _ = _llm_sizes(net)
    times = ("inbox_t", "ends_t", "again_t", "queue_t")
    whole = ("inbox_r", "ends_r", "ends_s", "again_r", "again_x", "queue_r")
    found: dict[str, Any] = {name: np.zeros((stations, room)) for name in times}
    found.update({name: np.zeros((stations, room), np.int64) for name in whole})
    found.update({name: np.zeros((llms, room)) for name in ("slot_first", "held_t", "due_t")})
    found.update({name: np.zeros((llms, room), np.int64) for name in ("held", "due", "due_epoch", "aborted", "lost")})
    found["spare"] = np.tile(np.arange(room, dtype=np.int64)[::-1], (llms, 1))
    found["slot"] = np.zeros((llms, room, 16), np.int64)
    found["waiting"] = np.zeros((llms, replicas, room), np.int64)
    found["stack"] = np.zeros((llms, replicas, 2 * room + 64, 2), np.int64)
    found["finish"] = np.zeros((llms, replicas, 2 * room + 64, 4), np.int64)
    found["out"] = np.zeros(room, np.int64)
    return found
