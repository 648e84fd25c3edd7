"""The main job, end to end, on a copy of this example: plan, forecast, apply, see it serve, catch a bad release.

Run: make demo (or python examples/rag-search/demo.py [--folder DIR]). Everything is real: the Pulumi engine, the
service, the flag evaluator, the recorded trace. It takes about three minutes and leaves its folder behind to look at.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

EXAMPLE = Path(__file__).resolve().parent
TRACE = "traffic/AzureLLMInferenceTrace_conv.csv"
SPEEDUP = 20
QUESTION = "read the rows of a csv file as dictionaries"
HAPROXY = """
defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 60s
frontend users
  bind 127.0.0.1:{front}
  default_backend service
backend service
  balance roundrobin
{servers}
"""


def say(title: str, *lines: str) -> None:
    """A step, for a newcomer."""
    print(f"\n\n=== {title}", flush=True)
    for line in lines:
        print(f"    {line}")
    print(flush=True)


def run(folder: Path, *words: str, expect: int = 0) -> None:
    """Runs a rollcast command in the folder and shows it. Ends the demo when it exits with another code."""
    print(f"$ rollcast {' '.join(words)}", flush=True)
    command = [str(Path(sys.executable).parent / "rollcast"), *words]
    code = subprocess.run(command, cwd=folder, check=False).returncode
    if code != expect:
        sys.exit(f"The demo stops here: that command exited with {code}, and {expect} was expected.")
    if expect:
        print(f"(exit code {code}, as it should)", flush=True)


def copy_example(folder: Path, replicas: Sequence[int]) -> None:
    """A fresh copy without what earlier runs left; the declarations name the address of each replica."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns(".rollcast", "__pycache__"))
    addresses = ", ".join(f"http://127.0.0.1:{port}" for port in replicas)
    for name in ("released.yaml", "rollcast.yaml", "harmful.yaml"):
        path = folder / name
        path.write_text(path.read_text("utf-8").replace("http://127.0.0.1:8787", f"[{addresses}]"), "utf-8")


@contextmanager
def serving(folder: Path, replicas: Sequence[int]) -> Iterator[str]:
    """The replicas of the service, and the address at which users find them: haproxy's, where there are several."""
    with ExitStack() as stack:
        for port in replicas:
            stack.enter_context(background(folder, f"service-{port}", "-m", "dataplane.service", "--port", str(port)))
        for port in replicas:
            wait_until_it_answers(f"http://127.0.0.1:{port}")
        if len(replicas) == 1:
            yield f"http://127.0.0.1:{replicas[0]}"
            return
        front = free_port()
        servers = "\n".join(f"  server r{port} 127.0.0.1:{port}" for port in replicas)
        (folder / "haproxy.cfg").write_text(HAPROXY.format(front=front, servers=servers), "utf-8")
        haproxy = str(shutil.which("haproxy"))
        stack.enter_context(background(folder, "haproxy", "-f", "haproxy.cfg", program=haproxy))
        wait_until_it_answers(f"http://127.0.0.1:{front}")
        yield f"http://127.0.0.1:{front}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def background(folder: Path, name: str, *words: str, program: str = sys.executable) -> Iterator[None]:
    """A program that runs beside the demo and ends with it; what it says goes to `name`.log."""
    with (folder / f"{name}.log").open("ab") as log:
        process = subprocess.Popen([program, *words], cwd=folder, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            if process.poll() is None:
                process.kill()


def wait_until_it_answers(endpoint: str) -> None:
    for _ in range(300):
        with suppress(OSError):
            urllib.request.urlopen(f"{endpoint}/healthz", timeout=1).close()
            return
        time.sleep(0.1)
    sys.exit("The service did not start within 30 s; see the service logs in the demo's folder.")


def ask(endpoint: str) -> None:
    """One question, and what served it."""
    body = json.dumps({"key": "reader", "query": QUESTION}).encode()
    request = urllib.request.Request(f"{endpoint}/query", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as reply:
        answer = json.load(reply)
    print(f"query:  {QUESTION}?")
    print(f"answer: {answer['answer']}")
    versions = ", ".join(f"{slot} {artifact}" for slot, artifact in answer["components"].items())
    print(f"served by {answer['release']}: {versions}", flush=True)


def check_telemetry(folder: Path) -> None:
    """Counts, from the service's own records alone, what was served and whether any request was served by a mix."""
    served: Counter[str] = Counter()
    made_of: dict[str, set[str]] = {}
    replicas: Counter[str] = Counter()
    failed = 0
    for line in (folder / ".rollcast/live/telemetry/requests.jsonl").read_text("utf-8").splitlines():
        record: Mapping[str, Any] = json.loads(line)
        failed += bool(record["error"])
        replicas[record["replica"]] += 1
        if record["release"]:
            served[record["release"]] += 1
            made_of.setdefault(record["release"], set()).add(json.dumps(record["components"], sort_keys=True))
    mixed = sum(len(configurations) - 1 for configurations in made_of.values())
    print(f"requests on record: {sum(served.values())}, failed: {failed}, of {len(replicas)} replicas")
    for release, count in served.items():
        print(f"  {release}: {count} requests, {len(made_of[release])} configuration")
    print(f"releases that served more than one mix of versions: {mixed}", flush=True)
    if mixed or failed:
        sys.exit("The demo failed: no request may fail or get a mixed configuration.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    default = EXAMPLE.parent.parent / "build" / "demo"
    parser.add_argument("--folder", type=Path, default=default, help="where to work; it is emptied first")
    folder = parser.parse_args().folder.resolve()
    began = time.monotonic()
    replicas = [free_port() for _ in range(2 if shutil.which("haproxy") else 1)]
    copy_example(folder, replicas)
    os.environ.setdefault("NO_COLOR", "" if sys.stdout.isatty() else "1")

    with serving(folder, replicas) as endpoint:
        say(
            "1. The first release",
            f"A copy of the example is in {folder}. Its service runs, and nothing is released yet:",
            "two replicas behind haproxy." if len(replicas) > 1 else "one replica. With haproxy on PATH there are two.",
            "released.yaml declares what should serve today; apply builds it and puts it in place.",
        )
        run(folder, "apply", "--file", "released.yaml", "--auto-approve", "--no-forecast")
        ask(endpoint)

        say("2. Why order matters", "An embedder and an index of different releases give nonsense without any error.")
        subprocess.run([sys.executable, "tools/show_mixes.py"], cwd=folder, check=True)

        say("3. The plan", "rollcast.yaml declares the next release. What would happen, and the rollback:")
        run(folder, "plan", "--out", "release.plan")

        say("4. The forecast", "The plan is replayed against one recorded hour (19,366 requests), gates in the loop.")
        run(
            folder,
            "simulate",
            "release.plan",
            "--traffic",
            TRACE,
            "--scale",
            str(SPEEDUP),
            "--runs",
            "20",
            "--seed",
            "7",
        )

        say(
            "5. Apply",
            f"The same plan, for real. The recorded hour runs against the live service, {SPEEDUP} times as fast,",
            "while the release moves milestone by milestone: the desired share, beside the share measured.",
        )
        load = ("load.py", "--endpoint", endpoint, "--speedup", str(SPEEDUP), "--seconds", "1800")
        with background(folder, "load", *load):
            run(folder, "apply", "release.plan", "--auto-approve", "--no-forecast")
            ask(endpoint)
            check_telemetry(folder)

            say(
                "6. A bad release",
                "harmful.yaml has a safety policy that forgot what to withhold. Its evaluation was too small to show",
                "it. Nobody watches: the gate has to catch it.",
            )
            run(folder, "apply", "--file", "harmful.yaml", "--auto-approve", "--no-forecast", expect=4)

        say("7. What serves now")
        run(folder, "status")
        ask(endpoint)
        check_telemetry(folder)
    minutes, seconds = divmod(round(time.monotonic() - began), 60)
    say("Done", f"{minutes} min {seconds} s. The folder {folder} is a project of its own: go on from there.")


if __name__ == "__main__":
    main()
