"""Independent pieces of work on all cores, or on whatever joblib backend is chosen, with progress and Ctrl-C.

Each piece is a function of its number alone, so results do not depend on how many workers there are, on their order, or
on the backend: `with joblib.parallel_config("ray")` spreads them over a Ray cluster.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import joblib

from rollcast.simulator.stations.custom import load_again, loaded

Result = TypeVar("Result")
_BATCHES = 12  # for each worker: enough for progress, few enough to cost nothing
_WORTH = 8  # fewer pieces are done before other processes have started


@dataclass
class PieceResults(Generic[Result]):
    """Results by number of the piece; `interrupted` when Ctrl-C came before the last."""

    results: dict[int, Result] = field(default_factory=dict)
    interrupted: bool = False


def workers_of(workers: int | None) -> int:
    """How many workers to use: all cores that this process may use by default."""
    return max(1, workers if workers is not None else len(os.sched_getaffinity(0)))


def work(
    function: Callable[[int], Result], pieces: Sequence[int], workers: int | None, emit: Callable[[int], None]
) -> PieceResults[Result]:
    """`function` of every piece. `emit` is called with how many are done."""
    done: PieceResults[Result] = PieceResults()
    try:
        for batch in _each(function, pieces, workers_of(workers)):
            done.results.update(batch)
            emit(len(done.results))
    except KeyboardInterrupt:
        if not done.results:
            raise
        done.interrupted = True
    return done


def _each(function: Callable[[int], Result], pieces: Sequence[int], workers: int) -> Iterator[list[tuple[int, Result]]]:
    backend, _ = joblib.parallel.get_active_backend()
    elsewhere = type(backend).__name__ not in ("LokyBackend", "ThreadingBackend", "SequentialBackend")
    if not elsewhere and (workers == 1 or len(pieces) < _WORTH):
        for piece in pieces:
            yield [(piece, function(piece))]
        return
    size = max(1, -(-len(pieces) // (workers * _BATCHES)))
    batches = [pieces[i : i + size] for i in range(0, len(pieces), size)]
    packed = pickle.dumps((loaded(), pickle.dumps(function)))  # stations must be known before profiles are unpacked
    streams = bool(getattr(backend, "supports_return_generator", False))  # Ray's gives all results at the end
    parallel = joblib.Parallel(
        n_jobs=workers, return_as="generator_unordered" if streams else "list", batch_size=1, pre_dispatch="2*n_jobs"
    )
    yield from parallel(joblib.delayed(_batch)(packed, batch) for batch in batches)


_unpacked: dict[bytes, Callable[[int], object]] = {}


def _batch(packed: bytes, pieces: Sequence[int]) -> list[tuple[int, object]]:
    """In a worker: the function is unpacked once, however many batches come."""
    if packed not in _unpacked:
        _unpacked.clear()
        stations, inner = pickle.loads(packed)  # made by `_each`, in this program
        load_again(stations)
        _unpacked[packed] = pickle.loads(inner)
    function = _unpacked[packed]
    return [(piece, function(piece)) for piece in pieces]
