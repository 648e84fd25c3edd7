"""`kind: inspect-ai`: the suite is a task of Inspect (https://inspect.aisi.org.uk), and its log is the result.

A sample passes where its score is `C`, or at least `passes_at`; `segment` in a sample's metadata says which segment of
the traffic it stands for. The task's solver asks the release, which it reads from ROLLCAST_RELEASE (see `process`).
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import Field

from rollcast.planner.declaration.models import Price
from rollcast.plugins.settings import Settings
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.evaluators.process import run_suite

_VALUES = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}  # Inspect's own letters: correct, partial, incorrect, no answer


class InspectSettings(Settings):
    """How `inspect eval` is run."""

    task: str = Field("task.py", description="the task's file in the suite, or file@task")
    model: str = Field("none", description="the model that the task generates with, where it does so itself")
    metric: str = Field("failure_rate", description="the metric that a failed sample counts for")
    passes_at: float = Field(1.0, description="the least score of a sample that passes")
    seed: int | None = None
    judge: str = Field("", description="who judges the answers, with a version; the task's scorers where left out")
    price: Price = Price()
    arguments: tuple[str, ...] = Field((), description="further arguments of `inspect eval`")


class InspectEvaluator:
    """Inspect, in a process of its own."""

    settings_model = InspectSettings

    def __init__(self, settings: InspectSettings, root: Path) -> None:
        self.settings, self.root = settings, root

    def evaluate(
        self,
        release: Mapping[str, Any],
        suite: Path,
        endpoints: Sequence[str],
        timeout_s: float,
        stopped: Callable[[], bool],
    ) -> Mapping[str, Any]:
        if find_spec("inspect_ai") is None:
            raise StackError("Inspect is not installed. Install it: pip install 'rollcast[inspect]'.")
        with tempfile.TemporaryDirectory() as folder:
            seed = [] if self.settings.seed is None else ["--seed", str(self.settings.seed)]
            copy = Path(folder) / "suite"  # Inspect changes into the task's folder
            shutil.copytree(suite, copy)
            argv = [
                sys.executable, "-m", "inspect_ai", "eval", self.settings.task, "--model", self.settings.model,
                "--log-dir", f"{folder}/logs", "--log-format", "json", "--display", "none", *seed,
                *self.settings.arguments,
            ]  # fmt: skip
            try:
                run_suite(argv, copy, release, suite, endpoints, timeout_s, stopped)
            finally:
                logs = sorted(Path(folder).glob("logs/*.json"))
                found = [json.loads(path.read_text("utf-8")) for path in logs]
                _refuse_unfinished(found)  # says more than the end of a traceback
            if not found:
                raise StackError(f"Inspect wrote no log of {self.settings.task}. Correct the suite.")
            return self._found(found)

    def _found(self, logs: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """Counts of all samples, and the task's own metrics beside the rate that passes."""
        scored = [found for log in logs for found in self._samples(log)]
        if not scored:
            raise StackError("The suite has no sample with a score, which proves nothing. Correct it.")
        segments: dict[str, dict[str, int]] = {}
        for failed, segment in scored:
            if segment:
                own = segments.setdefault(segment, {"failures": 0, "total": 0})
                own["total"] += 1
                own["failures"] += failed
        failures, total = sum(failed for failed, _ in scored), len(scored)
        return {
            "cases": total,
            "metrics": {"pass_rate": 1 - failures / total, **dict(_metrics(logs))},
            "counts": {self.settings.metric: {"failures": failures, "total": total, "segments": segments}},
            "judge": self.settings.judge or ", ".join(dict.fromkeys(_scorers(logs))),
            "seeds": [] if self.settings.seed is None else [self.settings.seed],
            "cost_usd": self._cost(logs),
        }

    def _samples(self, log: Mapping[str, Any]) -> Iterator[tuple[bool, str]]:
        """(failed, segment) of each sample; where several scorers judge, all must let it pass."""
        for sample in log.get("samples") or ():
            values = [_number(score.get("value")) for score in (sample.get("scores") or {}).values()]
            if values:
                failed = any(value < self.settings.passes_at for value in values)
                yield failed, str((sample.get("metadata") or {}).get("segment") or "")

    def _cost(self, logs: Sequence[Mapping[str, Any]]) -> float | None:
        """US dollars of the tokens that Inspect counted; nothing where the declaration names no price."""
        price = self.settings.price
        if price == Price():
            return None
        usage = [used for log in logs for used in (log.get("stats", {}).get("model_usage") or {}).values()]
        tokens = sum(
            used.get("input_tokens", 0) * price.usd_per_1k_input_tokens
            + used.get("output_tokens", 0) * price.usd_per_1k_output_tokens
            for used in usage
        )
        samples = sum(len(log.get("samples") or ()) for log in logs)
        return float(tokens) / 1000 + samples * price.usd_per_request


def _refuse_unfinished(logs: Sequence[Mapping[str, Any]]) -> None:
    """Raises StackError for a task that Inspect broke off."""
    for log in logs:
        if log.get("status") == "error":
            said = str((log.get("error") or {}).get("message", "no reason")).strip().splitlines()
            raise StackError(f"Inspect did not finish {log['eval']['task']} ({said[-1]}). Correct the suite.")


def _number(value: Any) -> float:
    if isinstance(value, bool | int | float):
        return float(value)
    return _VALUES.get(str(value), 0.0)


def _metrics(logs: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, float]]:
    for log in logs:
        for score in (log.get("results") or {}).get("scores") or ():
            for name, metric in score.get("metrics", {}).items():
                yield f"{score['name']}_{name}", float(metric["value"])


def _scorers(logs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for log in logs:
        yield from (str(scorer["name"]) for scorer in log["eval"].get("scorers") or ())


__all__ = ["InspectEvaluator", "InspectSettings"]
