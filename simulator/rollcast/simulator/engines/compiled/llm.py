"""`llm`, compiled: every iteration of every replica, in constant time. See `reference.llm`, whose results these are.

The reference looks at each running sequence in each step. Here a decoding sequence is only known by the step of its
last token (a heap) and by its part of two sums, so a step costs the same for one sequence and for 256. Entries of the
heap and of the stack of admissions outlive their sequences; a slot's epoch says which do.

`slots` says what the columns of a sequence and of a replica are.

Long because numba compiles plain functions: what are methods of the reference are functions of a few lines here.
"""

from __future__ import annotations

import numpy as np

from rollcast.simulator.base.compiling import lean
from rollcast.simulator.base.draws import Ints
from rollcast.simulator.engines.compiled.layout import BALANCES, EngineState, Net
from rollcast.simulator.engines.compiled.order import pop, pop_finish, push_finish, sort
from rollcast.simulator.engines.compiled.pool import _next_change
from rollcast.simulator.engines.compiled.prefix_memory import (
    blocks_of,
    evict_blocks,
    hold_blocks,
    keep_apart,
    keep_blocks,
    known_blocks,
    release_blocks,
    use_apart,
)  # fmt: skip
from rollcast.simulator.engines.compiled.slots import (
    ABORTED,
    ADMITTED,
    ATTEMPT,
    ATTENDED,
    BEGUN,
    COMPUTED,
    DECODE,
    DECODING,
    DONE,
    DOWN,
    DUE,
    EPOCH,
    FOUND,
    FREE,
    GENERATED,
    HEAD,
    HEAP,
    HELD,
    LENGTH,
    LIVE,
    MADE_FROM,
    MADE_TO,
    N0,
    PROMPT,
    PROMPTS,
    REPLICA,
    REQUEST,
    RUNNING,
    STACK,
    STARTING,
    STEP,
    STEPPING,
    USED,
    WAITING,
    WHERE,
)  # fmt: skip
from rollcast.simulator.engines.compiled.visits import NEVER, breaks, enter, fail, finish, leave, note_queue, slowed

_BY_WAITING, _TURNS = BALANCES.index("waiting"), BALANCES.index("turns")


@lean
def serve_llm(net: Net, state: EngineState, s: int, until: float) -> None:
    """Everything that happens at an llm station before `until`."""
    sort(state.inbox_t[s], state.inbox_r[s], state.inbox_n[s])
    line, taken, arrivals = net.llm[s], 0, state.inbox_n[s]
    tracked = len(net.change_at) > 0
    earliest = min(net.overhead[s], net.timeout[s])  # before that, no replica can know that a request came
    while True:
        change = _next_change(net, state, s) if tracked else NEVER
        hit = state.ends_t[s, 0] if state.ends_n[s] else NEVER
        arrival = state.inbox_t[s, taken] if taken < arrivals else NEVER
        again = state.again_t[s, 0] if state.again_n[s] else NEVER
        held = state.held_t[line, state.held_head[line]] if state.held_n[line] else NEVER
        due = _next_due(state, line)
        other = min(change, hit, arrival, again, held, due)
        r, step, starting = _next_step(net, state, s, line)
        t = min(other, step)
        if not t < until:
            break
        if change == t:
            _change(net, state, s, line, t)
        elif not starting and step == t:
            limit = min(change, held, due, until, min(arrival, again) + earliest)
            if not _glide(net, state, s, line, r, limit):
                _end(net, state, s, line, r, t)
                _step(net, state, s, line, r, t)
        elif hit == t:
            g = state.ends_r[s, 0]
            pop(state.ends_t[s], state.ends_r[s], state.ends_s[s], state.ends_n[s])
            state.ends_n[s] -= 1
            leave(net, state, g, net.step_of[state.path[g], s], t, True, np.nan)
        elif arrival == t or again == t or held == t:
            taken += _come(net, state, s, line, t, taken, arrival, again, held)
        elif due == t:
            _late(net, state, s, line, t)
        else:
            state.replica[line, r, STARTING] = 0
            _step(net, state, s, line, r, t)
    state.inbox_n[s] = 0


@lean
def _next_step(net: Net, state: EngineState, s: int, line: int) -> tuple[int, float, bool]:
    """The replica whose step ends, or starts, next. Ends come before starts."""
    best, time, starting = 0, NEVER, False
    for r in range(net.servers[s]):
        if state.replica[line, r, STEPPING] == 1:
            t, new = state.step_end[line, r], state.replica[line, r, STARTING] == 1
            if t < time or (t == time and starting and not new):
                best, time, starting = r, t, new
    return best, time, starting


@lean
def _glide(net: Net, state: EngineState, s: int, line: int, r: int, limit: float) -> bool:
    """Does the steps that end before `limit`, give each decoding sequence a token, and nothing else: were there any?

    No other replica can know when they happen, nor do they depend on what another does: a request that ends there
    leaves for another station, unless a fault makes it fail and come again.
    """
    own = state.replica[line, r]
    slow = len(net.slow_station) > 0
    if own[PROMPTS] > 0 or own[BEGUN] >= 0 or (own[LIVE] > 0 and own[RUNNING] < net.sequences[s]):
        return False
    if state.aborted_n[line] or (slow and net.attempts[s] > 1):
        return False
    decoding, attended, end, busy = own[DECODING], own[ATTENDED], state.step_end[line, r], state.stepped_s[line, r]
    most = min(state.finish[line, r, 0, 0] - own[DONE] - 1, (net.kv[s] - own[USED]) // decoding - 1)
    fixed, token_s = net.step[s, 0] + net.step[s, 2] * decoding, net.step[s, 3]
    roof = max(net.step[s, 5], net.step[s, 6] * decoding)
    steps = 0
    while steps < most and end < limit:
        steps += 1
        attended += decoding
        took = fixed + token_s * attended + roof
        if slow:
            took = slowed(net, s, end, took)
        busy += took
        end += took
    own[DONE] += steps
    own[USED] += steps * decoding
    own[ATTENDED] = attended
    state.step_end[line, r], state.stepped_s[line, r] = end, busy
    return steps > 0


@lean
def _come(
    net: Net, state: EngineState, s: int, line: int, t: float, taken: int, arrival: float, again: float, held: float
) -> int:
    """Who comes at this moment: first those whose overhead is over, then the request with the lowest number."""
    none = 1 << 62
    new: int = state.inbox_r[s, taken] if arrival == t else none
    old: int = state.again_r[s, 0] if again == t else none
    if held == t:
        slot = state.held[line, state.held_head[line]]
        state.held_head[line] = (state.held_head[line] + 1) % state.held.shape[1]
        state.held_n[line] -= 1
        _queue(net, state, s, line, slot, t)
        return 0
    if old <= new:
        pop(state.again_t[s], state.again_r[s], state.again_x[s], state.again_n[s])
        state.again_n[s] -= 1
        _arrive(net, state, s, line, old, t)
        return 0
    _arrive(net, state, s, line, new, t)
    return 1


@lean
def _arrive(net: Net, state: EngineState, s: int, line: int, g: int, t: float) -> None:
    k = net.step_of[state.path[g], s]
    if enter(net, state, s, g, k, t):
        return
    row = state.row[g]
    given, made = max(net.input_tokens[row], 1), max(net.output_tokens[row], 1)
    most = net.kv[s]
    if net.chunked[s] == 0:
        most = min(most, net.batched[s])
    if given + made > most:
        fail(net, state, s, g, k, t)
        return
    state.spare_n[line] -= 1
    slot = state.spare[line, state.spare_n[line]]
    mine = state.slot[line, slot]
    mine[REQUEST], mine[STEP], mine[DUE], mine[GENERATED], mine[COMPUTED] = g, k, made, 0, 0
    mine[WHERE], mine[ABORTED], mine[REPLICA], mine[ADMITTED] = HELD, 0, -1, 0
    mine[FOUND], mine[MADE_FROM], mine[MADE_TO], mine[ATTEMPT] = 0, 0, 0, state.attempt[g, k]
    state.slot_first[line, slot] = np.nan
    if net.timeout[s] < NEVER:
        if state.due_n[line] == state.due.shape[1]:
            _compact_due(state, line)
        i = (state.due_head[line] + state.due_n[line]) % state.due.shape[1]
        state.due_t[line, i], state.due[line, i], state.due_epoch[line, i] = t + net.timeout[s], slot, mine[EPOCH]
        state.due_n[line] += 1
    if net.overhead[s] > 0:
        i = (state.held_head[line] + state.held_n[line]) % state.held.shape[1]
        state.held_t[line, i], state.held[line, i] = t + net.overhead[s], slot
        state.held_n[line] += 1
    else:
        _queue(net, state, s, line, slot, t)


@lean
def _queue(net: Net, state: EngineState, s: int, line: int, slot: int, t: float) -> None:
    """To the replica that `balance` says."""
    mine = state.slot[line, slot]
    if mine[ABORTED] == 1:
        _free(state, line, slot)
        return
    best, fewest = -1, 1 << 62
    for r in range(net.servers[s]):
        load = state.replica[line, r, RUNNING]
        if net.balance[s] == _TURNS:
            load = (r - state.turn[line]) % net.servers[s]
        else:
            load += state.replica[line, r, LIVE] * (4 if net.balance[s] == _BY_WAITING else 1)
        if state.replica[line, r, DOWN] == 0 and load < fewest:
            best, fewest = r, load
    if best < 0:
        g, k = mine[REQUEST], mine[STEP]
        _free(state, line, slot)
        fail(net, state, s, g, k, t)
        return
    state.turn[line] = (best + 1) % net.servers[s]
    mine[WHERE], mine[REPLICA] = WAITING, best
    own = state.replica[line, best]
    room = state.waiting.shape[2]
    state.waiting[line, best, (own[HEAD] + own[LENGTH]) % room] = slot
    own[LENGTH] += 1
    own[LIVE] += 1
    if own[STEPPING] == 0:
        own[STEPPING], own[STARTING] = 1, 1
        state.step_end[line, best] = t
    _queue_changed(net, state, s, line, t)


@lean
def _free(state: EngineState, line: int, slot: int) -> None:
    state.slot[line, slot, WHERE] = FREE
    state.slot[line, slot, EPOCH] += 1
    state.spare[line, state.spare_n[line]] = slot
    state.spare_n[line] += 1


@lean
def _queue_changed(net: Net, state: EngineState, s: int, line: int, t: float) -> None:
    total = 0
    for r in range(net.servers[s]):
        total += state.replica[line, r, LIVE]
    note_queue(state, s, total, t)


@lean
def _next_due(state: EngineState, line: int) -> float:
    """The next timeout of a sequence that is still there."""
    while state.due_n[line]:
        i = state.due_head[line]
        slot = state.due[line, i]
        if state.slot[line, slot, EPOCH] == state.due_epoch[line, i] and state.slot[line, slot, ABORTED] == 0:
            due: float = state.due_t[line, i]
            return due
        state.due_head[line] = (i + 1) % state.due.shape[1]
        state.due_n[line] -= 1
    return NEVER


@lean
def _compact_due(state: EngineState, line: int) -> None:
    """Takes timeouts of sequences that are gone out of the ring."""
    room, kept = state.due.shape[1], 0
    for j in range(state.due_n[line]):
        i = (state.due_head[line] + j) % room
        slot, epoch, t = state.due[line, i], state.due_epoch[line, i], state.due_t[line, i]
        if state.slot[line, slot, EPOCH] == epoch and state.slot[line, slot, ABORTED] == 0:
            to = (state.due_head[line] + kept) % room
            state.due[line, to], state.due_epoch[line, to], state.due_t[line, to] = slot, epoch, t
            kept += 1
    state.due_n[line] = kept


@lean
def _late(net: Net, state: EngineState, s: int, line: int, t: float) -> None:
    """A request gave up: its replica forgets it at its next step."""
    slot = state.due[line, state.due_head[line]]
    state.due_head[line] = (state.due_head[line] + 1) % state.due.shape[1]
    state.due_n[line] -= 1
    mine = state.slot[line, slot]
    mine[ABORTED] = 1
    if mine[WHERE] != HELD:
        state.aborted[line, state.aborted_n[line]] = slot
        state.aborted_n[line] += 1
    fail(net, state, s, mine[REQUEST], mine[STEP], t)


# ---- one iteration --------------------------------------------------------------------------------


@lean
def _context(net: Net, state: EngineState, mine: Ints) -> int:
    """Tokens to be computed before a sequence's next token."""
    tokens: int = max(net.input_tokens[state.row[mine[REQUEST]]], 1) + mine[GENERATED]
    return tokens


@lean
def _decode(state: EngineState, own: Ints, line: int, r: int, slot: int) -> None:
    """From now on the sequence gets a token in each step."""
    mine = state.slot[line, slot]
    mine[WHERE], mine[N0] = DECODE, own[DONE]
    own[DECODING] += 1
    own[ATTENDED] += mine[COMPUTED]
    last = own[DONE] + mine[DUE] - mine[GENERATED]
    if own[HEAP] == state.finish.shape[2]:
        _purge(state, own, line, r)
    push_finish(state.finish[line, r], own[HEAP], last, mine[REQUEST], slot, mine[EPOCH])
    own[HEAP] += 1


@lean
def _purge(state: EngineState, own: Ints, line: int, r: int) -> None:
    """Takes sequences that are gone out of the heap."""
    heap, before, kept = state.finish[line, r], own[HEAP], 0
    for i in range(before):
        step, request, slot, epoch = heap[i, 0], heap[i, 1], heap[i, 2], heap[i, 3]
        if state.slot[line, slot, EPOCH] == epoch:
            push_finish(heap, kept, step, request, slot, epoch)
            kept += 1
    own[HEAP] = kept


@lean
def _settle(own: Ints, mine: Ints) -> None:
    """Takes a decoding sequence out of its replica's sums, its counts brought up to now."""
    steps = own[DONE] - mine[N0]
    mine[GENERATED] += steps
    mine[COMPUTED] += steps
    own[DECODING] -= 1
    own[ATTENDED] -= mine[COMPUTED]


@lean
def _step(net: Net, state: EngineState, s: int, line: int, r: int, t: float) -> None:
    """Schedules one iteration and the end of it."""
    own = state.replica[line, r]
    if state.aborted_n[line]:
        _forget(net, state, s, line, r, t)
    if own[BEGUN] >= 0:
        mine = state.slot[line, own[BEGUN]]
        if mine[GENERATED] > 0 and mine[COMPUTED] == _context(net, state, mine) - 1:
            slot, own[BEGUN] = own[BEGUN], -1
            _decode(state, own, line, r, slot)
    own[PROMPTS] = 0
    _evict(net, state, s, line, r)
    preempted = False
    if own[USED] + own[DECODING] > net.kv[s]:
        preempted = True
        _make_room(net, state, s, line, r)
    prefill = before = 0
    if own[BEGUN] >= 0 or (own[LIVE] and not preempted):
        prefill, before = _prompts(net, state, s, line, r, t, preempted)
        _queue_changed(net, state, s, line, t)
    elif preempted:
        _queue_changed(net, state, s, line, t)
    if own[DECODING] == 0 and own[PROMPTS] == 0:
        own[STEPPING] = 0
        state.step_end[line, r] = NEVER
        return
    took = (
        net.step[s, 0] + net.step[s, 1] * prefill + net.step[s, 2] * own[DECODING] + net.step[s, 3] * own[ATTENDED]
        + net.step[s, 4] * before
    ) + max(net.step[s, 5], net.step[s, 6] * (prefill + own[DECODING]))  # fmt: skip
    took = slowed(net, s, t, took)
    state.stepped_s[line, r] += took
    state.step_end[line, r] = t + took


@lean
def _make_room(net: Net, state: EngineState, s: int, line: int, r: int) -> None:
    """Sends the sequences admitted last back to the queue until every decoding one has room for its next token."""
    own = state.replica[line, r]
    while own[USED] + own[DECODING] > net.kv[s]:
        slot = _last_admitted(state, line, r)
        mine = state.slot[line, slot]
        if mine[WHERE] == DECODE:
            _settle(own, mine)
        else:
            own[BEGUN] = -1
        _give_back(net, state, s, line, r, mine)
        own[RUNNING] -= 1
        mine[COMPUTED], mine[WHERE] = 0, WAITING
        mine[EPOCH] += 1
        _rename_due(state, line, slot)
        own[HEAD] = (own[HEAD] - 1) % state.waiting.shape[2]
        state.waiting[line, r, own[HEAD]] = slot
        own[LENGTH] += 1
        own[LIVE] += 1


@lean
def _rename_due(state: EngineState, line: int, slot: int) -> None:
    """The timeout of a preempted sequence stays: it is known by the sequence's new epoch."""
    room, epoch = state.due.shape[1], state.slot[line, slot, EPOCH]
    for j in range(state.due_n[line]):
        i = (state.due_head[line] + j) % room
        if state.due[line, i] == slot and state.due_epoch[line, i] == epoch - 1:
            state.due_epoch[line, i] = epoch
            return


@lean
def _last_admitted(state: EngineState, line: int, r: int) -> int:
    """Takes the running sequence that was admitted last off the stack."""
    own = state.replica[line, r]
    while True:
        own[STACK] -= 1
        slot: int = state.stack[line, r, own[STACK], 0]
        epoch = state.stack[line, r, own[STACK], 1]
        if state.slot[line, slot, EPOCH] == epoch and state.slot[line, slot, WHERE] >= PROMPT:
            return slot


@lean
def _prompts(net: Net, state: EngineState, s: int, line: int, r: int, t: float, preempted: bool) -> tuple[int, int]:
    """Which prompts get how many tokens: tokens in all, and the sum over them of the tokens before each."""
    own = state.replica[line, r]
    budget = net.batched[s] - own[DECODING]
    room = net.kv[s] - own[USED] - own[DECODING]
    prefill = before = 0
    if own[BEGUN] >= 0:
        slot = own[BEGUN]
        mine = state.slot[line, slot]
        rest = _context(net, state, mine) - mine[COMPUTED]
        chunk = min(rest, budget, room)
        if chunk > 0:
            _give(state, line, r, slot, chunk)
            prefill += chunk
            before += chunk * mine[COMPUTED] + chunk * (chunk - 1) // 2
            budget -= chunk
            room -= chunk
        if chunk < rest:
            return prefill, before
    while own[LIVE] and not preempted and budget > 0 and own[RUNNING] < net.sequences[s]:
        slot = _first_waiting(state, line, r)
        mine = state.slot[line, slot]
        known, taken = _known(net, state, s, line, r, mine)
        rest = _context(net, state, mine) - known
        chunk = min(rest, budget)
        if taken + (rest if net.whole[s] == 1 else chunk) > room or (chunk < rest and net.chunked[s] == 0):
            break
        own[HEAD] = (own[HEAD] + 1) % state.waiting.shape[2]
        own[LENGTH] -= 1
        own[LIVE] -= 1
        _admit(net, state, s, line, r, slot, known, taken, t)
        _give(state, line, r, slot, chunk)
        prefill += chunk
        before += chunk * known + chunk * (chunk - 1) // 2
        budget -= chunk
        room -= taken + chunk
        if chunk < rest:
            own[BEGUN] = slot
            break
    return prefill, before


@lean
def _first_waiting(state: EngineState, line: int, r: int) -> int:
    """The head of the queue. Sequences that gave up are skipped and freed here."""
    own = state.replica[line, r]
    while True:
        slot: int = state.waiting[line, r, own[HEAD]]
        if state.slot[line, slot, ABORTED] == 0:
            return slot
        own[HEAD] = (own[HEAD] + 1) % state.waiting.shape[2]
        own[LENGTH] -= 1
        _free(state, line, slot)


@lean
def _give(state: EngineState, line: int, r: int, slot: int, chunk: int) -> None:
    own = state.replica[line, r]
    state.prompt[line, r, own[PROMPTS], 0], state.prompt[line, r, own[PROMPTS], 1] = slot, chunk
    own[PROMPTS] += 1


@lean
def _admit(
    net: Net, state: EngineState, s: int, line: int, r: int, slot: int, known: int, taken: int, t: float
) -> None:
    own, mine = state.replica[line, r], state.slot[line, slot]
    mine[COMPUTED], mine[WHERE] = known, PROMPT
    own[USED] += taken
    own[RUNNING] += 1
    if mine[ADMITTED] == 0:
        mine[ADMITTED] = 1
        state.start[mine[REQUEST], mine[STEP]] = t
        state.uses[mine[REQUEST], mine[STEP]] += 1
    if own[STACK] > 2 * own[RUNNING] + 32:
        _compact(state, line, r)
    state.stack[line, r, own[STACK], 0], state.stack[line, r, own[STACK], 1] = slot, mine[EPOCH]
    own[STACK] += 1
    if net.shared[s] == 1:
        hold_blocks(net, state, line, r, mine, known)
    elif known:
        use_apart(net, state, line, r, mine)


@lean
def _compact(state: EngineState, line: int, r: int) -> None:
    """Takes entries of sequences that are gone out of the stack."""
    own, kept = state.replica[line, r], 0
    for i in range(own[STACK]):
        slot, epoch = state.stack[line, r, i, 0], state.stack[line, r, i, 1]
        if state.slot[line, slot, EPOCH] == epoch and state.slot[line, slot, WHERE] >= PROMPT:
            state.stack[line, r, kept, 0], state.stack[line, r, kept, 1] = slot, epoch
            kept += 1
    own[STACK] = kept


@lean
def _end(net: Net, state: EngineState, s: int, line: int, r: int, t: float) -> None:
    """The iteration is over: tokens are there, and who has its last one leaves, in order of request."""
    own = state.replica[line, r]
    own[DONE] += 1
    own[USED] += own[DECODING]
    own[ATTENDED] += own[DECODING]
    for i in range(own[PROMPTS]):
        slot, chunk = state.prompt[line, r, i, 0], state.prompt[line, r, i, 1]
        mine = state.slot[line, slot]
        mine[COMPUTED] += chunk
        own[USED] += chunk
        if mine[COMPUTED] == _context(net, state, mine):
            if own[BEGUN] == slot:
                own[BEGUN] = -1
            if net.shared[s] == 1:
                keep_blocks(net, state, line, r, mine)
            keep_apart(net, state, s, line, r, mine)
            if mine[GENERATED] == 0:
                state.slot_first[line, slot] = t
            mine[GENERATED] += 1
            _decode(state, own, line, r, slot)
    own[PROMPTS] = 0
    _evict(net, state, s, line, r)
    while own[HEAP] and state.finish[line, r, 0, 0] <= own[DONE]:
        slot, epoch = state.finish[line, r, 0, 2], state.finish[line, r, 0, 3]
        pop_finish(state.finish[line, r], own[HEAP])
        own[HEAP] -= 1
        mine = state.slot[line, slot]
        if mine[EPOCH] != epoch:
            continue
        _settle(own, mine)
        _give_back(net, state, s, line, r, mine)
        own[RUNNING] -= 1
        g, k, aborted, first = mine[REQUEST], mine[STEP], mine[ABORTED] == 1, state.slot_first[line, slot]
        _free(state, line, slot)
        if aborted:
            _unlist(state, line, slot)
        elif breaks(net, state, s, g, k):
            fail(net, state, s, g, k, t)
        else:
            finish(net, state, s, g, k, t, first)


@lean
def _unlist(state: EngineState, line: int, slot: int) -> None:
    for i in range(state.aborted_n[line]):
        if state.aborted[line, i] == slot:
            state.aborted_n[line] -= 1
            state.aborted[line, i] = state.aborted[line, state.aborted_n[line]]
            return


@lean
def _forget(net: Net, state: EngineState, s: int, line: int, r: int, t: float) -> None:
    """Sequences of this replica whose requests gave up make room."""
    own, kept, any_ = state.replica[line, r], 0, False
    if net.shared[s] == 1:
        _order_aborted(state, line)
    for i in range(state.aborted_n[line]):
        slot = state.aborted[line, i]
        mine = state.slot[line, slot]
        if mine[REPLICA] != r:
            state.aborted[line, kept], kept = slot, kept + 1
            continue
        any_ = True
        if mine[WHERE] == WAITING:
            own[LIVE] -= 1  # freed when it comes to the head of the queue
            continue
        if mine[WHERE] == DECODE:
            _settle(own, mine)
        else:
            own[BEGUN] = -1
        _give_back(net, state, s, line, r, mine)
        own[RUNNING] -= 1
        _free(state, line, slot)
    state.aborted_n[line] = kept
    if own[LIVE] == 0:
        while own[LENGTH]:
            _free(state, line, state.waiting[line, r, own[HEAD]])
            own[HEAD] = (own[HEAD] + 1) % state.waiting.shape[2]
            own[LENGTH] -= 1
    if any_:
        _queue_changed(net, state, s, line, t)


# ---- prefixes -------------------------------------------------------------------------------------


@lean
def _give_back(net: Net, state: EngineState, s: int, line: int, r: int, mine: Ints) -> None:
    """A sequence's key-value tokens are free, but for blocks that others hold."""
    own = state.replica[line, r]
    own[USED] -= mine[COMPUTED]
    if net.shared[s] == 1:
        own[USED] += net.block_tokens * release_blocks(net, state, line, r, mine)


@lean
def _evict(net: Net, state: EngineState, s: int, line: int, r: int) -> None:
    """Blocks that nobody holds make room for what is held."""
    if net.shared[s] == 1:
        evict_blocks(state, line, r, net.block_tokens, net.kv[s] - state.replica[line, r, USED])


@lean
def _order_aborted(state: EngineState, line: int) -> None:
    """By request and attempt: the order in which blocks are released decides which are forgotten first."""
    listed = state.aborted[line]
    for i in range(1, state.aborted_n[line]):
        slot, j = listed[i], i - 1
        request, attempt = state.slot[line, slot, REQUEST], state.slot[line, slot, ATTEMPT]
        while j >= 0:
            other = state.slot[line, listed[j]]
            if other[REQUEST] < request or (other[REQUEST] == request and other[ATTEMPT] <= attempt):
                break
            listed[j + 1] = listed[j]
            j -= 1
        listed[j + 1] = slot


@lean
def _known(net: Net, state: EngineState, s: int, line: int, r: int, mine: Ints) -> tuple[int, int]:
    """Prompt tokens whose keys and values are kept from earlier prompts, and the room that using them takes."""
    if net.shared[s] == 1:
        return known_blocks(net, state, line, r, mine, _context(net, state, mine) - 1)
    if net.prefix[s] < 0:
        return 0, 0
    first, last = blocks_of(net, state.row[mine[REQUEST]])
    known = 0
    for i in range(first, last):
        if state.prefix_in[line, r, net.blocks[i]] == 0:
            break
        known += net.block_tokens
    known = min(known, _context(net, state, mine) - 1)
    return known, known


# ---- loss of replicas -----------------------------------------------------------------------------


@lean
def _change(net: Net, state: EngineState, s: int, line: int, t: float) -> None:
    down = net.change_down[state.change[s]]
    state.change[s] += 1
    lost, count = state.lost[line], 0
    for r in range(net.servers[s]):
        own = state.replica[line, r]
        if r >= down:
            own[DOWN] = 0
        elif own[DOWN] == 0:
            count = _lose(state, line, r, lost, count)
    while count:
        first = 0
        for i in range(count):
            if state.slot[line, lost[i], REQUEST] < state.slot[line, lost[first], REQUEST]:
                first = i
        slot, count = lost[first], count - 1
        lost[first] = lost[count]
        g, k = state.slot[line, slot, REQUEST], state.slot[line, slot, STEP]
        _free(state, line, slot)
        fail(net, state, s, g, k, t)


@lean
def _lose(state: EngineState, line: int, r: int, lost: Ints, count: int) -> int:
    """A replica is gone with everything in it: adds its sequences to `lost`."""
    own = state.replica[line, r]
    for i in range(own[STACK]):
        slot, epoch = state.stack[line, r, i, 0], state.stack[line, r, i, 1]
        if state.slot[line, slot, EPOCH] == epoch and state.slot[line, slot, WHERE] >= PROMPT:
            count = _drop(state, line, slot, lost, count)
    for i in range(own[LENGTH]):
        slot = state.waiting[line, r, (own[HEAD] + i) % state.waiting.shape[2]]
        count = _drop(state, line, slot, lost, count)
    own[:] = 0
    own[BEGUN], own[DOWN] = -1, 1
    state.step_end[line, r] = NEVER
    state.prefix_in[line, r, :] = 0
    state.prefix_held[line, r, :] = 0
    state.prefix_n[line, r] = 0
    anchor = state.prefix_newer.shape[2] - 1
    state.prefix_newer[line, r, anchor], state.prefix_older[line, r, anchor] = anchor, anchor
    return count


@lean
def _drop(state: EngineState, line: int, slot: int, lost: Ints, count: int) -> int:
    if state.slot[line, slot, ABORTED] == 1:
        _unlist(state, line, slot)
        _free(state, line, slot)
        return count
    lost[count] = slot
    return count + 1
