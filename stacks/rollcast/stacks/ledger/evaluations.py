"""Results of evaluation suites: what was run on which release, and whether that still says anything.

A result belongs to a release, the content of the suite (its datasets included, by lineage) and the settings of who ran
it (its judge included). The same of all three is not paid for twice; another content or another judge makes it stale.
"""

from __future__ import annotations

import getpass
from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import Field

from rollcast.planner.declaration.models import Evaluate
from rollcast.planner.releases.releases import digest_of
from rollcast.stacks.base.formats import StoredModel
from rollcast.stacks.evaluators.results import SuiteResult
from rollcast.stacks.ledger.lease import Lease
from rollcast.stacks.ledger.ledger import Ledger
from rollcast.stacks.ledger.records import Record

EVALUATED = "evaluated"


class EvaluatedBody(StoredModel):
    """A suite was run on a whole release."""

    release: str
    suite: str
    suite_digest: str
    evaluator: str = Field("", description="the digest of the settings of who ran it")
    made_from: list[str] = Field(default_factory=list, description="the suite's datasets, name@version")
    result: SuiteResult
    by: str = ""


@dataclass(frozen=True)
class KnownResult:
    """A result, and when it was measured (seconds since 1970). stale: why it says nothing any more, else empty."""

    body: EvaluatedBody
    time_s: float
    stale: str = ""


def evaluator_digest(evaluate: Evaluate) -> str:
    """What stands for who runs a suite, judge included."""
    return digest_of(evaluate.evaluator.model_dump(mode="json") if evaluate.evaluator is not None else {})


def record(
    ledger: Ledger,
    rollout: str,
    release: str,
    evaluate: Evaluate,
    suite_digest: str,
    made_from: Iterable[str],
    result: SuiteResult,
    lease: Lease | None = None,
) -> Record:
    """Writes down what a suite found."""
    body = EvaluatedBody(
        release=release, suite=evaluate.suite, suite_digest=suite_digest, evaluator=evaluator_digest(evaluate),
        made_from=sorted(made_from), result=result, by=getpass.getuser(),
    )  # fmt: skip
    return ledger.append(EVALUATED, rollout, body.to_json(), lease)


def results_of(records: Iterable[Record]) -> list[KnownResult]:
    """Every result that was written down, oldest first."""
    return [KnownResult(one.read(EvaluatedBody), one.time_s) for one in records if one.kind == EVALUATED]


def known(
    results: Iterable[KnownResult], release: str, evaluate: Evaluate, suite_digest: str, made_from: Iterable[str] = ()
) -> KnownResult | None:
    """The newest result of a suite on a release: one that holds, else one that is stale and says why; None of none."""
    own = [one for one in results if one.body.release == release and one.body.suite == evaluate.suite]
    wanted = evaluator_digest(evaluate)
    holding = [one for one in own if one.body.suite_digest == suite_digest and one.body.evaluator == wanted]
    if holding:
        return holding[-1]
    if not own:
        return None
    last = own[-1]
    datasets = sorted(made_from)
    if last.body.made_from != datasets:
        why = f"its dataset was {', '.join(last.body.made_from) or 'none'}, and is {', '.join(datasets) or 'none'}"
    elif last.body.suite_digest != suite_digest:
        why = "the suite's content has changed"
    else:
        why = "who judges it, or how it is run, has changed"
    return KnownResult(last.body, last.time_s, why)


__all__ = ["EVALUATED", "EvaluatedBody", "KnownResult", "evaluator_digest", "known", "record", "results_of"]
