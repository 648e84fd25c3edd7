"""Which release served whom at a moment, for a request, or in a window; and a declaration that reproduces it.

The ledger says when each milestone was reached and what served from then on, read back at that time. Between the intent
and the result of a shift both are possible, and the answer says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rollcast.planner.plan.models import Share
from rollcast.planner.releases.releases import Release
from rollcast.stacks.artifacts.recipes import BY_NAME
from rollcast.stacks.base.clock import moment
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.ledger.ledger import Ledger
from rollcast.stacks.ledger.payloads import IntentBody, ReachedBody
from rollcast.stacks.ledger.records import Record, verify
from rollcast.stacks.ledger.rollouts import RECOVERED, STARTED, RolloutContext, load
from rollcast.stacks.telemetry import TelemetrySource

FORMAT_VERSION = "1.0"


class Audit:
    """One reading of the ledger. Raises LedgerError when its chain is broken: then it proves nothing."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._records = ledger.records()
        verify(self._records)
        self._works: dict[str, RolloutContext] = {}

    def at(self, time_s: float) -> dict[str, Any]:
        """What served whom at a moment, with every version and digest. Seconds since 1970."""
        reached = self._reached(time_s)
        if not reached:
            raise StackError("The ledger knows of nothing that served then: no milestone had been reached. Ask later.")
        return {"format_version": FORMAT_VERSION, "time_s": time_s, **self._answer(reached[-1], time_s)}

    def between(self, start_s: float, end_s: float) -> dict[str, Any]:
        """Every configuration that served in a window, in order."""
        if end_s < start_s:
            raise StackError("The window ends before it begins. Exchange the two times.")
        self._reached(start_s)
        for record in self._records:
            if record.kind == RECOVERED and start_s < record.time_s <= end_s:
                raise _recovered(record)
        reached = [r for r in self._records if r.kind == "reached"]
        before = [r for r in reached if r.time_s <= start_s][-1:]
        inside = [r for r in reached if start_s < r.time_s <= end_s]
        parts = [{**self._answer(r, r.time_s), "from_s": max(r.time_s, start_s)} for r in [*before, *inside]]
        for part, following in zip(parts, [*[p["from_s"] for p in parts[1:]], end_s], strict=True):
            part["to_s"] = following
        return {"format_version": FORMAT_VERSION, "from_s": start_s, "to_s": end_s, "periods": parts}

    def request(self, name: str, source: TelemetrySource) -> dict[str, Any]:
        """What served one request, from its telemetry record, with digests from the ledger."""
        found = source.find(name)
        if found is None:
            raise StackError(f"Telemetry has no request '{name}'. Check the id, or search older telemetry.")
        if found.release is None:
            raise StackError(f"Request '{name}' was served by no release: it failed before one was chosen.")
        release = self._release(found.release)
        expected = {slot: version.reference for slot, version in release.slots.items()}
        return {
            "format_version": FORMAT_VERSION,
            "request": name,
            "time_s": found.time_s,
            "channel": found.channel,
            "release": found.release,
            "components": versions(release),
            "flags": release.flags,
            "as_recorded": None if found.components is None else dict(found.components),
            "whole": None if found.components is None else dict(found.components) == expected,
        }

    def releases_at(self, time_s: float) -> tuple[RolloutContext, dict[str, Release]]:
        """The rollout that a moment belongs to, and the releases that served then, by track. Raises StackError."""
        reached = self._reached(time_s)
        if not reached:
            raise StackError("The ledger knows of nothing that served then. Ask for a later time.")
        served: dict[str, set[str]] = {}
        for share in reached[-1].read(ReachedBody).serving:
            served.setdefault(share["line"], set()).add(share["release"])
        if not served:
            raise StackError("Nothing was served then, so there is nothing to reproduce. Ask for another time.")
        split = {track: ids for track, ids in served.items() if len(ids) > 1}
        if split:
            shown = "; ".join(f"{track}: {', '.join(sorted(ids))}" for track, ids in split.items())
            raise StackError(f"Traffic was split then ({shown}). Name one of these with --release.")
        return self._work(reached[-1]), {track: self._release(min(ids)) for track, ids in served.items()}

    def serving_at(self, time_s: float) -> dict[str, Release]:
        """Every release that served somebody at a moment, by id. Raises StackError where nothing did."""
        found = self.at(time_s)["releases"]
        if not found:
            raise StackError("Nothing was served then. Ask for another time.")
        return {name: self._release(name) for name in found}

    def release(self, name: str) -> tuple[RolloutContext, Release]:
        """A release by its id, and the rollout that knows it."""
        for record in reversed(self._records):
            if record.kind == STARTED and name in self._work(record).plan.releases:
                context = self._work(record)
                return context, context.plan.releases[name]
        raise StackError(f"The ledger knows no release '{name}'. See 'rollcast history'.")

    # ---- parts --------------------------------------------------------------------------------

    def _reached(self, time_s: float) -> list[Record]:
        """The milestones that say what served then. Raises StackError where the ledger was lost between."""
        known = [r for r in self._records if r.kind in ("reached", RECOVERED) and r.time_s <= time_s]
        if known and known[-1].kind == RECOVERED:
            raise _recovered(known[-1])
        return [record for record in known if record.kind == "reached"]

    def _answer(self, record: Record, time_s: float) -> dict[str, Any]:
        shares = [Share.model_validate(share) for share in record.read(ReachedBody).serving]
        releases = {name: self._release(name) for name in sorted({share.release for share in shares})}
        return {
            "rollout": record.rollout,
            "milestone": record.read(ReachedBody).milestone,
            "since_s": record.time_s,
            "serving": [share.model_dump(mode="json") for share in shares],
            "audiences": self._work(record).plan.audiences,
            "releases": {name: {"components": versions(r), "flags": r.flags} for name, r in releases.items()},
            "record": record.hash,
            "moving": list(self._moving(record, time_s)),
        }

    def _moving(self, reached: Record, time_s: float) -> Iterator[str]:
        """Shifts that had been begun at that moment, and were done later: either side may have served."""
        for record in self._records:
            if record.seq > reached.seq and record.time_s <= time_s and record.kind == "intent":
                yield record.read(IntentBody).title

    def _release(self, name: str) -> Release:
        return self.release(name)[1]

    def _work(self, record: Record) -> RolloutContext:
        if record.rollout not in self._works:
            started = next(r for r in self._records if r.kind == STARTED and r.rollout == record.rollout)
            self._works[record.rollout] = load(self._ledger, started)
        return self._works[record.rollout]


def _recovered(record: Record) -> StackError:
    """What is said of a time that a ledger knows nothing of, because it was lost."""
    return StackError(
        f"The ledger was recovered at {moment(record.time_s)}: until its next milestone it knows only what was found "
        "then, which 'rollcast history' shows. Ask for a time after that milestone."
    )


def versions(release: Release) -> dict[str, dict[str, Any]]:
    """Kind, name@version, digest and parameters of every slot; `pinned` where that is less than content."""
    found: Mapping[str, Any] = release.variant("default")["components"]
    parts = {slot: {k: part[k] for k in ("artifact", "kind", "digest", "parameters")} for slot, part in found.items()}
    for slot, version in release.slots.items():
        if version.artifact.by_name:
            parts[slot]["pinned"] = BY_NAME
    return parts
