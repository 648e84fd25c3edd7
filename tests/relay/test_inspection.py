"""What is seen of a fleet: every replica, whatever it answers, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rollcast.cli.output.status import text_of
from rollcast.stacks.flags.definitions import content_digest
from rollcast.stacks.fleet.inspection import inspect
from tests.dataplane.releasing import FLAG, OLD, both, flag
from tests.dataplane.running import running, until
from tests.relay.relays import relaying
from tests.stacks.site import free_port

WANTED = {FLAG: content_digest(both(0))}


def shown(**fleet: Any) -> str:
    """The lines of a status report that are about this fleet."""
    report = {
        "pipeline": "p", "environment": "e", "notes": [], "serving": [], "releases": {}, "rollout": None,
        "measured": {"requests": 0, "shares": []}, "fleet": fleet,
    }  # fmt: skip
    return text_of(report)


def test_addresses_are_seen_one_by_one_and_a_silent_one_too(tmp_path: Path) -> None:
    with running(tmp_path / "a", flag=both(0)) as now, running(tmp_path / "b", flag=flag(100)) as late:
        for service in (now, late):
            until(lambda each=service: (each.state()["definitions"] or {}).get(FLAG))
        gone = f"http://127.0.0.1:{free_port()}"
        found = inspect([now.url, late.url, gone], WANTED, 2)
        assert found is not None
        first, second, third = found.replicas
        assert (first.name, first.replica, first.current) == (now.url, now.state()["replica"], True)
        assert (second.current, second.missing, second.problem) == (False, False, None)
        assert (third.address, third.current) == (gone, None)
        assert "doesn't answer" in (third.problem or "")
        text = shown(**found.model_dump(mode="json"))
        assert "fleet: 3 replicas, 1 not on the flag as it is now" in text
        assert f"{late.url}: {late.state()['kit']}; evaluates {FLAG}" in text
        assert re.search(rf"{late.url}: .*no longer what the target holds", text)
        assert not re.search(rf"{now.url}: .*no longer", text)


def test_what_runs_is_seen_by_release_and_a_young_relay_says_that_it_is(tmp_path: Path) -> None:
    (tmp_path / "flags.json").write_text("{}")
    with relaying(tmp_path / "flags.json") as relay:
        definitions = {FLAG: WANTED[FLAG]}
        relay.acknowledge("a", releases={OLD.id: 2}, definitions=definitions, kit="of-a-test/9", degraded="no source")
        relay.acknowledge("b", lease_s=30)
        found = inspect([f"relay+{relay.url}#hold"], WANTED, 2)
        assert found is not None
        a, b = found.replicas
        assert (a.in_flight, a.kit, a.degraded, a.current) == ({OLD.id: 2}, "of-a-test/9", "no source", True)
        assert (b.lease_s, b.current, b.missing) == (30, None, False)
        assert "less than a lease ago" in (found.relays[0].problem or "")
        text = shown(**found.model_dump(mode="json"))
        assert f"in flight: 2 on {OLD.id}; degraded: no source" in text
        assert f"relay {relay.url}: began less than a lease ago" in text


def test_without_an_address_there_is_no_fleet() -> None:
    assert inspect([], WANTED) is None


names = st.text(min_size=1, max_size=8)
replicas = st.fixed_dictionaries({
    "name": names, "replica": st.none() | names, "address": st.none(), "kit": st.none() | names,
    "bucketing": st.none() | names, "generations": st.dictionaries(names, st.none() | names, max_size=2),
    "current": st.sampled_from([None, True, False]), "in_flight": st.dictionaries(names, st.integers(1, 9), max_size=2),
    "heard_s": st.floats(0, 1e4), "lease_s": st.none() | st.just(10.0), "missing": st.just(False),
    "degraded": st.none() | names, "problem": st.none() | names,
})  # fmt: skip


@given(st.lists(replicas, max_size=60))
def test_every_replica_is_shown_or_counted(found: list[dict[str, Any]]) -> None:
    """Of a large fleet those that need a look come first, and how many are left is said."""
    text = shown(replicas=found, relays=[], definitions={})
    lines = [line for line in text.splitlines() if line.startswith("    ")]
    more = re.search(r"and (\d+) more, which", text)
    assert len(lines) - bool(more) + (int(more[1]) if more else 0) == len(found)
    assert len(lines) <= 25
