"""Processes as instances: real ones, that are started, crash, are killed and end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from rollcast.stacks.base import failpoints, processes
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.instances import Instances
from rollcast.stacks.instances.process import ProcessInstances
from rollcast.stacks.instances.process_settings import ProcessSettings
from rollcast.testing.instances import InstancesConformance
from tests.instances.programs import (
    PYTHON,
    TINY,
    ask,
    end_all,
    eventually,
    placed,
    ports,
    put,
    settings,
    state,
)

TOKEN = "a-token-that-nobody-may-read"


class TestProcess(InstancesConformance):
    ports = "23000-23099"

    @pytest.fixture(autouse=True)
    def _ended(self, tmp_path: Path) -> Iterator[None]:
        type(self).ports = ports(8)
        yield
        end_all(tmp_path)

    def make(self, tmp_path: Path, scope: str = "") -> Instances:
        tmp_path.mkdir(exist_ok=True)
        given = {"command": [PYTHON, *TINY, "{port}"], "ports": self.ports, "ready": {"every": "10ms"}, "stop": "1s"}
        return ProcessInstances(ProcessSettings.model_validate(given), tmp_path, scope)


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    end_all(tmp_path)


def test_two_releases_run_side_by_side_each_at_its_own_address(root: Path) -> None:
    made = ProcessInstances(settings(root), root)
    addresses = [put(made, root, placed(says, number)) for number, says in enumerate(("old", "new"), 1)]
    assert [ask(address)["says"] for address in addresses] == ["old", "new"]
    made.remove_instance(1, "chat/bot/1", "mine")
    assert ask(addresses[1])["says"] == "new"
    with pytest.raises(OSError, match="refused"):
        ask(addresses[0])
    assert (root / ".rollcast/live/logs/chat--bot--1.log").exists(), "its log outlives it"


def test_what_crashes_is_started_again_at_its_address(root: Path) -> None:
    made = ProcessInstances(settings(root), root)
    address = put(made, root, placed("one"))
    before = ask(address)["pid"]
    with pytest.raises(OSError, match=r".*"):
        ask(address, "/crash")
    eventually(lambda: ask(address)["pid"] != before)
    assert state(root, "chat/bot/1")["last_exit"] == "exit status 3"
    assert list(made.placed()) == ["chat/bot/1"]


def test_a_killed_supervisor_is_replaced_and_the_process_never_stopped(root: Path) -> None:
    made = ProcessInstances(settings(root), root)
    address = put(made, root, placed("one"))
    before = ask(address)["pid"]
    os.kill(state(root, "chat/bot/1")["supervisor"]["pid"], signal.SIGKILL)
    eventually(lambda: made.down() == {"chat/bot/1": "it runs on without a supervisor"})
    assert list(made.placed()) == ["chat/bot/1"], "it serves, and is no hindrance to a rollback"
    assert ask(address)["pid"] == before
    assert put(made, root, placed("one")) == address
    assert (ask(address)["pid"], made.down()) == (before, {}), "it was started again"
    os.kill(before, signal.SIGKILL)
    eventually(lambda: ask(address)["pid"] != before)
    made.remove_instance(1, "chat/bot/1", "mine")
    with pytest.raises(OSError, match="refused"):
        ask(address)


def test_a_driver_that_is_killed_leaves_it_serving(root: Path) -> None:
    settings(root)
    span = ports()
    code = f"""
import sys, time; from pathlib import Path
from tests.instances.programs import *
root = Path({str(root)!r}); made = ProcessInstances(settings(root, ports={span!r}), root)
print(put(made, root, placed("one")), flush=True); time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
        start_new_session=True,
    ) as driver:  # fmt: skip
        assert driver.stdout is not None
        address = driver.stdout.readline().strip()
        os.killpg(driver.pid, signal.SIGKILL)
    assert ask(address)["says"] == "one"
    assert list(ProcessInstances(settings(root, ports=span), root).placed()) == ["chat/bot/1"]


def test_it_is_asked_to_end_and_killed_when_it_does_not(root: Path) -> None:
    stubborn = (
        "import signal,socket,sys,time\nsignal.signal(signal.SIGTERM, lambda *_: print('asked', flush=True))\n"
        "s=socket.create_server(('127.0.0.1',int(sys.argv[1])))\nwhile True: time.sleep(1)"
    )
    given = {"command": [PYTHON, "-c", stubborn, "{port}"], "ready": {"tcp": True}, "stop": "500ms"}
    made = ProcessInstances(settings(root, **given), root)
    put(made, root, placed("one"))
    child = state(root, "chat/bot/1")["child"]
    began_s = time.monotonic()
    made.remove_instance(1, "chat/bot/1", "mine")
    assert 0.4 < time.monotonic() - began_s < 4
    assert not processes.is_alive(child)
    assert "asked" in (root / ".rollcast/live/logs/chat--bot--1.log").read_text()


# ---- what goes wrong ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {"broken": "no such model"},
            r"ended 2 times before it was ready \(exit status 1\)\. Its log ends: .*no such",
        ),
        ({"slow": "yes"}, r"was not ready within 0\.6 s \(GET /: ConnectError\)\. Its log ends: begins with \*\*\*"),
    ],
)
def test_what_never_becomes_ready_is_told_by_its_log_and_leaves_nothing(
    root: Path, files: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET", TOKEN)
    ready = {"http": "/", "timeout": "20s" if "broken" in files else "600ms", "every": "20ms"}
    made = ProcessInstances(settings(root, environment={"TOKEN": "${A_SECRET}"}, ready=ready), root)
    with pytest.raises(StackError, match=said) as caught:
        put(made, root, placed("one"), **files)
    assert TOKEN not in str(caught.value)
    assert made.placed() == {}
    assert not list((root / ".rollcast/live/processes").glob("chat*")), "its folder is left"


def test_a_version_that_never_becomes_ready_leaves_the_one_that_it_was_to_replace(root: Path) -> None:
    made = ProcessInstances(settings(root), root)
    address = put(made, root, placed("old"))
    with pytest.raises(StackError, match="ended 2 times"):
        put(made, root, placed("new"), broken="yes")
    assert ask(address)["says"] == "old"
    assert made.placed()["chat/bot/1"].digest == "sha256:old"


def test_a_port_that_is_taken_is_named_before_anything_starts(root: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(StackError, match=f"no free port: {port} at 127.0.0.1 taken by other programs"):
            put(ProcessInstances(settings(root, ports=port), root), root, placed("one"))
    made = ProcessInstances(settings(root, ports=port), root)
    put(made, root, placed("one"))
    with pytest.raises(StackError, match="taken by chat/bot/1"):
        put(made, root, placed("two", 2))
    assert list(made.placed()) == ["chat/bot/1"]


def test_a_program_that_is_not_there_is_named_before_anything_starts(root: Path) -> None:
    made = ProcessInstances(settings(root, command=["no-such-server", "{port}"]), root)
    with pytest.raises(StackError, match="'no-such-server' can't be run: it is not on PATH"):
        put(made, root, placed("one"))
    assert not list((root / ".rollcast/live/processes").glob("chat*"))


def test_a_secret_is_in_the_process_alone(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", TOKEN)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "the-drivers-own")
    made = ProcessInstances(settings(root, environment={"TOKEN": "Bearer ${A_SECRET}", "SLOT": "{component}"}), root)
    given = ask(put(made, root, placed("one")))["env"]
    assert (given["TOKEN"], given["SLOT"]) == (f"Bearer {TOKEN}", "bot")
    assert "PULUMI_CONFIG_PASSPHRASE" not in given, "what the driver is given besides is not handed on"
    logs = root / ".rollcast/live/logs"
    kept = [file for file in (root / ".rollcast").rglob("*") if file.is_file() and logs not in file.parents]
    assert [file for file in kept if TOKEN in file.read_text("utf-8", "replace")] == []
    monkeypatch.delenv("A_SECRET")
    with pytest.raises(StackError, match="A_SECRET isn't set"):
        put(made, root, placed("two", 2))


def test_what_a_dead_driver_left_unready_is_ended_by_the_next_one(root: Path) -> None:
    made = ProcessInstances(settings(root), root, "chat/dev")
    address = put(made, root, placed("one"), fence=3)
    (root / ".rollcast/live/processes/chat/bot/1/placed.json").unlink()  # as if it was killed before it was ready
    ProcessInstances(settings(root), root, "search/dev").claim(9)
    assert ask(address)["says"] == "one", "another project's may be at work"
    made.claim(3)
    assert ask(address)["says"] == "one", "it may still be waited for"
    made.claim(4)
    with pytest.raises(OSError, match="refused"):
        ask(address)
    assert not list((root / ".rollcast/live/processes").glob("chat*"))


# ---- killed in the middle -----------------------------------------------------------------------


class _Killed(BaseException):
    """The driver ends here."""


def _running(root: Path) -> list[str]:
    """The content that each of the servers below a folder was started with."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (entry / "cmdline").read_bytes().decode().split("\0")
            if len(words) > 3 and words[1] == "server.py" and words[2].startswith(str(root)):
                found.append(Path(words[2]).parent.name)
    return found


@pytest.mark.parametrize("what", ["make", "replace", "remove"])
def test_a_kill_between_any_two_steps_leaves_what_the_next_driver_completes(root: Path, what: str) -> None:
    """At each failpoint in turn; afterwards all is as after a call that was never killed, and nothing runs besides."""
    own, passed = settings(root, ready={"http": "/", "timeout": "20s", "every": "5ms"}), 0
    for killed_at in range(30):
        made, fence = ProcessInstances(own, root, "s"), 1 + 2 * killed_at
        made.claim(fence)
        if what != "make":
            put(made, root, placed("old"), fence)

        def change(fence: int) -> None:
            instances = ProcessInstances(own, root, "s")
            if what == "remove":
                instances.remove_instance(fence, "chat/bot/1", "mine")
            else:
                put(instances, root, placed("new"), fence)

        whole = _killed(lambda: change(fence), killed_at)  # noqa: B023
        made.claim(fence + 1)
        change(fence + 1)
        wanted = [] if what == "remove" else ["1"]
        assert _running(root) == wanted, f"killed at failpoint {killed_at}"
        found = made.placed()
        assert [item.digest for item in found.values()] == ["sha256:new"] * len(wanted)
        assert [ask(item.address)["says"] for item in found.values()] == ["new"] * len(wanted)
        assert not list((root / ".rollcast/live/processes").glob(".staging*")), "something half made is left"
        made.remove_instance(fence + 1, "chat/bot/1", "mine")
        if whole:
            break
        passed += 1
    assert passed > 2, "no failpoint was passed"


def _killed(call: Callable[[], None], at: int) -> bool:
    """Whether a call that is killed at this failpoint came to its end before."""
    left = iter(range(at, -1, -1))

    def hook(name: str) -> None:
        if next(left, None) == 0:
            raise _Killed

    failpoints.install(hook)
    try:
        call()
    except _Killed:
        return False
    finally:
        failpoints._installed.remove(hook)
    return True
