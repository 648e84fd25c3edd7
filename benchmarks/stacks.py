"""What a rollout costs: an update of the engine, reading telemetry, writing the ledger, checking its chain.

Run: python benchmarks/stacks.py. Ratios are within one run: each line beside the least that the same work could take.
With --rollback: how long one command takes to lead the example back, from the command to the last request that the
release which is left serves; about two minutes, with the real engine and service. It is only worth reading on a quiet
machine, so the load before it (processes that want a processor) is printed with it.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rollcast.planner.declaration.models import Telemetry
from rollcast.planner.plan.models import Share
from rollcast.planner.releases.releases import Track
from rollcast.planner.rollout.state_machine import Arms
from rollcast.planner.routing.split import Router
from rollcast.stacks.base.clock import Clock
from rollcast.stacks.engine.program import ResourceNode, program_of
from rollcast.stacks.engine.provider_process import PROVIDERS
from rollcast.stacks.engine.update import EngineStack
from rollcast.stacks.ledger.ledger import open_ledger
from rollcast.stacks.ledger.records import verify
from rollcast.stacks.rollout.evidence import Collector, Watch
from rollcast.stacks.telemetry import source_of

RECORDS = 20_000
APPENDS = 300


def seconds(work: Callable[[], object]) -> float:
    """How long one call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def record(number: int) -> dict[str, Any]:
    """One telemetry record, as long as the example's."""
    parts = {name: f"{name}@1" for name in ("embedder", "index", "reranker", "generator", "safety")}
    return {
        "time": time.time(), "request": f"{number:032x}", "key": f"user-{number % 7000}", "channel": "default",
        "release": "rel-new" if number % 2 else "rel-old", "components": parts, "attributes": {"region": "eu"},
        "latency_s": 0.012, "ttft_s": 0.012, "input_tokens": 900, "output_tokens": 200, "cost_usd": 0.0004,
        "error": False, "violation": False, "hallucination": False, "rejected": False, "satisfaction": 1.0,
    }  # fmt: skip


def telemetry(folder: Path) -> tuple[float, float]:
    """Seconds from file to outcomes, and seconds of parsing the same JSON alone."""
    path = folder / "requests.jsonl"
    path.write_text("".join(json.dumps(record(number)) + "\n" for number in range(RECORDS)), "utf-8")
    source = source_of(Telemetry(path="requests.jsonl"), folder)
    shares = tuple(Share(line="default", percent=50.0, release=name) for name in ("rel-new", "rel-old"))
    line = Track(id="default", pipeline="p", channel="default")
    router = Router("p", {"default": line}, {"default": shares}, {})
    watch = Watch(Arms("default", "everyone", "rel-new", "rel-old", 0.5), {"p": router}, 0.0)
    collector = Collector({}, Clock())
    collector._pipelines = {"rel-new": "p", "rel-old": "p"}

    def read() -> None:
        cursor: dict[str, Any] = {}
        more = True
        while more:
            batch = source.read(cursor)
            collector.take(batch, watch)
            cursor, more = batch.cursor, batch.more

    parse = seconds(lambda: [json.loads(text) for text in path.read_text("utf-8").splitlines()])
    taken = seconds(read)
    assert collector.tally.requests == RECORDS
    return taken, parse


def ledger(folder: Path) -> tuple[float, float, float]:
    """Seconds of appending records, of writing as many files durably, of verifying the chain."""
    made = open_ledger(folder, "bench/local")
    lease = made.acquire()
    body = {"milestone": 3, "title": "50 % of everyone", "serving": [{"release": "rel-1", "percent": 50.0}] * 4}
    append = seconds(lambda: [made.save(lease, "ro-1", body, "reached", body) for _ in range(APPENDS)])

    def plain() -> None:
        with (folder / "plain").open("ab") as file:
            for _ in range(APPENDS):
                file.write(json.dumps(body).encode())
                file.flush()
                os.fsync(file.fileno())

    return append, seconds(plain), seconds(lambda: verify(made.records()))


def rollbacks(times: int = 3) -> dict[str, list[float]]:
    """Seconds to the last request of the release that is left, of each of some rollbacks."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.stacks.site import PATIENT, Site, first_released

    def rolled_back_state(site: Site, command: str) -> float:
        bad = {share["release"] for share in site.status()["serving"]} - {first}
        began = time.time()
        done = site.rollcast(command, *(["--auto-approve"] if command == "rollback" else []))
        assert done.returncode in (0, 4), done.stderr
        return requests.last_s[bad.pop()] - began

    found: dict[str, list[float]] = {"rollback of a complete release": [], "abort at 50 %": []}
    with tempfile.TemporaryDirectory() as scratch, first_released(Path(scratch) / "project") as site:
        first = site.status()["serving"][0]["release"]
        with site.requests() as requests:
            for _ in range(times):
                site.declare(safety=2)
                assert site.rollcast("apply", "--auto-approve").returncode == 0
                found["rollback of a complete release"].append(rolled_back_state(site, "rollback"))
                site.declare(safety=2, rollout=PATIENT)
                with site.background("apply", "--auto-approve") as process:
                    site.await_milestone(1)
                    found["abort at 50 %"].append(rolled_back_state(site, "abort"))
                    process.wait(60)
        assert (requests.mixed, requests.failed) == (0, 0)
    return found


def print_rollbacks() -> None:
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    print(f"{'one command back':<34}{'median s':>10}{'worst s':>10}{'runs':>6}")
    for name, times in rollbacks().items():
        print(f"{name:<34}{statistics.median(times):>10.1f}{max(times):>10.1f}{len(times):>6}")


def updates(folder: Path, times: int = 5) -> tuple[float, float]:
    """Median seconds of an update with a driver's provider, and with one that the engine starts for it."""
    drain = {"endpoints": [], "releases": ["rel-1"], "least_s": 0.0, "timeout_s": 60.0}
    folder.mkdir()
    world = EngineStack(folder, "bench", "dev", fence=1)
    attached, started = list[float](), list[float]()
    try:
        for number in range(times + 1):
            nodes = [ResourceNode("Drain", "drain", {**drain, "run": f"attached/{number}"})]
            attached.append(seconds(lambda nodes=nodes: world.up(nodes, lambda text: None)))  # type: ignore[misc]
        stack = world._open()
        stack.workspace.env_vars = {k: v for k, v in stack.workspace.env_vars.items() if k != PROVIDERS}
        for number in range(times + 1):
            stack.workspace.program = program_of([ResourceNode("Drain", "drain", {**drain, "run": f"own/{number}"})])
            started.append(seconds(lambda: stack.up(color="never")))
    finally:
        world.end()
    return statistics.median(attached[1:]), statistics.median(started[1:])


def main() -> None:
    if "--rollback" in sys.argv[1:]:
        print_rollbacks()
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        taken, parse = telemetry(folder)
        append, plain, check = ledger(folder)
        update, alone = updates(folder / "updates")
    print(f"{'work':<44}{'a second':>12}{'ratio':>10}  beside")
    print(f"{'telemetry records to outcomes':<44}{RECORDS / taken:>12,.0f}{taken / parse:>10.1f}  parsing their JSON")
    print(
        f"{'ledger records with position, durable':<44}{APPENDS / append:>12,.0f}{append / plain:>10.1f}  a bare fsync"
    )
    print(f"{'records of the chain verified':<44}{APPENDS / check:>12,.0f}{check / append:>10.2f}  writing them")
    beside = f"with a provider of its own ({alone:.1f} s)"
    print(f"{'updates of the engine':<44}{1 / update:>12.1f}{update / alone:>10.2f}  {beside}")


if __name__ == "__main__":
    main()
