"""Rollouts on a fleet of replicas of both kits while these are killed, restarted, suspended and cut off.

The same harness as `tests/fleet`, with more schedules: half of them on a fleet whose replicas the driver asks at their
addresses, half on one that it knows by two relays, both at once. Needs the engine, haproxy and Node; a schedule takes
about half a minute. Each verdict is printed on standard error as soon as it is there. First, chats and streams of two
minutes are carried across one rollout.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from tests.fleet.conversations import Conversations, converse
from tests.fleet.schedules import Verdict, run, schedule
from tests.fleet.site import Fleet

SCHEDULES = 200
REPLICAS = 8
RELAYS = (0, 2)  # of each fleet
STREAM_S = 120.0


def section(scale: float) -> str:
    """The part of the validation page."""
    each = max(1, round(SCHEDULES * scale / len(RELAYS)))
    spoken = conversations(STREAM_S if scale >= 1 else STREAM_S * max(scale, 0.2))
    began = time.monotonic()
    with ThreadPoolExecutor(len(RELAYS)) as pool:
        verdicts = list(pool.map(lambda relays: measured(each, relays), RELAYS))
    return worded(dict(zip(RELAYS, verdicts, strict=True)), time.monotonic() - began) + "\n" + in_words(spoken)


def worded(by_relays: dict[int, list[Verdict]], took_s: float) -> str:
    """What the verdicts come to; those of a fleet are of its seeds in order, from 0."""
    verdicts = [verdict for found in by_relays.values() for verdict in found]
    kinds = Counter(
        each.kind
        for relays, found in by_relays.items()
        for seed in range(len(found))
        for each in schedule(seed, REPLICAS, relays)
    )
    wrong = [text for verdict in verdicts for text in verdict.wrong]
    others = [text for text in wrong if not text.startswith(("mixed", "lost"))]
    problems = "".join(f"\n- {' '.join(text.split())[:300]}" for text in wrong[:10])
    less = f" of the {SCHEDULES} of a whole run" if len(verdicts) < SCHEDULES else ""
    return _TEXT.format(
        count=len(verdicts), less=less, replicas=REPLICAS, minutes=took_s / 60,
        split=" and ".join(f"{len(found)} {_KNOWN[relays]}" for relays, found in by_relays.items()),
        befell=", ".join(f"{_NAMES[kind]} {number}" for kind, number in sorted(kinds.items())),
        served=sum(verdict.served for verdict in verdicts), killed=sum(verdict.killed for verdict in verdicts),
        mixed=sum(text.startswith("mixed") for text in wrong), lost=sum(text.startswith("lost") for text in wrong),
        again=sum(verdict.tries > 1 for verdict in verdicts), others=len(others),
        problems=f"\n\nFound:\n{problems}" if problems else "",
    )  # fmt: skip


def conversations(stream_s: float) -> Conversations:
    """One rollout on two replicas, each of which streams for so long."""
    folder = Path(tempfile.mkdtemp(prefix="rollcast-fleet-"))
    try:
        with Fleet(folder / "project", replicas=2, session_s=8) as fleet:
            fleet.first_release()
            found = converse(fleet, {"node": stream_s, "python": stream_s})
            if found.code:
                raise RuntimeError(found.output + fleet.logs())
            return found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def in_words(found: Conversations) -> str:
    """What became of chats and streams."""
    return _SPOKEN.format(
        streams=len(found.streamed), whole=len(found.whole), took=found.ended_at - found.began,
        chats=len(found.generations), across=len(found.across), changed=len(found.changed), wrong=len(found.wrong),
        longest=max(each.ended_at for each in found.streamed) - found.began,
    )  # fmt: skip


def measured(count: int, relays: int) -> list[Verdict]:
    """One fleet, and a rollout for each of so many schedules, back and forth between two versions."""
    folder = Path(tempfile.mkdtemp(prefix="rollcast-fleet-"))
    try:
        with Fleet(folder / "project", REPLICAS, relays) as fleet:
            fleet.first_release()
            return [_report(run(fleet, seed, 2 - seed % 2), seed, relays) for seed in range(count)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _report(verdict: Verdict, seed: int, relays: int) -> Verdict:
    sys.stderr.write(json.dumps({"seed": seed, "relays": relays, **asdict(verdict)}) + "\n")
    return verdict


_KNOWN = {0: "on a fleet that is called at its addresses", 2: "on one that two relays know"}
_NAMES = {
    "kill": "killed", "restart": "restarted", "suspend": "suspended", "refused": "cut off and refused",
    "silent": "cut off in silence", "relay": "a relay killed", "unseen": "relays out of the driver's sight",
}  # fmt: skip
_TEXT = """## A fleet in trouble

{count} rollouts{less} ({split}; about {minutes:.0f} min) on
{replicas} replicas, each a process of its own behind haproxy, half of them on the Python kit and half on the TypeScript
kit, back and forth between two versions whose components must be of one generation. While each goes on, one to five
replicas are killed, restarted, suspended or cut off from what controls them for up to three seconds, and now and then
the relays too:
{befell}.
Twelve callers never stop: short requests, chats, streams of up to six seconds.

| requests served | by a broken mix | lost | ended with a killed process | rollouts that needed `--resume` | other |
| ---: | ---: | ---: | ---: | ---: | ---: |
| {served:,} | {mixed} | {lost} | {killed} | {again} | {others} |

A request that ended with a killed process is one whose caller saw its connection break while a process was killed, or
within a second of it.{problems}
"""
_SPOKEN = """### Chats and long streams

One rollout on two replicas, one on each kit. When it began, each replica had just begun a stream; the last of them
ended {longest:.0f} s later and the rollout, which drains what it replaces, after {took:.0f} s. Six people chatted
meanwhile. A whole stream is served by the old release to its end, and waited for.

| streams | whole | chats | with turns on both kits | that changed release | failed turns |
| ---: | ---: | ---: | ---: | ---: | ---: |
| {streams} | {whole} | {chats} | {across} | {changed} | {wrong} |
"""
