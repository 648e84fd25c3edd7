"""Every environment of a project in sequence: what serves in each, since when, and whether what is declared may enter.

An environment whose target or ledger can't be read is reported with the reason; the others are shown all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rollcast.planner.base.errors import PlannerError
from rollcast.planner.releases.releases import releases_of
from rollcast.stacks.base.clock import Clock
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.eligibility.approvals import approvals_of
from rollcast.stacks.eligibility.periods import served_history
from rollcast.stacks.eligibility.rule import eligibility
from rollcast.stacks.ledger.records import Record
from rollcast.stacks.ledger.rollouts import existing_of
from rollcast.stacks.project import Project, choose_environment, read_declaration
from rollcast.stacks.rollout.status import status

FORMAT_VERSION = "1.0"
PlanDigest = Callable[[Project], str]


def sequence_status(folder: Path, file: str, plan_digest: PlanDigest, clock: Clock | None = None) -> dict[str, Any]:
    """The report, as `status --all --format json` prints it. Nothing is changed.

    `plan_digest`: of the plan that would be applied in a project's environment now; approvals are of one plan. Raises
    StackError or DeclarationError where the project can't be read.
    """
    _, declaration = read_declaration(folder, file)
    project = Project.open(folder, next(iter(declaration.environments)), file)
    clock = clock or Clock()
    declared = {track: release.id for track, release in releases_of(project.declaration, project.digests).items()}
    found = []
    for name in declaration.in_sequence():
        _, settings = choose_environment(project.declaration, name, file)
        own = replace(project, environment_name=name, environment=settings)
        found.append(_environment(own, declared, plan_digest, clock))
    return {
        "format_version": FORMAT_VERSION,
        "pipeline": declaration.pipeline,
        "declared": declared,
        "environments": found,
    }


def _environment(
    project: Project, declared: Mapping[str, str], plan_digest: PlanDigest, clock: Clock
) -> dict[str, Any]:
    after = project.environment.after
    report: dict[str, Any] = {
        "environment": project.environment_name,
        "after": None if after is None else {
            "environment": after.environment, "for_s": after.for_, "approved_by": list(after.approved_by),
            "approvals": after.approvals if after.approved_by else 0, "hotfix": after.hotfix.value,
        },
        "serving": [], "releases": {}, "rollout": None, "notes": [], "served": [], "waits": [], "eligibility": None,
        "problem": "",
    }  # fmt: skip
    try:
        seen = status(project)
        report.update({key: seen[key] for key in ("serving", "releases", "rollout", "notes")})
        own = existing_of(project)
        records = own.records() if own is not None else []
        report["served"] = _served(records, declared, clock.wall_s())
        now: dict[str, set[str]] = {}
        for share in seen["serving"]:
            now.setdefault(share["line"], set()).add(share["release"])
        waits = {track: release for track, release in declared.items() if now.get(track) != {release}}
        report["waits"] = sorted(waits)
        if after is not None:
            given = approvals_of(records, after, plan_digest(project)) if waits and after.approved_by else None
            report["eligibility"] = eligibility(project, waits, given, clock).to_json()
    except (StackError, PlannerError) as error:
        report["problem"] = str(error)
    return report


def _served(records: list[Record], declared: Mapping[str, str], now_s: float) -> list[dict[str, Any]]:
    """Since when what was promoted last serves everybody, by channel."""
    histories = {track: served_history(records, track, now_s) for track in declared}
    return [
        {"line": track, "release": one.release, "since_s": one.since_s, "served_s": one.served_s}
        for track, history in histories.items()
        for one in history.periods
        if one.current
    ]


__all__ = ["sequence_status"]
