"""Sends requests to a service as users do: each when it is due, whether or not the ones before are answered.

A load of an example says what its users send (`Due`), and `main` sends it: `python load.py --endpoint URL`. It prints
one line of JSON: how many requests were sent, what became of them, and which releases served them. Ended by SIGTERM
it sends no more, waits for the answers that are still to come, and prints that line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import aiohttp

MOST_OUTSTANDING = 128
TIMEOUT_S = 60


@dataclass(frozen=True)
class Due:
    """A request: seconds after the start at which it is sent, its JSON body, its headers."""

    at_s: float
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


def repeated(recorded: Sequence[Due], speedup: float) -> Iterator[Due]:
    """A recording, over and over without end, `speedup` times as fast."""
    for lap in count():
        for due in recorded:
            yield Due((due.at_s + lap * recorded[-1].at_s) / speedup, due.body, due.headers)


async def replay(
    endpoint: str, path: str, requests: Iterable[Due], seconds: float, most: int = MOST_OUTSTANDING
) -> dict[str, object]:
    """Open loop: a slow answer never delays the next request.

    A request that is due while `most` wait for their answers is not sent, and counted as shed.
    """
    statuses: Counter[str] = Counter()
    releases: Counter[str] = Counter()
    tasks: set[asyncio.Task[None]] = set()
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    async with aiohttp.ClientSession(endpoint, timeout=aiohttp.ClientTimeout(TIMEOUT_S)) as client:

        async def send(due: Due) -> None:
            try:
                async with client.post(path, json=due.body, headers=due.headers) as reply:
                    statuses[str(reply.status)] += 1
                    if reply.status == 200:
                        releases[str((await reply.json()).get("release"))] += 1
            except (aiohttp.ClientError, TimeoutError) as error:
                statuses[type(error).__name__] += 1

        began = time.monotonic()
        for due in requests:
            if due.at_s > seconds or over.is_set():
                break
            if (wait := began + due.at_s - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            if len(tasks) >= most:
                statuses["shed"] += 1
                continue
            task = asyncio.create_task(send(due))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        if tasks:
            await asyncio.wait(tasks)
    return {"requests": sum(statuses.values()), "statuses": dict(statuses), "releases": dict(releases)}


def main(
    about: str | None,
    path: str,
    recorded: Callable[[int], Sequence[Due]],
    speedup: float = 1.0,
    most: int = MOST_OUTSTANDING,
) -> None:
    """The command line of a load. `recorded`: for a seed, the requests that are repeated; `most`: how many may wait."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--endpoint", default="http://127.0.0.1:8787")
    parser.add_argument("--speedup", type=float, default=speedup)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    requests = repeated(recorded(options.seed), options.speedup)
    print(json.dumps(asyncio.run(replay(options.endpoint, path, requests, options.seconds, most))))
