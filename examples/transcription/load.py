"""Callers, as they are: each speaks into an open line, sound leaves as it is said, and partial transcripts come back.

What they say is the content of calls@1; who calls (MIX), when and from where is drawn from a seed. A caller calls once.
Run: python load.py --endpoint URL [--rate 4]. Ended by SIGTERM it lets the calls end and prints one line of JSON: what
became of them, and what callers saw: seconds to the first words, from the last sound to the answer, and the jitter.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from itertools import count, pairwise
from math import log
from pathlib import Path
from statistics import quantiles
from typing import Any

sys.path.append(str(Path(__file__).resolve().parent.parent))  # in a checkout, demos stands beside the examples

import aiohttp

from dataplane.service import BYTES_PER_SECOND, cases_of
from rollcast.stacks.artifacts.building import materialize
from rollcast.stacks.artifacts.recipes import definitions_of
from rollcast.stacks.project import Project
from tools.sentences import share
from tools.speech import drawn

PROJECT = Path(__file__).resolve().parent
CALLS = "calls@1"
MIX = {"us": 0.2, "british": 0.1, "scottish": 0.1, "west-midlands": 0.45, "caribbean": 0.1, "spanish": 0.05}
REGIONS = ("eu", "us")
CHUNK_S = 0.1
MOST_CALLS = 20
Case = tuple[dict[str, Any], bytes]


@dataclass
class Seen:
    """What callers saw."""

    statuses: Counter[str] = field(default_factory=Counter)
    releases: Counter[str] = field(default_factory=Counter)
    first_words_s: list[float] = field(default_factory=list)
    answer_s: list[float] = field(default_factory=list)
    jitter_s: list[float] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return {
            "requests": self.statuses.total(),
            "statuses": dict(self.statuses),
            "releases": dict(self.releases),
            **{
                name: dict(zip(("p50", "p95"), _half_and_most(getattr(self, name)), strict=True))
                for name in ("first_words_s", "answer_s", "jitter_s")
            },
        }


def _half_and_most(values: list[float]) -> tuple[float, float]:
    cuts = quantiles(values, n=20) if len(values) > 1 else [0.0] * 19
    return round(cuts[9], 3), round(cuts[18], 3)


def calls() -> list[Case]:
    """The recorded calls, built where they are not there yet."""
    project = Project.open(PROJECT)
    return list(cases_of(materialize(CALLS, definitions_of(project.declaration), project.digests, PROJECT)))


def arrivals(pool: list[Case], rate: float, seed: int) -> Iterator[tuple[float, dict[str, Any], bytes]]:
    """(seconds since the start, what the call says of itself, its sound), without end."""
    by_accent: dict[str, list[Case]] = {}
    for case in pool:
        by_accent.setdefault(case[0]["attributes"]["accent"], []).append(case)
    at, mix = 0.0, {accent: part for accent, part in MIX.items() if accent in by_accent}
    for number in count():
        at -= log(1 - share(seed, "gap", number)) / rate
        own = by_accent[drawn(mix, seed, "accent", number)]
        case, sound = own[int(share(seed, "call", number) * len(own))]
        region = REGIONS[int(share(seed, "region", number) * len(REGIONS))]
        about = {
            "key": f"caller-{seed}-{number}",
            "codec": case["codec"],
            "said": case["said"],
            "attributes": {**case["attributes"], "region": region},
        }
        yield at, about, sound


async def spoken(sound: bytes, codec: str) -> AsyncIterator[bytes]:
    """The sound of a call, each piece when it has been said."""
    size, began = int(BYTES_PER_SECOND[codec] * CHUNK_S), time.monotonic()
    for number, start in enumerate(range(0, len(sound), size), 1):
        await asyncio.sleep(max(0.0, began + number * CHUNK_S - time.monotonic()))
        yield sound[start : start + size]


async def ring(client: aiohttp.ClientSession, about: dict[str, Any], sound: bytes, seen: Seen) -> dict[str, Any]:
    """One call, and its answer: empty where there was none."""
    began, times, last = time.monotonic(), [], {}
    seconds = len(sound) / BYTES_PER_SECOND[about["codec"]]
    headers = {"x-call": json.dumps(about)}
    try:
        async with client.post("/transcribe", data=spoken(sound, about["codec"]), headers=headers) as reply:
            async for text in reply.content:
                times.append(time.monotonic() - began)
                last = json.loads(text)
            whole = reply.status != 200 or "transcript" in last
            seen.statuses[str(reply.status) if whole else "cut off"] += 1
    except (aiohttp.ClientError, TimeoutError) as error:
        seen.statuses[type(error).__name__] += 1
        return {}
    if "transcript" in last:
        seen.releases[str(last["release"])] += 1
        seen.first_words_s.append(times[0])
        seen.answer_s.append(times[-1] - seconds)
        waits = [after - before for before, after in pairwise(times[:-1])]
        seen.jitter_s.append(max(waits) - min(waits) if len(waits) > 1 else 0.0)
    return last


async def replay(endpoint: str, rate: float, seconds: float, seed: int) -> dict[str, Any]:
    """Open loop: a slow answer never delays the next call. With MOST_CALLS open a caller is shed, and counted."""
    seen, tasks, over = Seen(), set[asyncio.Task[Any]](), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    pool = calls()
    own_lines = aiohttp.TCPConnector(force_close=True, limit=0)  # each caller has a line of their own
    async with aiohttp.ClientSession(endpoint, timeout=aiohttp.ClientTimeout(20), connector=own_lines) as client:
        began = time.monotonic()
        for at, about, sound in arrivals(pool, rate, seed):
            if at > seconds or over.is_set():
                break
            if (wait := began + at - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            if len(tasks) >= MOST_CALLS:
                seen.statuses["shed"] += 1
                continue
            task = asyncio.create_task(ring(client, about, sound, seen))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        if tasks:
            await asyncio.wait(tasks)
    return seen.to_json()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoint", default="http://127.0.0.1:8787")
    parser.add_argument("--rate", type=float, default=4.0, help="calls a second")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(json.dumps(asyncio.run(replay(options.endpoint, options.rate, options.seconds, options.seed))))


if __name__ == "__main__":
    main()
