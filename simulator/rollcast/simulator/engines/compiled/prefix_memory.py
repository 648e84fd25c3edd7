"""Prefix blocks in the key-value memory itself, compiled. See `reference.prefix_memory`, whose results these are.

A block is known where `prefix_in` is 1, held by as many sequences as `prefix_held` says, and in the ring of free
blocks while nobody holds it. Where blocks are kept beside that memory (`prefix_tokens`), all of them are in the ring.
A sequence holds the blocks of its prompt up to FOUND, and those from MADE_FROM to MADE_TO.
"""

from __future__ import annotations

from rollcast.simulator.base.compiling import lean
from rollcast.simulator.base.draws import Ints
from rollcast.simulator.engines.compiled.layout import EngineState, Net
from rollcast.simulator.engines.compiled.slots import FOUND, MADE_FROM, MADE_TO, REQUEST


@lean
def blocks_of(net: Net, row: int) -> tuple[int, int]:
    """Where the whole blocks of a prompt are."""
    if len(net.block_start) == 0:
        return 0, 0
    first, last = net.block_start[row], net.block_start[row + 1]
    return first, min(last, first + net.input_tokens[row] // net.block_tokens)


@lean
def unlink_block(state: EngineState, line: int, r: int, block: int) -> None:
    newer, older = state.prefix_newer[line, r, block], state.prefix_older[line, r, block]
    state.prefix_newer[line, r, older], state.prefix_older[line, r, newer] = newer, older


@lean
def link_block(state: EngineState, line: int, r: int, block: int) -> None:
    anchor = state.prefix_newer.shape[2] - 1
    before = state.prefix_older[line, r, anchor]
    state.prefix_older[line, r, anchor], state.prefix_newer[line, r, block] = block, anchor
    state.prefix_older[line, r, block], state.prefix_newer[line, r, before] = before, block


@lean
def known_blocks(net: Net, state: EngineState, line: int, r: int, mine: Ints, most: int) -> tuple[int, int]:
    """(tokens of a prompt that need not be computed, at most `most`; room that holding them takes)."""
    first, last = blocks_of(net, state.row[mine[REQUEST]])
    known = room = 0
    for i in range(first, last):
        block = net.blocks[i]
        if known + net.block_tokens > most or state.prefix_in[line, r, block] == 0:
            break
        known += net.block_tokens
        if state.prefix_held[line, r, block] == 0:
            room += net.block_tokens
    return known, room


@lean
def hold_blocks(net: Net, state: EngineState, line: int, r: int, mine: Ints, known: int) -> None:
    """An admitted prompt holds the blocks of its `known` tokens."""
    first, _ = blocks_of(net, state.row[mine[REQUEST]])
    mine[FOUND] = known // net.block_tokens if known > 0 else 0
    for i in range(first, first + mine[FOUND]):
        block = net.blocks[i]
        if state.prefix_held[line, r, block] == 0:
            unlink_block(state, line, r, block)
            state.prefix_n[line, r] -= 1
        state.prefix_held[line, r, block] += 1


@lean
def keep_blocks(net: Net, state: EngineState, line: int, r: int, mine: Ints) -> None:
    """A prompt is computed: from its first block that nobody knows on, its blocks are known."""
    first, last = blocks_of(net, state.row[mine[REQUEST]])
    i = first + mine[FOUND]
    while i < last and state.prefix_in[line, r, net.blocks[i]] == 1:
        i += 1
    mine[MADE_FROM] = i - first
    while i < last and state.prefix_in[line, r, net.blocks[i]] == 0:
        state.prefix_in[line, r, net.blocks[i]] = 1
        state.prefix_held[line, r, net.blocks[i]] = 1
        i += 1
    mine[MADE_TO] = i - first


@lean
def release_blocks(net: Net, state: EngineState, line: int, r: int, mine: Ints) -> int:
    """A sequence is gone: how many of its blocks others still hold. Its tail is forgotten before its beginning."""
    first, _ = blocks_of(net, state.row[mine[REQUEST]])
    still = 0
    for i in range(first + mine[MADE_TO] - 1, first + mine[MADE_FROM] - 1, -1):
        still += _release(state, line, r, net.blocks[i])
    for i in range(first + mine[FOUND] - 1, first - 1, -1):
        still += _release(state, line, r, net.blocks[i])
    mine[FOUND] = mine[MADE_FROM] = mine[MADE_TO] = 0
    return still


@lean
def _release(state: EngineState, line: int, r: int, block: int) -> int:
    state.prefix_held[line, r, block] -= 1
    if state.prefix_held[line, r, block] > 0:
        return 1
    link_block(state, line, r, block)
    state.prefix_n[line, r] += 1
    return 0


@lean
def evict_blocks(state: EngineState, line: int, r: int, block_tokens: int, room: int) -> None:
    """Forgets free blocks until they take no more than `room` tokens."""
    anchor = state.prefix_newer.shape[2] - 1
    while state.prefix_n[line, r] > 0 and state.prefix_n[line, r] * block_tokens > room:
        oldest = state.prefix_newer[line, r, anchor]
        unlink_block(state, line, r, oldest)
        state.prefix_in[line, r, oldest] = 0
        state.prefix_n[line, r] -= 1


@lean
def use_apart(net: Net, state: EngineState, line: int, r: int, mine: Ints) -> None:
    """`prefix_tokens`: an admitted prompt makes the blocks that it finds the most recent."""
    first, last = blocks_of(net, state.row[mine[REQUEST]])
    for i in range(first, last):
        if state.prefix_in[line, r, net.blocks[i]] == 0:
            break
        unlink_block(state, line, r, net.blocks[i])
        link_block(state, line, r, net.blocks[i])


@lean
def keep_apart(net: Net, state: EngineState, s: int, line: int, r: int, mine: Ints) -> None:
    """`prefix_tokens`: the blocks of a computed prompt are kept, the least recently used make room."""
    if net.prefix[s] < 0:
        return
    first, last = blocks_of(net, state.row[mine[REQUEST]])
    for i in range(first, last):
        block = net.blocks[i]
        if state.prefix_in[line, r, block] == 1:
            unlink_block(state, line, r, block)
        else:
            state.prefix_in[line, r, block] = 1
            state.prefix_n[line, r] += 1
        link_block(state, line, r, block)
        if state.prefix_n[line, r] > net.prefix[s]:
            oldest = state.prefix_newer[line, r, state.prefix_newer.shape[2] - 1]
            unlink_block(state, line, r, oldest)
            state.prefix_in[line, r, oldest] = 0
            state.prefix_n[line, r] -= 1
