"""What may befall a service of either kit while it is asked: its flags, its relays, the network, the clocks. Live."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.flags.definitions import CONTENT
from rollcast.stacks.fleet.fleet import Fleet
from tests.dataplane.releasing import FLAG, NEW, OLD, both, put, text_of
from tests.dataplane.running import Running, until
from tests.faults.clocks import MachineClock
from tests.fleet.links import Link, Links
from tests.fleet.serving import BOTH_KITS, Callers, serving
from tests.relay.relays import RunningRelay, relaying

pytestmark = pytest.mark.slow

NEVER = lambda: False  # noqa: E731 - never cancelled
OTHERS = '{"flags": {"of-another-tool": {"state": "ENABLED", "variants": {"on": true}, "defaultVariant": "on"}}}'
HOUR_S = 3600
LEASE_S = 10


def content_of(percent: float) -> str:
    return str(both(percent)["metadata"][CONTENT])


def acknowledged(relay: RunningRelay) -> set[str]:
    return {each["replica"] for each in relay.fleet()["replicas"]}


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRelay]:
    """One that is older than a lease, and whose replicas all ended politely."""
    file = tmp_path_factory.mktemp("relay") / "flags.json"
    put(file, both(0))
    with relaying(file) as made:
        yield known(made)


def known(relay: RunningRelay) -> RunningRelay:
    """The relay, once it is older than a lease: from then on it knows its fleet."""
    while relay.fleet()["time"] - relay.fleet()["since"] <= LEASE_S:
        time.sleep(0.1)
    return relay


@pytest.mark.parametrize("kind", BOTH_KITS)
def test_a_flag_file_that_is_broken_in_any_way_changes_nothing_for_callers(kind: str, tmp_path: Path) -> None:
    with serving(kind, tmp_path, flag=both(0)) as service:
        file, whole = service.definition, text_of(both(100))
        with Callers(service) as callers:
            for text in ("", whole[: len(whole) // 2], whole[:-1], "\x00garbage", "[]", OTHERS):
                file.write_text(text, "utf-8")  # in its place, as an editor that was interrupted
                until(lambda: service.state()["degraded"])
                other = tmp_path / "other"
                other.write_text(text, "utf-8")
                os.replace(other, file)  # instead of it, as another tool does
                time.sleep(0.3)
                assert service.state()["degraded"]
                put(file, both(0))
                until(lambda: not service.state()["degraded"])
            file.unlink()
            file.symlink_to(tmp_path / "nowhere")
            until(lambda: service.state()["degraded"])
            file.unlink()
            file.mkdir()
            time.sleep(0.3)
            assert service.state()["degraded"]
            file.rmdir()
        assert callers.judged() == {OLD.id}
        with Callers(service) as callers:
            put(file, both(100))
            until(lambda: callers.answers and callers.answers[-1].release == NEW.id)
        assert callers.judged() <= {OLD.id, NEW.id}
        assert service.post("/chat", {"user": "ann"}).json()["release"] == NEW.id


@pytest.mark.parametrize("kind", BOTH_KITS)
def test_a_relay_is_killed_and_comes_back_under_callers(kind: str, tmp_path: Path) -> None:
    put(tmp_path / "flags.json", both(0))
    with (
        relaying(tmp_path / "flags.json") as relay,
        serving(kind, tmp_path / "service", relays=[relay.url]) as service,
        Callers(service) as callers,
    ):
        until(lambda: callers.answers)
        relay.kill()
        until(lambda: service.state()["degraded"], 10)
        put(tmp_path / "flags.json", both(100))
        assert {answer.release for answer in callers.answers} == {OLD.id}
        relay.start()
        until(lambda: callers.answers[-1].release == NEW.id, 10)
        until(lambda: service.state()["degraded"] is False, 10)
    assert callers.judged() == {OLD.id, NEW.id}


def test_replicas_that_are_cut_off_for_longer_than_a_lease_serve_the_old_and_the_driver_waits(
    relay: RunningRelay, tmp_path: Path
) -> None:
    """One of each kit: cut in silence, started again while it is cut, and whole again. Neither is taken for gone."""
    put(relay.definition, both(0))
    fleet = Fleet([f"relay+{relay.url}#wait"])

    @contextmanager
    def replicas(wires: list[Link]) -> Iterator[list[tuple[Running, Callers]]]:
        with ExitStack() as stack:
            found = []
            for kind, wire in zip(BOTH_KITS, wires, strict=True):
                service = stack.enter_context(serving(kind, tmp_path / kind, relays=[wire.url]))
                found.append((service, stack.enter_context(Callers(service, 2))))
            yield found

    with Links() as links:
        wires = [links.link(relay.port) for _ in BOTH_KITS]
        with replicas(wires) as first:
            until(lambda: {each.state()["replica"] for each, _ in first} <= acknowledged(relay))
            until(lambda: fleet.confirmed(FLAG, content_of(0)))
            links.cut(wires, silent=True)
            put(relay.definition, both(100))
            with pytest.raises(StackError, match="still evaluates"):
                fleet.confirm(FLAG, content_of(100), NEVER, 2)
            until(lambda: all(each["missing"] for each in relay.fleet()["replicas"]), LEASE_S + 2)
            for service, _ in first:
                with pytest.raises(StackError, match=f"replica {service.state()['replica']} was not heard of for"):
                    fleet.confirm(FLAG, content_of(100), NEVER, 0.5)
            with pytest.raises(StackError, match="was not heard of for"):
                fleet.drain([OLD.id], 0.0, 0.5, NEVER)
        with replicas(wires) as again:
            for service, callers in again:
                until(lambda callers=callers: callers.answers, 10)
                assert service.state()["degraded"]
                assert {answer.release for answer in callers.answers} == {OLD.id}
            links.mend(wires)
            for _, callers in again:
                until(lambda callers=callers: callers.answers[-1].release == NEW.id, 15)
            until(lambda: {each.state()["replica"] for each, _ in again} <= acknowledged(relay), 5)
            for replica in acknowledged(relay) - {each.state()["replica"] for each, _ in again}:
                relay.ask("DELETE", f"/rollcast/v1/replicas/{replica}")  # as an operator does: they ended while cut off
            assert fleet.confirm(FLAG, content_of(100), NEVER, 5) == []
    for _, callers in first:
        assert callers.judged() == {OLD.id}
    for _, callers in again:
        assert callers.judged() == {OLD.id, NEW.id}


def test_two_relays_that_disagree_mix_nothing_and_the_driver_counts_no_shift(tmp_path: Path) -> None:
    """Each service keeps to the relay that it reads from; the driver names the one that evaluates something else."""
    for name, percent in (("one", 0), ("two", 100)):
        put(tmp_path / name / "flags.json", both(percent))
    with (
        relaying(tmp_path / "one" / "flags.json") as one,
        relaying(tmp_path / "two" / "flags.json") as two,
        serving("fastapi", tmp_path / "a", relays=[one.url, two.url]) as a,
        serving("express", tmp_path / "b", relays=[two.url, one.url]) as b,
        Callers(a, 2) as of_a,
        Callers(b, 2) as of_b,
    ):
        fleet = Fleet([f"relay+{known(each).url}#wait" for each in (one, two)])
        with pytest.raises(StackError, match=f"replica {a.state()['replica']} still evaluates {content_of(0)[:19]}"):
            fleet.confirm(FLAG, content_of(100), NEVER, 1)
        with pytest.raises(StackError, match=f"replica {b.state()['replica']} still evaluates {content_of(100)[:19]}"):
            fleet.confirm(FLAG, content_of(0), NEVER, 1)
        assert {answer.release for answer in of_a.answers} == {OLD.id}
        assert {answer.release for answer in of_b.answers} == {NEW.id}
        one.kill()  # who read from it goes to the other, and nobody comes back and forth
        until(lambda: of_a.answers[-1].release == NEW.id, 10)
        one.start()
        assert fleet.confirm(FLAG, content_of(100), NEVER, 5) == []
        switched = len(of_a.answers)
        time.sleep(2)
        assert {answer.release for answer in of_a.answers[switched:]} == {NEW.id}
    assert of_a.judged() == {OLD.id, NEW.id}
    assert of_b.judged() == {NEW.id}


def test_replicas_whose_clocks_are_an_hour_apart_are_one_fleet(relay: RunningRelay, tmp_path: Path) -> None:
    """Two hours between them, an hour to the relay and the driver: leases, shifts and drains count by no wall clock."""
    clocks = []
    for name, offset_s in (("fast", HOUR_S), ("slow", -HOUR_S)):
        (tmp_path / name).mkdir()
        clocks.append(MachineClock(tmp_path / name))
        clocks[-1].jump(offset_s)
    fast, slow = clocks
    put(relay.definition, both(0))
    with (
        serving("fastapi", tmp_path / "a", relays=[relay.url], environment=fast.environment) as a,
        serving("express", tmp_path / "b", relays=[relay.url], environment=slow.environment) as b,
        Callers(a, 2) as of_a,
        Callers(b, 2) as of_b,
    ):
        assert abs(a.state()["time"] - b.state()["time"] - 2 * HOUR_S) < 60, "their clocks are not apart"
        fleet = Fleet([f"relay+{relay.url}#hold"])
        assert {each["missing"] for each in relay.fleet()["replicas"]} == {False}
        assert max(each["heard_s"] for each in relay.fleet()["replicas"]) < 3
        with httpx.stream("POST", f"{b.url}/stream", json={"user": "s", "takes_s": 3}, trust_env=False) as reply:
            lines = reply.iter_lines()
            assert next(lines) == OLD.id
            put(relay.definition, both(100))
            assert fleet.confirm(FLAG, content_of(100), NEVER, 5) == []
            with pytest.raises(StackError, match=f"1 on {OLD.id} at replica {b.state()['replica']}"):
                fleet.drain([OLD.id], 0.0, 1.0, NEVER)
            assert set(lines) == {OLD.id}
        fleet.drain([OLD.id], 0.0, 5.0, NEVER)
        slow.jump(2 * HOUR_S)  # somebody sets the clock
        time.sleep(1.5)
        assert {each["missing"] for each in relay.fleet()["replicas"]} == {False}
        fast.jump(-2 * HOUR_S)
        put(relay.definition, both(0))
        assert fleet.confirm(FLAG, content_of(0), NEVER, 5) == []
    assert of_a.judged() == of_b.judged() == {OLD.id, NEW.id}


@pytest.mark.parametrize("kind", BOTH_KITS)
def test_a_service_that_starts_an_hour_later_without_any_relay_serves_what_it_last_knew(
    kind: str, tmp_path: Path
) -> None:
    clock = MachineClock(tmp_path)
    put(tmp_path / "flags.json", both(0))
    with relaying(tmp_path / "flags.json") as relay:
        with serving(kind, tmp_path / "service", relays=[relay.url], environment=clock.environment) as service:
            assert service.post("/chat", {"user": "ann"}).json()["release"] == OLD.id
        relay.kill()
        clock.jump(HOUR_S)
        with serving(kind, tmp_path / "service", relays=[relay.url], environment=clock.environment) as service:
            with Callers(service) as callers:
                until(lambda: len(callers.answers) > 20)
            assert callers.judged() == {OLD.id}
            assert "last known" in service.state()["degraded"]
            assert service.state()["time"] - time.time() > HOUR_S - 60
