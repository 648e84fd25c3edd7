"""Rollouts on a fleet of replicas while these are killed, restarted and suspended: nothing mixed, nothing lost.

The same harness as `tests/fleet`, with more schedules. Needs the engine and haproxy; takes about a quarter of a minute
for each schedule.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.fleet.schedules import Verdict, run, schedule
from tests.fleet.site import Fleet

SCHEDULES = 200
REPLICAS = 8


def section(scale: float) -> str:
    """The part of the validation page."""
    count = max(1, round(SCHEDULES * scale))
    began = time.monotonic()
    verdicts = measured(count)
    kinds = Counter(each.kind for seed in range(count) for each in schedule(seed, REPLICAS))
    mixed = sum(text.startswith("mixed") for verdict in verdicts for text in verdict.wrong)
    lost = sum(text.startswith("lost") for verdict in verdicts for text in verdict.wrong)
    others = [text for verdict in verdicts for text in verdict.wrong if not text.startswith(("mixed", "lost"))]
    problems = "".join(f"\n- {' '.join(text.split())[:300]}" for text in others[:10])
    return _TEXT.format(
        count=count, replicas=REPLICAS, minutes=(time.monotonic() - began) / 60,
        befell=", ".join(f"{kind} {number}" for kind, number in sorted(kinds.items())),
        served=sum(verdict.served for verdict in verdicts), killed=sum(verdict.killed for verdict in verdicts),
        mixed=mixed, lost=lost, again=sum(verdict.tries > 1 for verdict in verdicts), others=len(others),
        problems=f"\n\nFound:\n{problems}" if problems else "",
    )  # fmt: skip


def measured(count: int) -> list[Verdict]:
    """One fleet, and a rollout for each of so many schedules, back and forth between two versions."""
    folder = Path(tempfile.mkdtemp(prefix="rollcast-fleet-"))
    try:
        with Fleet(folder / "project", REPLICAS) as fleet:
            fleet.declare(1)
            for words in (("lock",), ("apply", "--auto-approve", "--no-forecast")):
                done = fleet.rollcast(*words)
                if done.returncode:
                    raise AssertionError(f"{words[0]}: {done.stdout}{done.stderr}{fleet.logs()}")
            return [run(fleet, seed, 2 - seed % 2) for seed in range(count)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


_TEXT = """## A fleet in trouble

{count} rollouts (about {minutes:.0f} min) on {replicas} replicas, each a process of its own on the Python kit, behind
haproxy, back and forth between two versions whose components must be of one generation. While each goes on, one to five
replicas are killed, restarted or suspended for up to three seconds ({befell}),
and twelve callers never stop: short requests, chats, streams of up to six seconds.

| requests served | by a broken mix | lost | ended with a killed process | rollouts that needed `--resume` | other |
| ---: | ---: | ---: | ---: | ---: | ---: |
| {served:,} | {mixed} | {lost} | {killed} | {again} | {others} |

A request that ended with a killed process is one whose caller saw its connection break while a process was killed, or
within a second of it.{problems}
"""
