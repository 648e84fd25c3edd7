"""One look at one environment: the command `apply --once`, and what it said."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rollcast.cli.following.workers import Workers, lines_of
from rollcast.stacks.following.schedule import RolloutState

_MOST_SAID = 20  # lines of standard error that are kept


@dataclass
class LookResult:
    """How a look ended. `milestone`, `gates`: of the rollout under way; -1 and nothing where there is none."""

    exit: int = 1
    outcome: str | None = None
    reason: str = ""
    due_s: float | None = None
    began: bool = False  # whether a rollout is what it was about
    held: bool = False
    milestone: int = -1
    gates: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def state(self) -> RolloutState:
        match self.exit:
            case 0:
                return RolloutState.DECLARED
            case 3:
                return RolloutState.BLOCKED
            case 4:
                return RolloutState.ROLLED_BACK
            case 5 if self.held:
                return RolloutState.HELD
            case 5:
                return RolloutState.UNDER_WAY if self.began else RolloutState.WAITING
            case 7:
                return RolloutState.LOCKED
            case 130 | -2 | -15:
                return RolloutState.INTERRUPTED
            case _:
                return RolloutState.FAILED


class Looker:
    """Runs the command. `forecast`: whether recorded traffic is replayed before; `file`: the declaration's name."""

    def __init__(self, workers: Workers, file: str, forecast: bool) -> None:
        self._workers, self._file, self._forecast = workers, file, forecast

    async def look(self, folder: str, environment: str, take: Callable[[Mapping[str, Any]], None]) -> LookResult:
        """Carries one environment out as far as it goes now; each event is given to `take`."""
        found = LookResult()

        def hear(line: str) -> None:
            try:
                body = json.loads(line)
            except ValueError:
                return  # what a project's own code prints
            if isinstance(body, dict) and "event" in body:
                _learn(found, body)
                if body["event"] != "ended":
                    take(body)

        forecast = [] if self._forecast else ["--no-forecast"]
        words = ["--env", environment, "--file", self._file, "apply", "--once", "--auto-approve", "--format", "json"]
        found.exit, said = await self._run(folder, [*words, *forecast], hear)
        if found.reason and found.exit in (0, 4, 5):
            return found
        found.reason = _why(said) or found.reason or f"it was ended by signal {-found.exit}"
        return found

    async def validate(self, folder: str) -> str:
        """Why what a folder declares can't be used; empty where it can."""
        code, said = await self._run(folder, ["--file", self._file, "validate"], lambda line: None)
        return "" if code == 0 else (_why(said) or "Its check was ended.")

    async def _run(self, folder: str, words: list[str], hear: Callable[[str], None]) -> tuple[int, list[str]]:
        said: list[str] = []

        def keep(line: str) -> None:
            said.append(line[:2000])
            del said[:-_MOST_SAID]

        try:
            work = await self._workers.begin(folder, words)
            await asyncio.gather(lines_of(work.out, work.ended, hear), lines_of(work.said, work.ended, keep))
            return await work.ended, said
        except ConnectionError as error:
            return 1, [f"Error: {error}"]


def _learn(found: LookResult, body: Mapping[str, Any]) -> None:
    kind = body["event"]
    if kind in ("started", "working", "reached", "look", "held", "rollback", "finished"):
        found.began = kind != "finished"
    if kind in ("reached", "look"):
        found.milestone = int(body["milestone"])
    if kind == "look":
        found.gates = {str(gate["metric"]): gate.get("e_value_harm") for gate in body["gates"]}
    if kind == "held":
        found.held = True
    if kind in ("working", "reached", "finished"):
        found.held = False
    if kind == "finished":
        found.milestone, found.gates = -1, {}
    if kind == "ended":
        found.outcome, found.reason, found.due_s = body["outcome"], str(body["reason"]), body.get("due_s")


def _why(said: list[str]) -> str:
    """What a command said is wrong."""
    errors = [line.removeprefix("Error: ") for line in said if line.startswith(("Error: ", "Guardrail "))]
    return " ".join(errors) if errors else (said[-1] if said else "")


__all__ = ["LookResult", "Looker"]
