"""What must hold after a rollout that was broken and gone on with, whatever broke it."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass, field

from rollcast.stacks.ledger.ledger import Ledger, open_ledger
from rollcast.stacks.ledger.records import verify
from rollcast.stacks.ledger.rollouts import FINISHED, STARTED, under_way
from rollcast.stacks.project import Project
from rollcast.stacks.state.live import read, target_at
from tests.stacks.site import Requests, Site, left_at_work

MOST_RUNS = 12


@dataclass
class Tried:
    """How often a rollout was broken, and what it cost."""

    faults: int = 0
    runs: int = 0
    said: list[str] = field(default_factory=list)


def ledger_of(site: Site) -> Ledger:
    return open_ledger(site.folder, "rag-search/local")


def carry_through(
    site: Site, plan: Sequence[tuple[int | str, str]], command: str = "apply", timeout_s: str = "20"
) -> Tried:
    """Runs a command, broken at each of these boundaries in turn, and goes on until it ends well.

    A boundary is a number, or a name with how often it was passed before: "provider: before a write#2".
    """
    tried = Tried()
    pending = list(plan)
    for _ in range(MOST_RUNS):
        words = _next(site, command)
        if words is None:
            return tried
        point = pending.pop(0) if pending else None
        done = site.rollcast(*words, faults={point[0]: point[1]} if point else {}, ROLLCAST_TIMEOUT_S=timeout_s)
        tried.runs += 1
        tried.said.append(f"{words} {point}: {done.returncode} {done.stderr.strip()[-300:]}")
        broken = point is not None and _met(site.passed(), point[0])
        tried.faults += broken
        if done.returncode in (0, 4) and not broken:
            return tried
        assert done.returncode in (-signal.SIGKILL, 0, 1, 4, 5), "\n".join(tried.said)
    raise AssertionError("\n".join(["the rollout never ended", *tried.said]))


def _met(passed: list[str], failpoint: int | str) -> bool:
    if isinstance(failpoint, int):
        return len(passed) > failpoint
    name, _, before = failpoint.rpartition("#")
    return passed.count(name) > int(before)


def _next(site: Site, command: str) -> list[str] | None:
    going = under_way(ledger_of(site)) is not None
    if command == "abort":
        return ["abort"] if going else None
    return ["apply", "--resume"] if going else ["apply", "--auto-approve"]


def meaning(site: Site) -> tuple[list[str], str]:
    """What the ledger says of the last rollout: milestones in the order in which they were reached, and the outcome."""
    ledger = ledger_of(site)
    verify(ledger.records())
    started = ledger.last(STARTED)
    assert started is not None
    records = ledger.records(started.seq, started.rollout)
    reached = [f"{'back ' * r.body['rollback']}{r.body['milestone']}" for r in records if r.kind == "reached"]
    ended = [r.body["outcome"] for r in records if r.kind == FINISHED]
    assert len(ended) == 1, [r.kind for r in records]
    return reached, ended[0]


def lost(reached: list[str], wanted: list[str]) -> int:
    """How many milestones the ledger does not name, or names more than once."""
    return sum(reached.count(milestone) != 1 for milestone in wanted)


def assert_promoted(site: Site, version: int, milestones: list[str], requests: Requests, output: str) -> None:
    """The version serves after exactly these milestones, nothing is left over, and no request noticed."""
    assert meaning(site) == (milestones, "promoted"), output
    assert site.components()["safety"] == f"no-code-execution@{version}", output
    assert_whole(site)
    assert requests.mixed == 0, requests.made_of
    assert requests.failed == 0, requests.statuses


def assert_whole(site: Site) -> None:
    """Exactly the release that serves is there: nothing is missing, nothing is left over, no process lives on."""
    project = Project.open(site.folder)
    live = read(target_at(site.folder, project.environment), project.declaration.each_pipeline())
    served = {share.release for shares in live.state.serving.values() for share in shares}
    assert len(served) == 1, served
    release = live.state.releases[next(iter(served))]
    wanted = {c["instance"] for c in release.variant("default")["components"].values()}
    assert set(live.placed) == wanted
    instances = site.folder / ".rollcast/live/instances"
    assert not list(instances.rglob(".staging-*")), "half-written instances were left behind"
    assert not left_at_work(site.folder), "a process of the rollout lives on"
