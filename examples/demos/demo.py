"""One demo: a copy of an example as a running system, shown step by step, ended by one line that says what happened.

    demo = Demo(EXAMPLE, service=["-m", "dataplane.service"], declarations=["released.yaml", "rollcast.yaml"])
    with demo.serving() as endpoint:
        demo.say("1. The first release", "…")
        demo.run("apply", "--file", "released.yaml", "--auto-approve")
        with demo.load(endpoint, "--speedup", "20"):
            demo.run("apply", "--auto-approve")
            demo.run("apply", "--file", "harmful.yaml", "--auto-approve", expect=4)
        demo.check_telemetry()
    demo.finish(forecast="forecast.json")

`finish` prints `demo: {…}` and writes it to summary.json in the demo's folder: `promoted` (whether each release but the
caught ones was), `caught_after_s` and `exposed` (seconds and requests from the first request that the newest rejected
release served to its last), `forecast_said`, `mixed` (requests beyond one configuration for each release) and `lost`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from demos.counting import Counts, count
from demos.replicas import background, free_port, serving

HARNESS = Path(__file__).resolve().parent
ADDRESS = "http://127.0.0.1:8787"  # what an example's declarations call the service
LEFT_OUT = (".rollcast", "__pycache__", ".pytest_cache", ".hypothesis", "build")


class Demo:
    """The copy of an example in `folder`, and what was done with it so far.

    `service`: words after `python` that start a replica; `--port N` is added.
    `declarations`: files in which the service's address is replaced by that of each replica.
    `keep_built`: what an earlier demo built in the same folder is used again; content is known by its digest.
    """

    def __init__(
        self,
        example: Path,
        *,
        service: Sequence[str],
        declarations: Sequence[str],
        folder: Path | None = None,
        keep_built: bool = False,
    ) -> None:
        self.example, self.began = example.resolve(), time.monotonic()
        self.folder = (folder or _folder_given(self.example)).resolve()
        self.service = list(service)
        self.replicas = [free_port() for _ in range(2 if shutil.which("haproxy") else 1)]
        os.environ.setdefault("NO_COLOR", "" if sys.stdout.isatty() else "1")
        self._copy(declarations, keep_built)
        self._loads = 0

    def _copy(self, declarations: Sequence[str], keep_built: bool) -> None:
        built, aside = self.folder / ".rollcast/artifacts", self.folder.with_name(f".{self.folder.name}-built")
        shutil.rmtree(aside, ignore_errors=True)
        if keep_built and built.is_dir():
            built.rename(aside)
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.example, self.folder, ignore=shutil.ignore_patterns(*LEFT_OUT))
        shutil.copytree(
            HARNESS, self.folder / HARNESS.name, ignore=shutil.ignore_patterns(*LEFT_OUT), dirs_exist_ok=True
        )
        if aside.is_dir():
            built.parent.mkdir(parents=True)
            aside.rename(built)
        addresses = ", ".join(f"http://127.0.0.1:{port}" for port in self.replicas)
        for name in declarations:
            path = self.folder / name
            path.write_text(path.read_text("utf-8").replace(ADDRESS, f"[{addresses}]"), "utf-8")

    def say(self, title: str, *lines: str) -> None:
        """A step, for a newcomer."""
        print(f"\n\n=== {title}", flush=True)
        for line in lines:
            print(f"    {line}")
        print(flush=True)

    def run(self, *words: str, expect: int = 0) -> None:
        """Runs a rollcast command in the folder and shows it. Ends the demo when it exits with another code."""
        print(f"$ rollcast {' '.join(words)}", flush=True)
        self._call([str(Path(sys.executable).parent / "rollcast"), *words], expect)

    def caught(self, declared: str, simulate: Sequence[str]) -> None:
        """A bad release: planned, forecast into bad.json with these words, carried out until its gate rolls it back."""
        file = ("--file", declared)
        self.run("plan", *file, "--out", "bad.plan")
        self.run("simulate", "bad.plan", *simulate, "--out", "bad.json", *file)
        self.run("apply", "bad.plan", *file, "--auto-approve", "--no-forecast", expect=4)
        self.run("compare", "bad.json")

    def python(self, *words: str) -> None:
        """Runs a program of the example in the folder and shows it. Ends the demo when it fails."""
        print(f"$ python {' '.join(words)}", flush=True)
        self._call([sys.executable, *words], 0)

    def _call(self, command: Sequence[str], expect: int) -> None:
        code = subprocess.run(command, cwd=self.folder, check=False).returncode
        if code != expect:
            sys.exit(f"The demo stops here: that command exited with {code}, and {expect} was expected.")
        if expect:
            print(f"(exit code {code}, as it should)", flush=True)

    @contextmanager
    def serving(self) -> Iterator[str]:
        """The replicas of the service, and the address at which users find them."""
        with serving(self.folder, self.replicas, self.service) as endpoint:
            yield endpoint

    @contextmanager
    def load(self, endpoint: str, *words: str) -> Iterator[None]:
        """The example's load against the service, until the block ends."""
        self._loads += 1
        with background(self.folder, f"load-{self._loads}", "load.py", "--endpoint", endpoint, *words):
            yield

    def check_telemetry(self) -> Counts:
        """Counts, from the service's own records alone, what was served and whether any request was served by a mix."""
        found = count(self.folder)
        print(f"requests on record: {found.served.total()}, failed: {found.failed}, of {len(found.replicas)} replicas")
        for release, served in found.served.items():
            print(f"  {release}: {served} requests, {len(found.made_of[release])} configuration")
        print(f"releases that served more than one mix of versions: {found.mixed}", flush=True)
        if found.mixed or found.failed:
            sys.exit("The demo failed: no request may fail or get a mixed configuration.")
        return found

    def history(self) -> Sequence[Mapping[str, Any]]:
        """Every rollout of the ledger, the newest first."""
        command = [str(Path(sys.executable).parent / "rollcast"), "history", "--format", "json"]
        done = subprocess.run(command, cwd=self.folder, check=True, capture_output=True, text=True)
        rollouts: list[Mapping[str, Any]] = json.loads(done.stdout)["rollouts"]
        return rollouts

    def forecast(self, name: str, metric: str) -> dict[str, Any]:
        """What a forecast in the folder says, in short: how the rollout ends, and how its gates would catch the
        greatest regression of a metric that it tried (in the metric's unit; None where it tried none).
        """
        found = json.loads((self.folder / name).read_text("utf-8"))
        tried = [each for each in found["detection"] if each["metric"] == metric]
        worst = max(tried, key=lambda each: abs(each["regression"]), default=None)
        shown = ("metric", "regression", "probability", "seconds", "requests_exposed")
        caught = {word: _short(worst[word]) for word in shown} if worst else None
        return {"promoted": _short(found["outcome"]["promoted"]), "would_catch": caught}

    def lost(self) -> int:
        """Requests of the loads that ended so far that got no answer, or one with an error of the service."""
        lost = 0
        for path in self.folder.glob("load-*.log"):
            said = path.read_text("utf-8").splitlines()
            statuses = json.loads(said[-1])["statuses"] if said and said[-1].startswith("{") else {"no end": 1}
            lost += sum(many for status, many in statuses.items() if status[:1] not in "234" and status != "shed")
        return lost

    def finish(self, forecast_said: object = None) -> dict[str, Any]:
        """The last line: what happened, as JSON, in summary.json too."""
        found, rollouts = count(self.folder), self.history()
        rejected = [each for each in rollouts if each["outcome"] == "rolled_back"]
        bad = next(iter(rejected[0]["to_release"].values())) if rejected else ""
        seconds = found.seconds(bad)
        summary = {
            "system": self.example.name,
            "promoted": all(each["outcome"] == "promoted" for each in rollouts if each not in rejected),
            "caught_after_s": None if seconds is None else round(seconds, 1),
            "exposed": found.served[bad],
            "forecast_said": forecast_said,
            "mixed": found.mixed,
            "lost": self.lost() + found.failed,
            "seconds": round(time.monotonic() - self.began),
        }
        (self.folder / "summary.json").write_text(json.dumps(summary) + "\n", "utf-8")
        minutes, rest = divmod(summary["seconds"], 60)
        self.say("Done", f"{minutes} min {rest} s. The folder {self.folder} is a project of its own: go on from there.")
        print(f"demo: {json.dumps(summary)}", flush=True)
        return summary


def _short(value: Any) -> Any:
    """A number as it is read: four digits."""
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _folder_given(example: Path) -> Path:
    """The folder of the command line."""
    parser = argparse.ArgumentParser(description=f"The demo of {example.name}.")
    checkout = HARNESS.parent == example.parent
    default = example.parent.parent / "build" / f"demo-{example.name}" if checkout else example / "build" / "demo"
    parser.add_argument("--folder", type=Path, default=default, help="where to work; it is emptied first")
    found: Path = parser.parse_args().folder
    return found
