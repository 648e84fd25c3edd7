"""Heaps and sorts by (time, request): the order that an instant has in the reference's clock."""

from __future__ import annotations

import numpy as np

from rollcast.simulator.base.compiling import compiled, lean
from rollcast.simulator.base.draws import Floats, Ints


@lean
def push(times: Floats, requests: Ints, extra: Ints, count: int, time: float, request: int, more: int) -> None:
    """Adds to a binary heap of `count` entries; the caller counts."""
    i = count
    while i > 0:
        parent = (i - 1) >> 1
        t = times[parent]
        if t < time or (t == time and requests[parent] <= request):
            break
        times[i], requests[i], extra[i] = t, requests[parent], extra[parent]
        i = parent
    times[i], requests[i], extra[i] = time, request, more


@lean
def pop(times: Floats, requests: Ints, extra: Ints, count: int) -> None:
    """Takes the first entry out of a heap of `count` entries; the caller has read it, and counts."""
    last = count - 1
    time, request, more = times[last], requests[last], extra[last]
    i = 0
    while True:
        child = 2 * i + 1
        if child >= last:
            break
        right = child + 1
        if right < last and (
            times[right] < times[child] or (times[right] == times[child] and requests[right] < requests[child])
        ):
            child = right
        if time < times[child] or (time == times[child] and request <= requests[child]):
            break
        times[i], requests[i], extra[i] = times[child], requests[child], extra[child]
        i = child
    times[i], requests[i], extra[i] = time, request, more


@lean
def sort(times: Floats, requests: Ints, count: int) -> None:
    """Sorts by (time, request) in place. What several stations send is nearly in order, so insertion is tried first."""
    moves = 0
    for i in range(1, count):
        time, request = times[i], requests[i]
        j = i - 1
        while j >= 0 and (times[j] > time or (times[j] == time and requests[j] > request)):
            times[j + 1], requests[j + 1] = times[j], requests[j]
            j -= 1
        times[j + 1], requests[j + 1] = time, request
        moves += i - 1 - j
        if moves > 24 * count + 1024:
            _sort_all(times, requests, count)
            return


@compiled
def _sort_all(times: Floats, requests: Ints, count: int) -> None:
    by_request = np.argsort(requests[:count])
    t, r = times[:count][by_request], requests[:count][by_request]
    by_time = np.argsort(t, kind="mergesort")
    times[:count] = t[by_time]
    requests[:count] = r[by_time]


@lean
def push_finish(heap: Ints, count: int, step: int, request: int, slot: int, epoch: int) -> None:
    """Adds a sequence to a heap by (step of its last token, request); the caller counts."""
    i = count
    while i > 0:
        parent = (i - 1) >> 1
        if heap[parent, 0] < step or (heap[parent, 0] == step and heap[parent, 1] <= request):
            break
        heap[i, 0], heap[i, 1], heap[i, 2], heap[i, 3] = (
            heap[parent, 0], heap[parent, 1], heap[parent, 2], heap[parent, 3],
        )  # fmt: skip
        i = parent
    heap[i, 0], heap[i, 1], heap[i, 2], heap[i, 3] = step, request, slot, epoch


@lean
def pop_finish(heap: Ints, count: int) -> None:
    """Takes the first sequence out; the caller has read it, and counts."""
    last = count - 1
    step, request, slot, epoch = heap[last, 0], heap[last, 1], heap[last, 2], heap[last, 3]
    i = 0
    while True:
        child = 2 * i + 1
        if child >= last:
            break
        right = child + 1
        if right < last and (
            heap[right, 0] < heap[child, 0] or (heap[right, 0] == heap[child, 0] and heap[right, 1] < heap[child, 1])
        ):
            child = right
        if step < heap[child, 0] or (step == heap[child, 0] and request <= heap[child, 1]):
            break
        heap[i, 0], heap[i, 1], heap[i, 2], heap[i, 3] = heap[child, 0], heap[child, 1], heap[child, 2], heap[child, 3]
        i = child
    heap[i, 0], heap[i, 1], heap[i, 2], heap[i, 3] = step, request, slot, epoch
