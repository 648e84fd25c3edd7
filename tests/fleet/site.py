"""A fleet for tests: replicas as processes behind haproxy, a project whose two components must be of one generation.

Every second replica is Node's, on the TypeScript kit; the others are on the Python kit. Between a replica and each
relay, and between the driver and whatever it asks, is a wire that can be cut (`links`); callers come by haproxy alone.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import httpx

from tests.commands import ROLLCAST
from tests.dataplane_ts.building import built
from tests.faults.clocks import MachineClock
from tests.fleet.links import Link, Links
from tests.relay.relays import RunningRelay
from tests.stacks.site import free_port

ROOT = Path(__file__).parents[2]
DECLARATION = """\
schema: rollcast/v1
pipeline: fleet
artifacts:
  - {kind: retrieval-index, name: index, version: "1", source: "file:made/index-1", provides: {generation: "1"}}
  - {kind: retrieval-index, name: index, version: "2", source: "file:made/index-2", provides: {generation: "2"}}
  - {kind: prompt-template, name: answer, version: "1", source: "file:made/answer-1", requires: {generation: "1"}}
  - {kind: prompt-template, name: answer, version: "2", source: "file:made/answer-2", requires: {generation: "2"}}
components:
  index: {artifact: index@VERSION}
  answer: {artifact: answer@VERSION, upstream: [index]}
rollout:
  strategy: canary
  percent: [50, 100]
  bake: {min: 200ms, max: 60s, then: rollback}
  min_sample: 5
  look_every: 200ms
  timeout: 300ms
  gates: [{metric: error_rate, margin: 0.6, min_samples: 5}]
overrides:
  - {policy: max-exposure, reason: a test has few users and little time, expires: "2999-01-01"}
environments:
  prod:
    default: true
    target: TARGET
"""
HAPROXY = """\
global
  maxconn 2000
defaults
  mode http
  timeout connect 1s
  timeout client 60s
  timeout server 60s
  http-reuse never
  retries 5
  option redispatch 1
  retry-on conn-failure empty-response
  option http-buffer-request
frontend in
  bind 127.0.0.1:PORT
  default_backend fleet
backend fleet
  balance roundrobin
  option httpchk GET /healthz
"""


def clocks_apart(folder: Path) -> dict[int, dict[str, str]]:
    """For `Fleet.clocks`: the Python replica 2 is an hour fast, and Node's replica 3 an hour slow."""
    found = {}
    for number, offset_s in ((2, 3600), (3, -3600)):
        (folder / f"clock-{number}").mkdir()
        clock = MachineClock(folder / f"clock-{number}")
        clock.jump(offset_s)
        found[number] = clock.environment
    return found


class Replica:
    """One process of the fleet, at one port for its whole life. `wires`: what it is controlled by, and nothing else."""

    def __init__(self, folder: Path, number: int, node: Path | None) -> None:
        self.folder, self.number, self.node = folder, number, node
        self.port = free_port()
        self.wires: list[Link] = []
        self.environment: dict[str, str] = {}
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        words = [sys.executable, "-m", "uvicorn", "tests.fleet.service:app", "--port", str(self.port)]
        words += ["--log-level", "warning"]
        if self.node is not None:
            words = ["node", str(self.node / "dist" / "test" / "apps" / "fleet.js")]
        environment = {**self.environment, "PORT": str(self.port)}
        with (self.folder / f"replica-{self.number}.log").open("ab") as log:
            self.process = subprocess.Popen(words, env=environment, stdout=log, stderr=log)

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """As the machine would, without a word."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(20)  # its longest stream ends first
            except subprocess.TimeoutExpired:
                self.kill()


class Fleet:
    """Replicas, their load balancer and the project that releases to them. A context manager.

    With `relays` the replicas read flags from these and acknowledge to them, and the driver asks nobody else.
    `on_missing`: what it does about a replica that no relay hears of any more. `session_s`: sessions have a state that
    the other version can't read, and last that long. `clocks`: variables of the environment of replicas, by number.
    """

    def __init__(
        self, folder: Path, replicas: int = 8, relays: int = 0, on_missing: str = "proceed", session_s: int = 0,
        clocks: Mapping[int, Mapping[str, str]] | None = None,
    ) -> None:  # fmt: skip
        self.folder, self.on_missing, self.session_s, self.clocks = folder, on_missing, session_s, clocks or {}
        live = folder / ".rollcast" / "live"
        live.mkdir(parents=True)
        self.relays = [RunningRelay(live / "flags.json") for _ in range(relays)]
        for name in ("made", "telemetry"):
            (folder / name).mkdir(parents=True)
        for slot in ("index", "answer"):
            for version in (1, 2):
                (folder / "made" / f"{slot}-{version}").write_text(f"generation {version}\n", "utf-8")
        kit = built()
        self.replicas = [Replica(folder, number, kit if number % 2 else None) for number in range(replicas)]
        self.links = Links()
        self.asked: list[Link] = []  # the driver's wires: to each relay, or to each replica
        self.port = free_port()
        self._proxy: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _environment(self, replica: Replica) -> dict[str, str]:
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        live = self.folder / ".rollcast" / "live"
        source = (
            {"relays": [wire.url for wire in replica.wires]}
            if self.relays
            else {"definition": str(live / "flags.json")}
        )
        settings = {
            **source, "instances": str(live / "instances"),
            "telemetry": str(live / "telemetry"), "state": str(self.folder / f"state-{replica.number}"),
        }  # fmt: skip
        return {
            **os.environ,
            **self.clocks.get(replica.number, {}),
            "PYTHONPATH": path,
            "REPLICA": json.dumps(settings),
            "ROLLCAST_PIN_SECRET": "of a test, for sessions",
        }

    def __enter__(self) -> Fleet:
        self.links.__enter__()
        for relay in self.relays:
            relay.start()
        self.asked = [self.links.link(each.port) for each in self.relays or self.replicas]
        for number, replica in enumerate(self.replicas):
            replica.wires = (
                [self.links.link(each.port) for each in self.relays] if self.relays else [self.asked[number]]
            )
            replica.environment = self._environment(replica)
            replica.start()
        servers = "".join(
            f"  server r{replica.number} 127.0.0.1:{replica.port} check inter 200ms fall 2 rise 1\n"
            for replica in self.replicas
        )
        config = self.folder / "haproxy.cfg"
        config.write_text(HAPROXY.replace("PORT", str(self.port)) + servers, "utf-8")
        for replica in self.replicas:
            self.until_healthy(replica.url)
        with (self.folder / "haproxy.log").open("ab") as log:
            self._proxy = subprocess.Popen(["haproxy", "-db", "-f", str(config)], stdout=log, stderr=log)
        self.until_healthy(self.url)
        return self

    def __exit__(self, *_: object) -> None:
        if self._proxy is not None:
            self._proxy.terminate()
            self._proxy.wait()
        for each in (*self.replicas, *self.relays):
            each.stop()
        self.links.__exit__()

    def until_healthy(self, url: str, most_s: float = 60) -> None:
        until = time.monotonic() + most_s
        while time.monotonic() < until:
            with suppress(httpx.HTTPError):
                if httpx.get(f"{url}/healthz", trust_env=False, timeout=2).status_code == 200:
                    return
            time.sleep(0.05)
        raise AssertionError(f"{url} does not answer. {self.logs()}")

    def first_release(self) -> None:
        """Version 1 serves. Raises AssertionError with what was said."""
        self.declare(1)
        for words in (("lock",), ("apply", "--auto-approve", "--no-forecast")):
            done = self.rollcast(*words)
            assert done.returncode == 0, f"{words[0]}: {done.stdout}{done.stderr}{self.logs()}"

    def declare(self, version: int) -> None:
        addresses = ", ".join(wire.url for wire in self.asked)
        target = f"endpoint: [{addresses}]"
        if self.relays:
            target = f"relay: [{addresses}], on_missing_replica: {self.on_missing}"
        text = DECLARATION.replace("VERSION", str(version)).replace("TARGET", f"{{{target}}}")
        if self.session_s:
            for each in "12":
                needs = f'requires: {{generation: "{each}"}}'
                text = text.replace(needs, f'{needs}, provides: {{session-state: "{each}"}}')
            text = text.replace("  min_sample", f"  session: {self.session_s}s\n  min_sample")
        (self.folder / "rollcast.yaml").write_text(text, "utf-8")

    def rollcast(self, *words: str, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [ROLLCAST, "-C", str(self.folder), *words],
            capture_output=True, text=True, timeout=timeout_s, check=False,
        )  # fmt: skip

    def logs(self) -> str:
        found = sorted(self.folder.glob("*.log"))
        return "\n".join(f"== {path.name}\n{path.read_text('utf-8')[-1500:]}" for path in found)
