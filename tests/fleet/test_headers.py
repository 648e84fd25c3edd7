"""Headers that come from outside or from a hop, at services of both kits: forged, unknown, retired, long, and many."""

from __future__ import annotations

import http.client
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from rollcast_dataplane.counting import MOST, ReleaseCounts
from tests.dataplane.releasing import NEW, OLD, both, put, release
from tests.dataplane.running import Running, until
from tests.fleet.serving import BOTH_KITS, serving

RETIRED = release(3)
FORGED = {"one that serves others": NEW.id, "unknown": "rel-unknown", "retired": RETIRED.id, "no id": "a b;c"}
PLACES = ("header", "baggage", "both")
LONGEST_BAGGAGE = 8192
MANY = 10_000
MOST_GROWTH_KIB = 16 * 1024
ALL_KINDS = ("fastapi", "flask", "express")


class Pair(NamedTuple):
    """Two services: whom anybody reaches, and one that trusts its callers."""

    entry: Running
    hop: Running


def pair(kinds: tuple[str, str], folder: Path, stack: ExitStack) -> Pair:
    """Both served a release that is retired since."""
    entry = stack.enter_context(serving(kinds[0], folder / "entry", flag=both(100, new=RETIRED)))
    hop = stack.enter_context(serving(kinds[1], folder / "hop", flag=both(100, new=RETIRED), trust=["127.0.0.0/8"]))
    for each in (entry, hop):
        assert each.post("/chat", {"user": "ann"}).json()["release"] == RETIRED.id
        put(each.definition, both(0))
        until(lambda each=each: each.post("/chat", {"user": "ann"}).json()["release"] == OLD.id)
    return Pair(entry, hop)


@pytest.fixture(scope="module", params=ALL_KINDS)
def services(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with ExitStack() as stack:
        yield pair((request.param, request.param), tmp_path_factory.mktemp(request.param), stack)


def headers(place: str, value: str) -> dict[str, str]:
    baggage = {"baggage": f"team=red,rollcast.release={value}"}
    return ({} if place == "baggage" else {"x-rollcast-release": value}) | ({} if place == "header" else baggage)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", list(FORGED))
def test_nobody_outside_chooses_a_release_or_has_one_passed_on(services: Pair, name: str, place: str) -> None:
    entry, hop = services
    call = {"user": "eve", "url": f"{hop.url}/chat", "json": {"user": "eve"}}
    reply = entry.post("/call", call, **headers(place, FORGED[name]))
    assert reply.headers["x-rollcast-release"] == OLD.id
    saw, said = reply.json()["saw"], reply.json()["said"]
    assert "x-rollcast-release" not in saw
    assert saw.get("baggage") == (None if place == "header" else "team=red")
    assert said["release"] == OLD.id
    assert FORGED[name] not in entry.state()["entered"].keys() - {RETIRED.id}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", list(FORGED))
def test_a_hop_serves_what_a_trusted_caller_gives_or_refuses_it(services: Pair, name: str, place: str) -> None:
    hop = services.hop
    before = hop.state()["entered"]
    reply = hop.post("/chat", {"user": "eve"}, **headers(place, FORGED[name]))
    if FORGED[name] == NEW.id:
        assert (reply.status_code, reply.json()["release"]) == (200, NEW.id)
        return
    assert reply.status_code == 503
    assert reply.json()["error"]
    assert "release" in reply.json()
    assert hop.state()["entered"] == before, "what is refused is no request of a release"
    assert hop.state()["releases"] == {}


@pytest.mark.parametrize("kinds", [BOTH_KITS, BOTH_KITS[::-1]], ids="-".join)
def test_baggage_of_more_than_eight_kilobytes_never_costs_the_release(kinds: tuple[str, str], tmp_path: Path) -> None:
    """From a client through an entry and a hop of the other kit to a second one, which says what it saw."""
    long = ",".join(f"member-{number}={'x' * 25}" for number in range(300))
    assert len(long) > 1.25 * LONGEST_BAGGAGE
    with ExitStack() as stack:
        entry, hop = pair(kinds, tmp_path, stack)
        inner = {"user": "ann", "url": f"{hop.url}/chat", "json": {"user": "ann"}}
        for percent, served in ((0, OLD), (100, NEW)):
            put(entry.definition, both(percent))  # the hop itself would serve everybody with the old one
            until(lambda served=served: entry.post("/chat", {"user": "ann"}).json()["release"] == served.id)
            outer = {"user": "ann", "url": f"{hop.url}/call", "json": inner}
            reply = entry.post("/call", outer, baggage=f"{long},rollcast.release=rel-forged")
            assert reply.status_code == 200
            assert reply.headers["x-rollcast-release"] == served.id
            passed_on = reply.json()["said"]
            assert passed_on["said"]["release"] == served.id
            assert len(passed_on["saw"]["baggage"]) <= LONGEST_BAGGAGE
            members = passed_on["saw"]["baggage"].split(",")
            assert [each.strip() for each in members if "rollcast.release" in each] == [f"rollcast.release={served.id}"]
            assert "member-0=" in passed_on["saw"]["baggage"], "others stay as far as there is room"


def resident_kib(service: Running) -> int:
    status = Path(f"/proc/{service.process.pid}/status").read_text("utf-8")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")))


def asked_with_many(service: Running, first: int, count: int) -> Counter[int]:
    """Statuses of so many requests, each with another release in its baggage: half from a trusted address."""

    def some(part: int) -> Counter[int]:
        host = service.url.removeprefix("http://")
        own = ("127.0.0.2" if part % 2 else "127.0.0.1", 0)
        connection = http.client.HTTPConnection(host, timeout=30, source_address=own)
        found: Counter[int] = Counter()
        for number in range(first + part, first + count, 4):
            sent = {"content-type": "application/json", "baggage": f"rollcast.release=rel-{number:08x}"}
            connection.request("POST", "/chat", json.dumps({"user": f"u{number % 100}"}), sent)
            reply = connection.getresponse()
            reply.read()
            found[reply.status] += 1
        connection.close()
        return found

    with ThreadPoolExecutor(4) as pool:
        return sum(pool.map(some, range(4)), Counter())


@pytest.mark.slow
@pytest.mark.parametrize("kind", BOTH_KITS)
def test_ten_thousand_releases_in_baggage_leave_memory_as_it_was(kind: str, tmp_path: Path) -> None:
    """Refused where they come from a hop, ignored where they come from outside, and kept nowhere."""
    with serving(kind, tmp_path, flag=both(0), trust=["127.0.0.1/32"]) as service:
        warm = MANY // 5
        assert asked_with_many(service, 0, warm) == {200: warm // 2, 503: warm // 2}  # its heap finds its size
        before = resident_kib(service)
        assert asked_with_many(service, MANY, MANY) == {200: MANY // 2, 503: MANY // 2}
        assert resident_kib(service) - before < MOST_GROWTH_KIB
        state = httpx.get(f"{service.url}/rollcast/inflight", trust_env=False)
        assert state.json()["entered"].keys() <= {OLD.id}
        assert len(state.content) < 2000


def test_counts_of_ten_thousand_releases_are_bounded_and_lose_nothing_in_flight() -> None:
    counts = ReleaseCounts()
    counts.enter("rel-of-a-long-stream")
    for number in range(MANY):
        counts.enter(f"rel-{number}")
        counts.leave(f"rel-{number}")
    inflight, entered, finished = counts.read()
    assert inflight == {"rel-of-a-long-stream": 1}
    assert len(entered) <= MOST
    assert len(finished) <= MOST
