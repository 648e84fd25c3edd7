"""Evaluations of releases: what was run before is taken from the ledger, what is run now is written there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from rollcast.planner.declaration.models import Evaluate, Evaluator
from rollcast.planner.plan.models import Operation, Plan, SuiteFinding
from rollcast.planner.releases.releases import Release, releases_of, tracks_of
from rollcast.stacks.artifacts.building import Progress, materialize
from rollcast.stacks.artifacts.recipes import definitions_of
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.engine.program import EVALUATE_S
from rollcast.stacks.evaluators import evaluator_of
from rollcast.stacks.evaluators.results import SuiteResult, result_of
from rollcast.stacks.ledger.evaluations import evaluator_digest, known, record, results_of
from rollcast.stacks.ledger.lease import Lease
from rollcast.stacks.ledger.ledger import Ledger
from rollcast.stacks.ledger.rollouts import RolloutContext, existing_of, ledger_of
from rollcast.stacks.project import Project
from rollcast.stacks.registries.vendor import is_served_by

Results = Mapping[str, SuiteResult]  # by operation id


def known_results(ledger: Ledger, context: RolloutContext, operations: Sequence[Operation]) -> Results:
    """What evaluations found before, on the same release with the same suite and judge."""
    found: dict[str, SuiteResult] = {}
    own = [(operation, operation.evaluate) for operation in operations if operation.evaluate is not None]
    results = results_of(ledger.records()) if own else []
    for operation, evaluate in own:
        before = known(results, operation.release or "", evaluate, context.digests.get(evaluate.suite, ""))
        if before is not None and not before.stale:
            found[operation.id] = before.body.result
    return found


def record_results(
    ledger: Ledger,
    lease: Lease,
    context: RolloutContext,
    operations: Sequence[Operation],
    results: Results,
    before: Results,
) -> None:
    """Writes down what was run now: all results that were not known `before`."""
    for operation in operations:
        if operation.evaluate is not None and operation.id in results and operation.id not in before:
            suite = operation.evaluate.suite
            made_from = context.definitions.get(suite, {}).get("derived_from") or ()
            digest, result = context.digests.get(suite, ""), results[operation.id]
            record(ledger, context.id, operation.release or "", operation.evaluate, digest, made_from, result, lease)


def findings_of(project: Project, plan: Plan) -> tuple[SuiteFinding, ...]:
    """What the suites of a plan's tracks found on its releases before, stale or not; nothing without a ledger."""
    suites = {
        (one.suite, evaluator_digest(one)): one for track in plan.lines.values() for one in track.rollout.evaluate
    }
    wanted = [(evaluate, release) for evaluate in suites.values() for release in plan.releases]
    ledger = existing_of(project) if wanted else None
    results = results_of(ledger.records()) if ledger else []
    found = []
    for evaluate, release in wanted if results else ():
        before = known(
            results, release, evaluate, project.digests.get(evaluate.suite, ""), _made_from(project, evaluate)
        )
        if before is not None:
            body = before.body
            found.append(
                SuiteFinding(
                    release=release, suite=body.suite, judge=body.result.judge, cases=body.result.cases,
                    measured=datetime.fromtimestamp(before.time_s, UTC).date().isoformat(),
                    metrics=body.result.metrics, counts=body.result.counts, stale=before.stale,
                )
            )  # fmt: skip
    return tuple(found)


@dataclass(frozen=True)
class SuiteRun:
    """One suite on one release. refused: the thresholds that it misses, in words. known: it was not run again."""

    release: str
    suite: str
    result: SuiteResult
    refused: tuple[str, ...]
    known: bool


def run_suites(
    project: Project,
    release: str | None = None,
    suites: Collection[str] = (),
    *,
    again: bool = False,
    progress: Progress = lambda text: None,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[SuiteRun]:
    """Runs the declared suites on declared releases, one after the other, each result into the ledger.

    release: the id of one; all where left out. suites: references or names; all where empty. again: pay for it twice.
    Raises StackError: there is none of these, or a suite can't be run.
    """
    tracks, declared = tracks_of(project.declaration), releases_of(project.declaration, project.digests)
    if release is not None and release not in {one.id for one in declared.values()}:
        known_ids = ", ".join(sorted({one.id for one in declared.values()}))
        raise StackError(f"'{release}' is not what is declared now ({known_ids}). Check out its declaration first.")
    wanted = [
        (track, one, evaluate)
        for track, one in declared.items()
        for evaluate in tracks[track].rollout.evaluate
        if release in (None, one.id) and (not suites or {evaluate.suite, evaluate.suite.partition("@")[0]} & {*suites})
    ]
    if not wanted:
        raise StackError("No such suite is declared. List it under 'rollout: {evaluate: [{suite: …}]}'.")
    ledger = ledger_of(project)
    results = results_of(ledger.records())
    done: dict[tuple[str, str, str], SuiteResult] = {}
    for track, one, evaluate in wanted:
        digest, key = project.digests[evaluate.suite], (one.id, evaluate.suite, evaluator_digest(evaluate))
        before = known(results, one.id, evaluate, digest, _made_from(project, evaluate))
        holds = before.body.result if before is not None and not before.stale and not again else done.get(key)
        result = holds or _run(project, one, tracks[track].channel, evaluate, progress, stopped)
        if holds is None:
            record(ledger, "", one.id, evaluate, digest, _made_from(project, evaluate), result)
            done[key] = result
        yield SuiteRun(one.id, evaluate.suite, result, refusals(evaluate, result, one), holds is not None)


def refusals(evaluate: Evaluate, result: SuiteResult, release: Release) -> tuple[str, ...]:
    """Why a result forbids to go on: thresholds that it misses, and vendors that served something else."""
    found = []
    for metric, least in sorted(evaluate.thresholds.items()):
        value = result.metrics.get(metric)
        if value is None or not value >= least:
            shown = "is not reported" if value is None else f"is {value:.3g}"
            found.append(f"{metric} {shown} on {evaluate.suite}, at least {least:g} is wanted")
    for slot, answered in sorted(result.served_by.items()):
        version = release.slots.get(slot)
        source = version.artifact.source if version is not None and version.artifact.by_name else None
        if source is not None and not is_served_by(source, answered):
            found.append(f"{slot} was served by {answered}, and {source} is declared: its vendor changed it")
    return tuple(found)


def _run(
    project: Project,
    release: Release,
    channel: str,
    evaluate: Evaluate,
    progress: Progress,
    stopped: Callable[[], bool],
) -> SuiteResult:
    """A suite on a release whose content is made here where that is possible."""
    definitions = definitions_of(project.declaration)
    folder = partial(materialize, definitions=definitions, digests=project.digests, project=project.folder)
    suite = folder(evaluate.suite, progress=progress, stopped=stopped)
    variant = release.variant(channel)
    for slot, version in release.slots.items():
        if not version.artifact.by_name:
            content = folder(version.reference, progress=progress, stopped=stopped)
            variant["components"][slot]["content"] = str(content.resolve())
    progress(f"evaluating {release.id} on {evaluate.suite}")
    runner = evaluator_of(evaluate.evaluator or Evaluator(), project.folder)
    endpoints = project.environment.endpoints
    return result_of(runner.evaluate(variant, suite, endpoints, EVALUATE_S, stopped), evaluate.suite)


def _made_from(project: Project, evaluate: Evaluate) -> list[str]:
    """The datasets of a suite, by its lineage."""
    found = {artifact.reference: artifact for artifact in project.declaration.artifacts}.get(evaluate.suite)
    return sorted(found.derived_from) if found is not None else []


__all__ = ["Results", "SuiteRun", "findings_of", "known_results", "record_results", "refusals", "run_suites"]
