"""Replays the recorded trace against the service: arrival times and token counts are real; users, regions and
questions are synthetic, decided by a hash of (seed, row). One question in six is about code that executes text, which
the safety policy must withhold.

Run: python load.py --speedup 30 [--seconds 60] [--seed 1]. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from itertools import count
from pathlib import Path

import aiohttp

from dataplane.safety import violates
from tools.corpus import standard_library
from tools.questions import questions, share

TRACE = Path(__file__).parent / "traffic" / "AzureLLMInferenceTrace_conv.csv"
USERS = 20_000
WAITING = 256
REGIONS = ("eu", "us", "asia")
PROBING = 1 / 6
MOST_OUTSTANDING = 128


def rows(seed: int) -> list[tuple[float, dict[str, object]]]:
    """Seconds since the first arrival, and the request."""
    documents = standard_library()
    pool = questions(documents, seed)
    forbidden = {document.id for document in documents if violates(document.text)}
    probing = [question for question in pool if question.relevant in forbidden]
    found = []
    first = None
    with TRACE.open(newline="") as file:
        for row, line in enumerate(csv.DictReader(file)):
            at = datetime.fromisoformat(line["TIMESTAMP"][:26]).timestamp()
            first = at if first is None else first
            drawn_from = probing if share(seed, "probing", row) < PROBING else pool
            question = drawn_from[int(share(seed, "question", row) * len(drawn_from))]
            body = {
                "key": f"user-{int(share(seed, 'user', row) * USERS)}",
                "query": question.query,
                "relevant": question.relevant,
                "attributes": {"region": REGIONS[int(share(seed, "region", row) * len(REGIONS))]},
                "input_tokens": int(line["ContextTokens"]),
                "output_tokens": int(line["GeneratedTokens"]),
            }
            found.append((at - first, body))
    return found


async def replay(endpoint: str, speedup: float, seconds: float, seed: int) -> dict[str, object]:
    """Open loop: a slow answer never delays the next request. The trace is repeated until the time is over.

    A request that is due while MOST_OUTSTANDING wait for their answers is not sent, and counted as shed.
    """
    statuses: Counter[str] = Counter()
    releases: Counter[str] = Counter()
    tasks: set[asyncio.Task[None]] = set()
    trace = rows(seed)
    async with aiohttp.ClientSession(endpoint, timeout=aiohttp.ClientTimeout(10)) as client:

        async def send(body: dict[str, object]) -> None:
            try:
                async with client.post("/query", json=body) as reply:
                    statuses[str(reply.status)] += 1
                    releases[str((await reply.json()).get("release"))] += 1
            except (aiohttp.ClientError, TimeoutError) as error:
                statuses[type(error).__name__] += 1

        began = time.monotonic()
        for due, body in repeated(trace, speedup):
            if due > seconds:
                break
            if (wait := began + due - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            if len(tasks) >= MOST_OUTSTANDING:
                statuses["shed"] += 1
                continue
            task = asyncio.create_task(send(body))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        if tasks:
            await asyncio.wait(tasks)
    return {"requests": sum(statuses.values()), "statuses": dict(statuses), "releases": dict(releases)}


def repeated(trace: list[tuple[float, dict[str, object]]], speedup: float) -> Iterator[tuple[float, dict[str, object]]]:
    """Seconds since the start at which each request is due, without end."""
    for lap in count():
        for at, body in trace:
            yield (at + lap * trace[-1][0]) / speedup, body


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoint", default="http://127.0.0.1:8787")
    parser.add_argument("--speedup", type=float, default=30.0)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(json.dumps(asyncio.run(replay(options.endpoint, options.speedup, options.seconds, options.seed))))


if __name__ == "__main__":
    main()
