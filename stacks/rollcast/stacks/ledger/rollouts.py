"""A rollout under way: the plan and all that it needs, kept in the ledger so that any process can go on with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rollcast.planner.declaration.models import Declaration
from rollcast.planner.plan.models import Plan
from rollcast.planner.releases.releases import Track, digest_of
from rollcast.stacks.artifacts.recipes import Definitions, definitions_of
from rollcast.stacks.flags.definitions import Audiences, stored
from rollcast.stacks.ledger.lease import Lease
from rollcast.stacks.ledger.ledger import Ledger, existing_ledger, open_ledger
from rollcast.stacks.ledger.payloads import StartedBody
from rollcast.stacks.ledger.records import Record
from rollcast.stacks.project import Project

STARTED, FINISHED = "started", "finished"
RECOVERING, RECOVERED = "recovering", "recovered"  # what was found and is being taken over; it is taken over


@dataclass(frozen=True)
class RolloutContext:
    """What one rollout carries out. `lines` and `audiences` are those of the plan and of what it replaces.

    `owner` is the lineage of its ledger, which what it writes carries. `plan_digest` is that of the plan as it began.
    """

    id: str
    plan: Plan
    declaration: Declaration
    definitions: Definitions
    digests: Mapping[str, str]
    lines: Mapping[str, Track]
    audiences: Audiences
    started_s: float
    owner: str
    plan_digest: str = ""


def scope_of(declaration: Declaration, environment: str) -> str:
    """The ledger's name for a pipeline in an environment."""
    return f"{declaration.pipeline}/{environment}"


def ledger_of(project: Project) -> Ledger:
    """The ledger of a project's environment."""
    return open_ledger(project.folder, scope_of(project.declaration, project.environment_name))


def existing_of(project: Project) -> Ledger | None:
    """The ledger of a project's environment; None where nothing was ever written."""
    return existing_ledger(project.folder, scope_of(project.declaration, project.environment_name))


def begin(
    ledger: Ledger,
    lease: Lease,
    plan: Plan,
    declaration: Declaration,
    digests: Mapping[str, str],
    before: Mapping[str, Any],
    about: Mapping[str, Any],
) -> RolloutContext:
    """Writes down that a rollout begins, with everything that it needs.

    `before`: the routing that it replaces; `about`: who, why, from what.
    """
    documents = {
        "plan": ledger.put(plan.model_dump(mode="json", by_alias=True)),
        "declaration": ledger.put(declaration.model_dump(mode="json", by_alias=True, exclude_defaults=True)),
        "digests": ledger.put(dict(digests)),
        "before": ledger.put(dict(before)),
    }
    last = ledger.last(STARTED)
    name = "ro-" + digest_of([ledger.scope, lease.token, documents["plan"], last.seq if last else -1])[7:19]
    body = StartedBody.model_validate(
        {
            **about,
            "documents": documents,
            "plan_digest": plan.digest,
            "binding": plan.binding.model_dump(mode="json"),
            "from_release": plan.from_release,
            "to_release": plan.to_release,
            "holder": str(lease.holder),
        }
    )
    return load(ledger, ledger.append(STARTED, name, body.to_json(), lease))


def load(ledger: Ledger, started: Record) -> RolloutContext:
    """The rollout that a record began."""
    body = started.read(StartedBody)
    documents = body.documents
    plan = stored(Plan, ledger.get(documents["plan"]), f"The plan of {started.rollout}")
    declaration = stored(Declaration, ledger.get(documents["declaration"]), f"The declaration of {started.rollout}")
    before = ledger.get(documents["before"])
    tracks = {key: stored(Track, track, f"Channel '{key}'") for key, track in before["lines"].items()}
    return RolloutContext(
        id=started.rollout,
        plan=plan,
        declaration=declaration,
        definitions=definitions_of(declaration),
        digests=ledger.get(documents["digests"]),
        lines={**tracks, **plan.lines},
        audiences={**before["audiences"], **plan.audiences},
        started_s=started.time_s,
        owner=ledger.lineage(),
        plan_digest=body.plan_digest,
    )


def under_way(ledger: Ledger) -> Record | None:
    """The record that began the rollout under way; None when there is none.

    What was under way when a ledger was lost is no more: what is known of it is older than what serves.
    """
    last = ledger.last(STARTED, FINISHED, RECOVERED)
    return last if last is not None and last.kind == STARTED else None


def last_started(ledger: Ledger) -> Record | None:
    """The record that began the last rollout; None where there is none since the ledger was recovered."""
    last = ledger.last(STARTED, RECOVERED)
    return last if last is not None and last.kind == STARTED else None


def is_recovered(ledger: Ledger) -> bool:
    """Whether the ledger was recovered, and no rollout has begun in it since."""
    last = ledger.last(STARTED, RECOVERED)
    return last is not None and last.kind == RECOVERED


def serial_of(ledger: Ledger) -> int:
    """How many rollouts have begun here: a plan made before another one began is stale."""
    return sum(1 for record in ledger.records() if record.kind == STARTED)
