"""A fleet that relays know: what holds of it holds of every replica, whoever comes, goes, or falls silent."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcast.cli.failures import exit_code
from rollcast.planner.base.buckets import BUCKETING
from rollcast.planner.declaration.models import OnMissing, TargetSettings
from rollcast.stacks.base.errors import HeldError, StackError
from rollcast.stacks.fleet import relays
from rollcast.stacks.fleet.fleet import Fleet
from rollcast.stacks.fleet.relays import HeardReplica, MissingReplica, RelayKnowledge, together
from tests.dataplane.releasing import both, put
from tests.relay.relays import RunningRelay, relaying

NEVER = lambda: False  # noqa: E731 - never cancelled
NEW = {"definitions": {"f": "new"}, "bucketing": BUCKETING}
OLD = {"definitions": {"f": "old"}, "bucketing": BUCKETING}


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRelay]:
    """A relay that is older than a lease, as soon as a test asks for its fleet."""
    definition = tmp_path_factory.mktemp("relay") / "flags.json"
    put(definition, both(0))
    with relaying(definition) as made:
        yield made


@pytest.fixture(autouse=True)
def _forgotten(relay: RunningRelay) -> Iterator[None]:
    yield
    for each in relay.fleet()["replicas"]:
        relay.ask("DELETE", f"/rollcast/v1/replicas/{each['replica']}")


def fleet_of(relay: RunningRelay, on_missing: str = "wait", *others: RunningRelay) -> Fleet:
    while relay.fleet()["time"] - relay.fleet()["since"] < 10.1:
        time.sleep(0.1)
    return Fleet([f"relay+{each.url}#{on_missing}" for each in (relay, *others)])


def test_a_shift_counts_when_every_replica_acknowledges_it_a_new_one_too(relay: RunningRelay) -> None:
    fleet = fleet_of(relay)
    with pytest.raises(StackError, match="No replica acknowledges"):
        fleet.confirm("f", "new", NEVER, 0.2)
    relay.acknowledge("a", **NEW)
    assert fleet.confirm("f", "new", NEVER, 0.2) == []
    relay.acknowledge("b", **OLD)
    with pytest.raises(StackError, match="replica b still evaluates old"):
        fleet.confirm("f", "new", NEVER, 0.2)
    relay.acknowledge("b", **OLD, leaving=True)
    assert fleet.confirmed("f", "new")


def test_a_fleet_that_splits_by_two_hashes_is_named(relay: RunningRelay) -> None:
    fleet = fleet_of(relay)
    relay.acknowledge("a", **NEW)
    relay.acknowledge("b", **{**NEW, "bucketing": "flagd-cbor-murmur3-32/1"})
    with pytest.raises(StackError, match="replica b splits by flagd-cbor-murmur3-32/1"):
        fleet.confirm("f", "new", NEVER, 0.2)


def test_a_drain_ends_when_no_replica_has_a_request_left(relay: RunningRelay) -> None:
    fleet = fleet_of(relay)
    relay.acknowledge("a", releases={"r": 0})
    relay.acknowledge("b", releases={"r": 2})
    with pytest.raises(StackError, match="2 on r at replica b"):
        fleet.drain(["r"], 0.0, 0.3, NEVER)
    relay.acknowledge("b", releases={})
    fleet.drain(["r"], 0.0, 0.3, NEVER)


def test_what_is_to_be_warm_is_warm_everywhere(relay: RunningRelay) -> None:
    fleet = fleet_of(relay)
    relay.acknowledge("a", warm=["p/i/1"])
    relay.acknowledge("b", warm=[])
    with pytest.raises(StackError, match=r"not warm .* at replica b"):
        fleet.warm("p/i/1", 0.3, NEVER)
    assert "p/i/1" in relay.acknowledge("b", warm=["p/i/1"]).json()["warm"]
    fleet.warm("p/i/1", 0.3, NEVER)


def test_what_is_done_about_a_missing_replica_is_declared_and_never_silent(relay: RunningRelay) -> None:
    fleets = {policy: fleet_of(relay, policy) for policy in ("wait", "hold", "proceed")}
    relay.acknowledge("b", **OLD, lease_s=1)
    time.sleep(1.2)
    relay.acknowledge("a", **NEW)
    with pytest.raises(StackError, match="replica b was not heard of") as waited:
        fleets["wait"].confirm("f", "new", NEVER, 0.2)
    assert not isinstance(waited.value, HeldError)
    assert "'rollcast dataplane forget b'" in str(waited.value)
    assert re.search(r"by themselves in 359\d s \('rollcast relay --forget-after'\)", str(waited.value))
    with pytest.raises(StackError, match="replica b was not heard of"):
        fleets["wait"].drain(["r"], 0.0, 0.2, NEVER)
    began = time.monotonic()
    with pytest.raises(MissingReplica, match=r"on_missing_replica: hold.*'rollcast dataplane forget b'") as held:
        fleets["hold"].confirm("f", "new", NEVER, 30)
    assert exit_code(held.value) == 5
    assert time.monotonic() - began < 5
    (said,) = fleets["proceed"].confirm("f", "new", NEVER, 0.2)
    assert "replica b was not heard of" in said
    fleets["proceed"].drain(["r"], 0.0, 0.2, NEVER)
    assert fleets["wait"].forget("b")
    assert not fleets["wait"].forget("b")
    fleets["wait"].drain(["r"], 0.0, 0.2, NEVER)
    relay.acknowledge("b", **NEW)
    assert {name for name, _ in fleets["wait"].looks()} == {"replica a", "replica b"}, "one that lives is back"


def test_a_relay_that_has_just_begun_does_not_know_its_fleet(relay: RunningRelay, tmp_path: Path) -> None:
    fleet_of(relay)
    put(tmp_path / "flags.json", both(0))
    with relaying(tmp_path / "flags.json") as young:
        young.acknowledge("a", **NEW)
        with pytest.raises(StackError, match="began less than a lease ago"):
            Fleet([f"relay+{young.url}#wait"]).confirm("f", "new", NEVER, 0.2)
        relay.acknowledge("a", **OLD)
        young.acknowledge("a", **NEW)
        assert fleet_of(relay, "wait", young).confirm("f", "new", NEVER, 0.2) == [], "the one that heard last counts"
        young.kill()
        relay.acknowledge("a", **NEW)
        assert fleet_of(relay, "wait", young).confirm("f", "new", NEVER, 0.2) == [], "one of two is enough"


ids = st.sampled_from("abc")
heard = st.builds(HeardReplica, replica=ids, heard_s=st.floats(0, 30), missing=st.booleans())
known = st.builds(
    RelayKnowledge, since=st.just(0.0), time=st.just(100.0), left=st.lists(ids, unique=True),
    replicas=st.lists(heard, unique_by=lambda each: each.replica),
)  # fmt: skip


@given(st.lists(known, max_size=3))
def test_each_replica_is_there_once_as_heard_last_unless_it_left(said: list[RelayKnowledge]) -> None:
    found = {each.replica: each for each in together(said)}
    assert len(found) == len(together(said))
    for replica in "abc":
        all_heard = [each for one in said for each in one.replicas if each.replica == replica]
        if not all_heard:
            assert replica not in found
            continue
        last = min(all_heard, key=lambda each: each.heard_s)
        gone = last.missing and any(replica in one.left for one in said)
        assert (replica in found) is not gone
        if replica in found:
            assert found[replica].heard_s == last.heard_s


@pytest.mark.parametrize("policy", OnMissing)
def test_a_declared_policy_reaches_the_relays(policy: OnMissing) -> None:
    given = {"endpoint": "http://a", "relay": ["http://r1", "http://r2"], "on_missing_replica": policy.value}
    endpoints = TargetSettings.model_validate(given).endpoints
    assert endpoints == ("http://a", f"relay+http://r1#{policy.value}", f"relay+http://r2#{policy.value}")
    assert relays.Relays(endpoints[1:]).on_missing is policy
