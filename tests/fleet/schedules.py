"""Rollouts on a fleet while replicas are killed, restarted and suspended: generated, run, judged."""

from __future__ import annotations

import random
import signal
import threading
import time
from dataclasses import dataclass, field

from tests.fleet.callers import Callers
from tests.fleet.site import Fleet

LONGEST_S = 90.0


@dataclass(frozen=True)
class Disturbance:
    """What befalls one replica, when after the start of the rollout, and for how long."""

    at_s: float
    kind: str  # kill, restart, suspend; relay: the first relay is killed and begins again
    replica: int
    lasts_s: float


@dataclass
class Verdict:
    """What one schedule came to."""

    version: int = 0
    served: int = 0
    killed: int = 0
    tries: int = 0
    took_s: float = 0.0
    wrong: list[str] = field(default_factory=list)


def schedule(seed: int, replicas: int, relays: bool = False) -> list[Disturbance]:
    """One to five disturbances within the first seconds, each of a replica of its own; now and then a relay's too."""
    draws = random.Random(seed)
    chosen = draws.sample(range(replicas), draws.randint(1, min(5, replicas - 2)))
    kinds = ("kill", "restart", "suspend")
    found = [Disturbance(draws.uniform(0, 6), draws.choice(kinds), one, draws.uniform(0.1, 3)) for one in chosen]
    if relays and draws.random() < 0.5:
        found.append(Disturbance(draws.uniform(0, 6), "relay", 0, draws.uniform(0.1, 3)))
    return sorted(found, key=lambda each: each.at_s)


def run(fleet: Fleet, seed: int, version: int) -> Verdict:
    """Releases a version while the schedule of a seed goes on, and callers never stop."""
    found, began = Verdict(version=version), time.monotonic()
    fleet.declare(version)
    with Callers(fleet.url, seed) as callers:
        time.sleep(0.5)
        threads = [
            threading.Thread(target=_disturb, args=(fleet, callers, each))
            for each in schedule(seed, len(fleet.replicas))
        ]
        for thread in threads:
            thread.start()
        said = ""
        while time.monotonic() - began < LONGEST_S:
            words = ("apply", "--resume") if "--resume" in said else ("apply", "--no-forecast")
            done = fleet.rollcast(*words, "--auto-approve")
            found.tries += 1
            said = f"exit {done.returncode}: {done.stdout[-1500:]}{done.stderr[-1500:]}"
            if done.returncode == 0:
                break
            time.sleep(0.5)  # a person reads what it says
        else:
            found.wrong.append(f"not released in {found.tries} tries: {said}")
        for thread in threads:
            thread.join()
        time.sleep(0.3)
    answers = callers.answers
    found.served, found.killed, found.took_s = sum(answers.served.values()), answers.killed, time.monotonic() - began
    found.wrong += [f"mixed: {each}" for each in answers.mixed] + [f"lost: {each}" for each in answers.lost]
    if not found.wrong:
        found.wrong += _after(fleet, version)
    return found


def _disturb(fleet: Fleet, callers: Callers, each: Disturbance) -> None:
    time.sleep(each.at_s)
    if each.kind == "relay":
        fleet.relays[0].kill()
        time.sleep(each.lasts_s)
        fleet.relays[0].start()
        return
    replica = fleet.replicas[each.replica]
    if each.kind == "suspend":
        replica.signal(signal.SIGSTOP)
        time.sleep(each.lasts_s)
        replica.signal(signal.SIGCONT)
        return
    if each.kind == "kill":
        callers.kills.append(time.monotonic())
        replica.kill()
        callers.kills.append(time.monotonic())
        time.sleep(each.lasts_s)
    else:
        replica.stop()
    replica.start()
    fleet.until_healthy(replica.url)


def _after(fleet: Fleet, version: int) -> list[str]:
    """Everyone is on the version afterwards, and nothing else is left."""
    with Callers(fleet.url, version) as callers:
        time.sleep(1.0)
    wrong = [f"afterwards, {each}" for each in (*callers.answers.lost, *callers.answers.mixed)]
    if set(callers.answers.served) != {f"generation {version}"}:
        wrong.append(f"afterwards, {dict(callers.answers.served)} are served, not generation {version}")
    held = list((fleet.folder / ".rollcast" / "live" / "instances").rglob("manifest.json"))
    if len(held) != 2:
        wrong.append(f"afterwards, {len(held)} instances are there")
    return wrong
