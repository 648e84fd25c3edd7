"""What holds of a fleet holds of every replica: shifts, drains, warm-ups, and the counters beside telemetry."""

from __future__ import annotations

import json
import random
import shutil
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcast.planner.declaration.models import TargetSettings
from rollcast.planner.gates.stage import StageGates
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.fleet import fleet as fleets
from rollcast.stacks.fleet.control import Control, ReplicaState, Unanswered
from rollcast.stacks.fleet.fleet import Fleet, KnownStates
from rollcast.stacks.rollout import counters
from rollcast.stacks.rollout.counters import MARGIN_S, Counters
from tests.stacks.site import Site, first_released, free_port

Answer = Callable[[str], tuple[int, Any]]
NEVER = lambda: False  # noqa: E731 - never cancelled


@contextmanager
def listening(answer: Answer) -> Iterator[str]:
    """An address that answers each path so."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            status, body = answer(self.path)
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_GET  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def replicas(*answers: dict[str, Any] | Answer) -> Iterator[Fleet]:
    with ExitStack() as stack:
        handlers = [one if callable(one) else (lambda path, said=one: (200, said)) for one in answers]
        yield Fleet([stack.enter_context(listening(answer)) for answer in handlers])


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counters, "_EVERY_S", 0.0)


def test_a_shift_counts_only_when_every_replica_evaluates_it() -> None:
    new, old = {"replica": "a", "definitions": {"f": "new"}}, {"replica": "b", "definitions": {"f": "old"}}
    with replicas(new, old) as fleet, pytest.raises(StackError, match="still evaluates old") as caught:
        fleet.confirm("f", "new", NEVER, 0.5)
    assert fleet.controls[1].address in str(caught.value)
    assert not fleet.confirmed("f", "new")
    with replicas(new, {**new, "replica": "b"}) as fleet:
        assert fleet.confirm("f", "new", NEVER, 0.5) == []
        assert fleet.confirmed("f", "new")


def test_an_address_that_does_not_answer_confirms_nothing_and_drains_nothing() -> None:
    with replicas({"replica": "a", "definitions": {"f": "new"}}) as fleet:
        pair = Fleet([fleet.controls[0].address, f"http://127.0.0.1:{free_port()}"])
        with pytest.raises(StackError, match="does not answer"):
            pair.confirm("f", "new", NEVER, 0.5)
        with pytest.raises(StackError, match="doesn't answer"):
            pair.drain(["r"], 0.0, 1.0, NEVER)


def test_a_data_plane_that_does_not_tell_is_named_and_taken_at_its_word() -> None:
    with replicas({"releases": {}}) as fleet:
        assert fleet.confirm("f", "new", NEVER, 0.5) == [fleet.controls[0].address]


def test_a_drain_waits_for_the_replica_that_is_busy() -> None:
    calls = 0

    def busy_twice(path: str) -> tuple[int, Any]:
        nonlocal calls
        calls += 1
        return 200, {"replica": "b", "releases": {"r": 1 if calls < 10 else 0}}

    with replicas({"replica": "a"}, busy_twice) as fleet:
        fleet.drain(["r"], 0.0, 10.0, NEVER)
        assert calls >= 10
    still = {"replica": "b", "releases": {"r": 2}}
    with replicas({"replica": "a"}, still) as fleet, pytest.raises(StackError, match="2 on r at") as caught:
        fleet.drain(["r"], 0.0, 0.3, NEVER)
    assert fleet.controls[1].address in str(caught.value)


def test_a_proxy_in_front_of_several_replicas_is_refused_with_the_remedy() -> None:
    turn = iter(range(1000))
    several = pytest.raises(StackError, match=r"Several replicas answer .* List the address of each replica")
    with replicas(lambda path: (200, {"replica": "ab"[next(turn) % 2]})) as fleet, several:
        fleet.confirm("f", "new", NEVER, 0.5)
    with replicas({"replica": "a"}, {"replica": "a"}) as fleet, pytest.raises(StackError, match="are one replica"):
        fleet.confirm("f", "new", NEVER, 0.5)


def test_a_replica_that_restarts_is_no_proxy() -> None:
    turn = iter(range(1000))
    with replicas(lambda path: (200, {"replica": "old" if next(turn) < 2 else "new"})) as fleet:
        fleet.refuse_proxies()


def test_a_replica_that_is_not_ready_is_called_again_until_the_limit() -> None:
    turn = iter(range(1000))
    with replicas(lambda path: (503, {}) if next(turn) < 3 else (200, {"ready": True})) as fleet:
        fleet.warm("i", 10.0, NEVER)
    with replicas(lambda path: (503, {})) as fleet, pytest.raises(StackError, match=r"503.*Tried again for"):
        fleet.warm("i", 0.4, NEVER)
    unknown = pytest.raises(StackError, match="no such instance")
    with replicas({"ready": True}, lambda path: (400, {"error": "no such instance"})) as fleet, unknown:
        fleet.warm("i", 5.0, NEVER)


def test_why_a_replica_is_not_ready_is_said_while_it_is_tried_again_and_once() -> None:
    said: list[str] = []
    turn = iter(range(1000))
    why = {"error": "KeyError:\n 'tokens'" + "x" * 1000}
    with replicas(lambda path: (503, why) if next(turn) < 3 else (200, {"ready": True})) as fleet:
        fleet.warm("i", 10.0, NEVER, said.append)
    (line,) = said
    assert "i is not warm yet, and is tried again for 10 s" in line
    assert "HTTP 503: KeyError: 'tokens'" in line
    assert len(line) < 600
    for body in ([], {"error": 7}, {}):
        with (
            replicas(lambda path, body=body: (503, body)) as fleet,
            pytest.raises(StackError, match=r"503\)\. See why"),
        ):
            fleet.warm("i", 0.2, NEVER)


KEYS = st.sampled_from(["releases", "definitions", "replica", "finished", "f"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner),
    max_leaves=6,
)


@given(JSON)
def test_whatever_a_replica_answers_is_used_or_refused_by_its_address(said: Any) -> None:
    with replicas(lambda path: (200, said)) as fleet:
        (found,) = [*fleet.known_states(5.0).states.values()] or [_refused(fleet)]
        assert isinstance(found, ReplicaState) or fleet.controls[0].address in found


@pytest.mark.parametrize("body", [b"<html>Not Found</html>", b'{"detail": "Not Found"}'])
def test_a_service_that_is_not_connected_yet_says_in_which_order(body: bytes) -> None:
    with replicas(lambda path: (404, body)) as fleet:
        assert "it has no data plane yet" in _refused(fleet)
        assert "without the target's 'endpoint'" in _refused(fleet)


def _refused(fleet: Fleet) -> str:
    with pytest.raises(StackError) as caught:
        list(fleet.states())
    return str(caught.value)


def test_one_address_or_a_list_of_them() -> None:
    assert TargetSettings(endpoint="http://a").endpoints == ("http://a",)
    assert TargetSettings(endpoint=("http://a", "http://b")).endpoints == ("http://a", "http://b")
    assert TargetSettings().endpoints == ()
    with pytest.raises(ValueError, match="stands there twice"):
        TargetSettings(endpoint=("http://a", "http://a"))


class Answering(Control):
    """A replica that answers from a list, its last answer for ever; None: it does not answer."""

    def __init__(self, address: str, answers: list[ReplicaState | None]) -> None:
        super().__init__(address)
        self.answers, self.calls = answers, 0

    def state(self, timeout_s: float = 5.0) -> ReplicaState:
        found = self.answers[min(self.calls, len(self.answers) - 1)]
        self.calls += 1
        if found is None:
            raise Unanswered(f"The data plane at {self.address} doesn't answer.")
        return found


def fleet_of(courses: list[list[ReplicaState | None]]) -> Fleet:
    fleet = Fleet([f"http://{number}" for number in range(len(courses))])
    fleet.controls = tuple(Answering(f"http://{number}", course) for number, course in enumerate(courses))
    return fleet


def reads(number: int, content: str | None) -> ReplicaState | None:
    """A replica that evaluates a content; `-`: it does not say; None: it does not answer."""
    if content is None:
        return None
    return ReplicaState(replica=str(number), definitions=None if content == "-" else {"f": content})


@given(st.lists(st.sampled_from(["new", "old", "-", None]), min_size=1, max_size=5))
def test_a_shift_is_confirmed_just_when_no_replica_is_known_to_be_elsewhere(contents: list[str | None]) -> None:
    """One stale replica, or one that does not answer, is named; those that do not say are given back."""
    courses = [[reads(number, content)] for number, content in enumerate(contents)]
    late = [number for number, content in enumerate(contents) if content in ("old", None)]
    with _no_pause():
        assert fleet_of(courses).confirmed("f", "new") == (not late)
        if late:
            with pytest.raises(StackError) as caught:
                fleet_of(courses).confirm("f", "new", NEVER, 0.0)
            assert all(
                (f"http://{number} " in str(caught.value)) == (number in late) for number in range(len(contents))
            )
        else:
            silent = [f"http://{number}" for number, content in enumerate(contents) if content == "-"]
            assert fleet_of(courses).confirm("f", "new", NEVER, 0.0) == silent


FALLING = st.lists(st.integers(0, 2), min_size=1, max_size=3).map(lambda counts: sorted(counts, reverse=True))
COUNTS = st.lists(FALLING, min_size=1, max_size=4)


@given(COUNTS)
def test_a_drain_ends_just_when_no_replica_has_a_request_left(counts: list[list[int]]) -> None:
    """Whichever replica is busy, and for however long; requests of other releases keep nobody."""
    courses: list[list[ReplicaState | None]] = [
        [ReplicaState(releases={"r": count, "other": 9}) for count in own for _ in range(2)] for own in counts
    ]
    fleet, left = fleet_of(courses), [number for number, own in enumerate(counts) if own[-1]]
    with _no_pause():
        if left:
            with pytest.raises(StackError, match="still in flight") as caught:
                fleet.drain(["r"], 0.0, 0.0, NEVER)
            assert any(f"http://{number}" in str(caught.value) for number in range(len(counts)))
        else:
            fleet.drain(["r"], 0.0, 60.0, NEVER)
            busiest = max(2 * max((place + 1 for place, n in enumerate(own) if n), default=0) for own in counts)
            assert all(control.calls >= busiest for control in fleet.controls if isinstance(control, Answering))


@contextmanager
def _no_pause() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(fleets, "POLL_S", 0.0)
        yield


# ---- counters -----------------------------------------------------------------------------------


class Counting(Fleet):
    """A fleet of counters that are set by hand."""

    def __init__(self, addresses: int) -> None:
        super().__init__([f"http://{number}" for number in range(addresses)])
        self.said = {control.address: ReplicaState(replica="0", finished={}) for control in self.controls}

    def known_states(self, timeout_s: float) -> KnownStates:
        return KnownStates(dict(self.said), whole=True)

    def finish(self, number: int, release: str) -> None:
        state = self.said[f"http://{number}"]
        finished = {**(state.finished or {}), release: (state.finished or {}).get(release, 0) + 1}
        self.said[f"http://{number}"] = state.model_copy(update={"finished": finished})

    def restart(self, number: int) -> None:
        old = self.said[f"http://{number}"].replica
        self.said[f"http://{number}"] = ReplicaState(replica=f"{old}+", finished={})


@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.2, 0.5]), st.floats(0, 3), st.integers(1, 3), st.booleans())
def test_counters_hold_exactly_where_requests_are_lost(
    seed: int, lost: float, late_s: float, addresses: int, restarts: bool
) -> None:
    """Late telemetry is no loss, nor is a replica that begins again; what never comes is one, on whichever release.

    One request in eight goes to the new release, and only its requests are lost: in the sum they would be few.
    """
    rng, fleet = random.Random(seed), Counting(addresses)
    stage = StageGates.start([], alpha=0.05, split=1.0, started_s=0.0)
    watched, newest_s, missing, finished = Counters(fleet, ["old", "new"], {}), -1.0, 0, 0
    on_the_way: list[tuple[float, str]] = []
    shown: Counter[str] = Counter()
    watched.new_stage()
    for second in range(80):
        for number in range(24):
            release = "old" if number % 8 else "new"
            fleet.finish(rng.randrange(addresses), release)
            fleet.finish(0, "another pipeline's")
            finished += release == "new"
            if release == "new" and rng.random() < lost:
                missing += 1
            else:
                on_the_way.append((second + late_s, release))
        due = [release for due_s, release in on_the_way if due_s <= second]
        shown.update(due)
        newest_s = second - late_s if due else newest_s
        on_the_way = [each for each in on_the_way if each[0] > second]
        watched.poll(float(second), shown)
        if restarts and second % 20 == 7:
            fleet.restart(rng.randrange(addresses))
        stage.guards.counted(watched.compared(newest_s))
        found = {guard.name: guard for guard in stage.look(float(second)).guards}.get("counters")
        if lost == 0.0:
            assert found is None or found.ok, found
    assert found is not None, "eighty seconds are enough to compare"
    if missing > 0.1 * finished:
        assert not found.ok
        assert "finished on new in this stage never reached telemetry" in found.sentence
    again = StageGates.from_json(json.loads(json.dumps(stage.to_json())))
    assert again.guards.finished == stage.guards.finished


def test_nothing_is_compared_where_a_replica_does_not_count() -> None:
    fleet = Counting(2)
    fleet.said["http://1"] = ReplicaState(replica="1")
    watched = Counters(fleet, ["r"], {})
    watched.new_stage()
    for second in range(30):
        fleet.finish(0, "r")
        watched.poll(float(second), {})
    assert watched.compared(30.0) == {}
    assert MARGIN_S < 30


# ---- two real replicas --------------------------------------------------------------------------


QUICK = {"ROLLCAST_TIMEOUT_S": "8"}


@pytest.mark.engine
def test_a_replica_that_reads_old_flags_holds_the_rollout_until_it_reads_the_new_ones(tmp_path: Any) -> None:
    folder, other = tmp_path / "site", free_port()
    with first_released(folder) as site:
        both = f"endpoint: [http://127.0.0.1:{site.port}, http://127.0.0.1:{other}]"
        flags = site.folder / ".rollcast/live/flags.json"
        stale = site.folder / "stale/flags.json"
        stale.parent.mkdir()
        shutil.copy(flags, stale)
        site.declare(safety=2)
        text = (site.folder / "rollcast.yaml").read_text("utf-8")
        assert f"endpoint: http://127.0.0.1:{site.port}" in text
        text = text.replace(f"endpoint: http://127.0.0.1:{site.port}", both)
        (site.folder / "rollcast.yaml").write_text(text, "utf-8")
        with site.replica(other, stale), site.requests():
            held = site.rollcast("apply", "--auto-approve", **QUICK)
            assert held.returncode == 1, held.stdout
            assert f"http://127.0.0.1:{other} still evaluates" in held.stderr
            assert site.rollcast("promote", "--full", "--reason", "never mind").returncode == 0
            forced = site.rollcast("apply", "--resume", **QUICK)
            assert forced.returncode == 1, "an order moves nobody past a replica that serves something else"
            assert _instances(site, "no-code-execution@1"), "nothing that it still serves is retired"
        with site.replica(other), site.requests():
            done = site.rollcast("apply", "--resume")
            assert done.returncode == 0, done.stderr


@pytest.mark.engine
def test_a_proxy_in_front_of_two_replicas_is_refused_before_anything_begins(tmp_path: Any) -> None:
    other, turn = free_port(), iter(range(1000))
    with first_released(tmp_path / "site") as site, site.replica(other):
        ports = (site.port, other)

        def forward(path: str) -> tuple[int, Any]:
            with urllib.request.urlopen(f"http://127.0.0.1:{ports[next(turn) % 2]}{path}", timeout=5) as reply:
                return 200, json.load(reply)

        with listening(forward) as proxy:
            serving = site.status()["serving"]
            site.declare(safety=2)
            declared = site.folder / "rollcast.yaml"
            text = declared.read_text("utf-8")
            declared.write_text(text.replace(f"http://127.0.0.1:{site.port}", proxy), "utf-8")
            refused = site.rollcast("apply", "--auto-approve", **QUICK)
            assert refused.returncode == 1, refused.stdout
            assert f"Several replicas answer at {proxy}" in refused.stderr
            assert "List the address of each replica" in refused.stderr
            assert site.status()["serving"] == serving, "nothing was changed"
        Fleet([f"http://127.0.0.1:{port}" for port in ports]).refuse_proxies()


def _instances(site: Site, reference: str) -> bool:
    name, version = reference.split("@")
    return any(
        name in str(path) and version in str(path) for path in (site.folder / ".rollcast/live/instances").rglob("*")
    )
