"""A: what a replica says of itself is so."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import httpx

from rollcast.stacks.conformance.points import PointNotJudged, demand, point
from rollcast.stacks.conformance.resolving import writable
from rollcast.stacks.conformance.subject import TestedService, until

STATE = (
    "protocol",
    "kit",
    "replica",
    "bucketing",
    "definitions",
    "releases",
    "entered",
    "finished",
    "warm",
    "degraded",
    "time",
)
_PINNED = "flagd-murmur3-32/1"
_SLOW = 3
_AFTER_S = 3.0


@point("A1", "its state has all that it must")
def state(subject: TestedService) -> str:
    for url, found in zip(subject.urls, subject.states(), strict=True):
        missing = [name for name in STATE if name not in found]
        demand(not missing, f"{url} has no {', '.join(missing)}")
        demand(found["bucketing"] == _PINNED, f"{url} evaluates with {found['bucketing']}, and {_PINNED} is pinned")
        demand(subject.key in (found["definitions"] or {}), f"{url} has no definition of {subject.key}")
        off_s = abs(found["time"] - time.time())
        demand(off_s < 3600 * 24, f"the clock of {url} is off by {off_s:.0f} s")
    return ", ".join(found["kit"] for found in subject.states()[:1])


@point("A4", "each address is one replica of its own")
def replicas(subject: TestedService) -> str:
    seen: dict[int, str] = {}
    for _ in range(6):
        for at, found in enumerate(subject.states()):
            url, name = subject.urls[at], found.get("replica")
            demand(isinstance(name, str) and name, f"{url} has no 'replica'")
            before = seen.setdefault(at, str(name))
            demand(
                before == name,
                f"{url} is replica {before}, then {name}: several answer there. Give the address of each",
            )
    names = list(seen.values())
    demand(len(set(names)) == len(names), f"two addresses are one replica: {', '.join(names)}")
    return f"{len(seen)}, each the same in 6 answers"


@point("A3", "every request is counted once")
def counted(subject: TestedService) -> str:
    writable(subject)
    subject.put(subject.flag(50))
    demand(
        until(lambda: not subject.inflight(), _AFTER_S),
        "requests are in flight before the test begins: is there traffic?",
    )
    before = subject.counted("entered"), subject.counted("finished")
    with ThreadPoolExecutor(8) as pool:
        statuses = [seen.status for seen in pool.map(lambda number: subject.ask(at=number), range(20))]
    demand(max(statuses) < 400, f"requests answer {sorted(set(statuses))}")
    until(lambda: subject.counted("finished") - before[1] >= 20, _AFTER_S)
    grown = subject.counted("entered") - before[0], subject.counted("finished") - before[1]
    demand(grown == (20, 20), f"20 requests are reported as {grown[0]} entered and {grown[1]} finished")
    demand(not subject.inflight(), f"after 20 requests, {subject.inflight()} are reported in flight still")
    return "20 requests, 20 entered, 20 finished"


@point("A2", "what runs is in flight until its last byte, and no longer")
def inflight(subject: TestedService) -> str:
    writable(subject)
    if subject.probe.slow is None and subject.probe.stream is None:
        raise PointNotJudged("give the probe 'slow' or 'stream', a request that takes a second or more")
    subject.put(subject.flag(0))
    said = []
    if subject.probe.slow is not None:
        with ThreadPoolExecutor(_SLOW) as pool:
            calls = [pool.submit(subject.ask, None, subject.probe.slow, number) for number in range(_SLOW)]
            most = 0
            while not all(each.done() for each in calls):
                most = max(most, subject.inflight(subject.ours))
                time.sleep(0.02)
            demand(most == _SLOW, f"{_SLOW} requests run, and it reports {most} in flight")
        _nothing_left(subject)
        said.append(f"{_SLOW} at once")
    if subject.probe.stream is not None:
        with subject.streaming("conformance-stream") as reply:
            parts = reply.iter_raw()
            next(parts, b"")
            demand(
                subject.inflight(subject.ours) == 1,
                f"a stream runs, and it reports {subject.inflight(subject.ours)} in flight",
            )
            last = time.monotonic()
            for _ in parts:
                if time.monotonic() - last > 0.3:
                    last = time.monotonic()
                    demand(subject.inflight(subject.ours) == 1, "a stream is not reported in flight to its last byte")
        _nothing_left(subject)
        with subject.streaming("conformance-gone") as reply:
            parts = reply.iter_raw()
            next(parts, b"")
        _nothing_left(subject)
        said.append("a stream to its end, and one whose client went away")
    return "; ".join(said)


@point("A6", "what is not resolved is not counted")
def uncounted(subject: TestedService) -> str:
    before = subject.counted("entered")
    for _ in range(3):
        subject.control("warm", {"instance": "conformance/not-there"})
    demand(subject.counted("entered") == before, "requests to the control endpoint are counted as requests of users")
    return "the control endpoint itself"


@point("A5", "the control endpoint is behind its token")
def token(subject: TestedService) -> str:
    if not subject.bearer:
        raise PointNotJudged("set ROLLCAST_ENDPOINT_TOKEN, here and in the service")
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        status = httpx.get(f"{subject.urls[0]}/rollcast/inflight", headers=headers, trust_env=False).status_code
        demand(status == 401, f"without its token the control endpoint answers {status}")
    return "401 without it"


@point("A8", "what serves is warm when warming is requested")
def warm(subject: TestedService) -> str:
    writable(subject)
    components = subject.flag(0)["variants"][subject.ours]["components"]
    instance = str(next(iter(components.values()))["instance"])
    reply = subject.control("warm", {"instance": instance})
    demand(reply.status_code == 200, f"to warm {instance}, which serves, it answers {reply.status_code}")
    demand(
        until(lambda: instance in (subject.states()[0].get("warm") or ()), 2),
        f"{instance} is warm, and it is not listed",
    )
    return instance


def _nothing_left(subject: TestedService) -> None:
    demand(
        until(lambda: not subject.inflight(), _AFTER_S),
        f"after it is over, {subject.inflight()} are reported in flight",
    )
