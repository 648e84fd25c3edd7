"""Rollouts on a fleet while replicas are killed, restarted, suspended and cut off: generated, run, judged."""

from __future__ import annotations

import random
import signal
import threading
import time
from dataclasses import dataclass, field

from tests.fleet.callers import Callers
from tests.fleet.links import Link
from tests.fleet.site import Fleet

LONGEST_S = 90.0
# Of a replica: it is killed and begins again, is restarted politely, is suspended; the wires by which it is controlled
# refuse, or fall silent. Of the relays: the first is killed and begins again, the driver loses sight of one or of all.
KINDS = ("kill", "restart", "suspend", "refused", "silent")
OF_RELAYS = ("relay", "unseen")


@dataclass(frozen=True)
class Disturbance:
    """What befalls one replica, when after the start of the rollout, and for how long."""

    at_s: float
    kind: str  # of `KINDS`
    replica: int
    lasts_s: float


@dataclass
class Verdict:
    """What one schedule came to."""

    version: int = 0
    served: int = 0
    kits: int = 0
    killed: int = 0
    tries: int = 0
    took_s: float = 0.0
    wrong: list[str] = field(default_factory=list)


def schedule(seed: int, replicas: int, relays: int = 0) -> list[Disturbance]:
    """One to five disturbances within the first seconds, each of a replica of its own; now and then of relays too."""
    draws = random.Random(f"{seed}/{relays}")
    chosen = draws.sample(range(replicas), draws.randint(1, min(5, replicas - 2)))
    found = [Disturbance(draws.uniform(0, 6), draws.choice(KINDS), one, draws.uniform(0.1, 3)) for one in chosen]
    if relays and draws.random() < 0.5:
        what = draws.choice(OF_RELAYS)
        found.append(Disturbance(draws.uniform(0, 6), what, draws.randrange(relays + 1), draws.uniform(0.1, 3)))
    return sorted(found, key=lambda each: each.at_s)


def run(fleet: Fleet, seed: int, version: int) -> Verdict:
    """Releases a version while the schedule of a seed goes on, and callers never stop."""
    found, began = Verdict(version=version), time.monotonic()
    fleet.declare(version)
    with Callers(fleet.url, seed) as callers:
        time.sleep(0.5)
        threads = [
            threading.Thread(target=_disturb, args=(fleet, callers, each, found.wrong))
            for each in schedule(seed, len(fleet.replicas), len(fleet.relays))
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
    found.kits = len(answers.kits)
    found.served, found.killed, found.took_s = sum(answers.served.values()), answers.killed, time.monotonic() - began
    found.wrong += [f"mixed: {each}" for each in answers.mixed] + [f"lost: {each}" for each in answers.lost]
    if not found.wrong:
        found.wrong += _after(fleet, version)
    return found


def _disturb(fleet: Fleet, callers: Callers, each: Disturbance, wrong: list[str]) -> None:
    time.sleep(each.at_s)
    if each.kind == "relay":
        fleet.relays[0].kill()
        time.sleep(each.lasts_s)
        fleet.relays[0].start()
        return
    if each.kind == "unseen":
        wrong += _cut(fleet, fleet.asked[each.replica : each.replica + 1] or fleet.asked, each)
        return
    replica = fleet.replicas[each.replica]
    if each.kind == "suspend":
        replica.signal(signal.SIGSTOP)
        time.sleep(each.lasts_s)
        replica.signal(signal.SIGCONT)
        return
    if each.kind in ("refused", "silent"):
        wrong += _cut(fleet, replica.wires, each)
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


def _cut(fleet: Fleet, wires: list[Link], each: Disturbance) -> list[str]:
    """No byte goes through these for a while. What was wrong with the cut itself."""
    fleet.links.cut(wires, silent=each.kind == "silent")
    before = [wire.carried for wire in wires]
    time.sleep(each.lasts_s)
    wrong = [] if [wire.carried for wire in wires] == before else [f"a wire that was cut carried bytes: {each}"]
    fleet.links.mend(wires)
    return wrong


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
