"""Guardrails over what a release is made of: its order of safety, evaluations, lineage, digests and approvals.

Long because each guardrail stands with its reasons and its helpers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta

from rollcast.planner.declaration.models import Artifact, ArtifactKind
from rollcast.planner.releases.releases import Release, SlotVersion
from rollcast.policies.rules.review import Review, SlotChange
from rollcast.policies.rules.rule import Level, Policy, Violation, register

CAPABILITIES = (ArtifactKind.MODEL_WEIGHTS, ArtifactKind.TOOL_SCHEMA, ArtifactKind.STYLE_ADAPTER)
JUDGED = (ArtifactKind.MODEL_WEIGHTS, ArtifactKind.SAFETY_POLICY)


def safety_before_capability(
    capabilities: Sequence[ArtifactKind | str] = CAPABILITIES,
    *,
    level: Level = "mandatory",
    name: str = "safety-before-capability",
) -> Policy:
    """Where a safety policy and a capability change in one plan, nobody gets the new capability under the old policy.

    Why: the policy was written for the capability. By default requests flow through safety last, so it would also
    change last; a contract or `ship_together` turns the order around.
    """

    def rule(review: Review) -> Iterator[Violation]:
        reported: set[tuple[str, str]] = set()
        for state in review.states:
            for share in state.new_shares:
                source, target = review.plan.ends_of(share.line)
                if source is None or target is None:
                    continue
                before, after = review.plan.releases[source], review.plan.releases[target]
                now = review.plan.releases[share.release]
                stale = _unlike(after, now, before, (ArtifactKind.SAFETY_POLICY,), arrived=False)
                fresh = _unlike(after, now, before, capabilities, arrived=True)
                if stale and fresh and (share.line, fresh[0]) not in reported:
                    reported.add((share.line, fresh[0]))
                    capability, safety = after.slots[fresh[0]], after.slots[stale[0]]
                    message = (
                        f"{capability.reference} would serve {share.percent:g} % of {share.audience} before "
                        f"{safety.reference} does."
                    )
                    remedy = (
                        f"Let {capability.reference} require a contract that {safety.reference} provides, or declare "
                        f"'ship_together: [[{fresh[0]}, {stale[0]}]]'."
                    )
                    yield Violation(message, review.component_path(share.line, fresh[0]), remedy, state)

    return register(rule, name, level, "a stricter safety policy ships before the capability that needs it")


def _unlike(
    after: Release, now: Release, before: Release, kinds: Sequence[ArtifactKind | str], *, arrived: bool
) -> list[str]:
    """Slots of these kinds that the plan changes and that have arrived, or have not, in what serves now."""
    found = []
    for slot, version in after.slots.items():
        if version.artifact.kind not in kinds:
            continue
        old, here = before.slots.get(slot), now.slots.get(slot)
        changes = old is None or old.identity != version.identity
        if changes and (here is not None and here.identity == version.identity) is arrived:
            found.append(slot)
    return found


def evaluation_fresh(
    max_age_days: int = 90,
    *,
    metrics: Sequence[str] = (),
    kinds: Sequence[ArtifactKind | str] = JUDGED,
    level: Level = "mandatory",
    name: str = "evaluation-fresh",
) -> Policy:
    """Every changed artifact of these kinds was evaluated at most `max_age_days` ago, by each of `metrics`.

    Why: an evaluation of last year's release, or of a release that was still being changed, says nothing of this one.
    A suite that the plan runs on the whole, fixed release before any traffic (`rollout.evaluate`) is always fresh.
    """

    def rule(review: Review) -> Iterator[Violation]:
        run = {operation.release for operation in review.plan.operations if operation.kind == "evaluate"}
        run |= {found.release for found in review.plan.evaluations if not found.stale}
        for change in review.changes:
            if change.after.artifact.kind in kinds and not _evaluated_in_the_plan(review, change, run):
                wrong = _stale(change.after.artifact, metrics, review.today, max_age_days)
                if wrong:
                    remedy = (
                        "Evaluate it and declare the counts with 'measured', or run a suite: 'rollout: {evaluate: …}'."
                    )
                    path = (*review.artifact_path(change.after.reference), "evaluations")
                    yield Violation(f"{change.after.reference} {wrong}.", path, remedy)

    return register(rule, name, level, "an old evaluation says nothing of this release")


def _evaluated_in_the_plan(review: Review, change: SlotChange, run: set[str | None]) -> bool:
    for release_id in run - {None}:
        release = review.plan.releases[str(release_id)]
        slot = release.slots.get(change.slot)
        if slot is not None and slot.identity == change.after.identity:
            return True
    return False


def _stale(artifact: Artifact, metrics: Sequence[str], today: date, max_age_days: int) -> str:
    """What is wrong with an artifact's evaluations, or nothing."""
    if not artifact.evaluations:
        return "has no evaluation"
    for metric in metrics:
        if metric not in artifact.evaluations:
            return f"has no evaluation of {metric}"
    for metric in metrics or artifact.evaluations:
        measured = artifact.evaluations[metric].measured
        if measured is None:
            return f"does not say when its {metric} was measured"
        try:
            day = date.fromisoformat(measured)
        except ValueError:
            return f"has a date of {metric} that is none: {measured}"
        if not today - timedelta(days=max_age_days) <= day <= today:
            return f"had its {metric} measured on {measured}, not within {max_age_days} days of {today}"
    return ""


def lineage_complete(
    kinds: Sequence[ArtifactKind | str] = (ArtifactKind.RETRIEVAL_INDEX,),
    *,
    level: Level = "mandatory",
    name: str = "lineage-complete",
) -> Policy:
    """Every artifact of these kinds that is to serve goes back, step by step, to a dataset with a place or a digest.

    Why: a complaint about an answer, a licence or a request to forget ends at the data; a chain with a gap does not.
    """

    def rule(review: Review) -> Iterator[Violation]:
        known = {artifact.reference: artifact for artifact in review.declaration.artifacts}
        reported: set[str] = set()
        for _, release in review.declared():
            for version in release.slots.values():
                reference = version.reference
                if version.artifact.kind not in kinds or reference in reported:
                    continue
                reported.add(reference)
                wrong = _gap(known.get(reference, version.artifact), known)
                if wrong:
                    remedy = "Name what it was made from in 'derived_from', down to a dataset with 'source' or 'build'."
                    yield Violation(f"{reference}: {wrong}.", review.artifact_path(reference), remedy)

    return register(rule, name, level, "a complaint, a licence and a request to forget end at the data")


def _gap(artifact: Artifact, known: Mapping[str, Artifact]) -> str:
    """Where the chain down to a dataset breaks, or nothing."""
    level, seen, datasets = [artifact], {artifact.reference}, []
    while level:
        following = []
        for one in level:
            if one.kind is ArtifactKind.DATASET:
                datasets.append(one)
            for source in one.makers:
                if source not in known:
                    return f"its ancestor {source} is not declared"
                if source not in seen:
                    seen.add(source)
                    following.append(known[source])
        level = following
    if not datasets:
        return "no dataset is among its ancestors"
    bare = [one.reference for one in datasets if not (one.source or one.build or one.digest)]
    return f"its dataset {bare[0]} has neither source, build nor digest" if bare else ""


def pinned_digests(*, level: Level = "mandatory", name: str = "pinned-digests") -> Policy:
    """Everything that is to serve is pinned to the digest of its content, in the declaration or the lock file.

    Why: a name and a version can be overwritten; what was tested is only what serves when the content is the same.
    """

    def rule(review: Review) -> Iterator[Violation]:
        locked = review.digests or {}
        reported: set[str] = set()
        for _, release in review.declared():
            for version in release.slots.values():
                artifact, reference = version.artifact, version.reference
                if reference in reported:
                    continue
                reported.add(reference)
                path = review.artifact_path(reference)
                if artifact.digest is None and reference not in locked:
                    yield Violation(f"{reference} is not pinned to a digest.", path, "Run 'rollcast lock'.")

    return register(rule, name, level, "what was tested only serves when the content is the same")


def owner_approval(
    kinds: Sequence[ArtifactKind | str] = (ArtifactKind.SAFETY_POLICY,),
    *,
    owners: Sequence[str] = (),
    level: Level = "mandatory",
    name: str = "owner-approval",
) -> Policy:
    """Every changed artifact of these kinds names who approved it, one of `owners` where they are given.

    What is removed is changed, too. Its `approved_by` was for its arrival, so a removal needs an override.

    Why: some changes are decisions, and a decision has somebody who made it. The ledger keeps the name.
    """

    def rule(review: Review) -> Iterator[Violation]:
        reported: set[str] = set()
        for change in review.changes:
            artifact = change.after.artifact
            if artifact.kind not in kinds or artifact.reference in reported:
                continue
            reported.add(artifact.reference)
            path = review.artifact_path(artifact.reference)
            if not artifact.approved_by:
                yield Violation(f"{artifact.reference} has no approval.", path, "Declare 'approved_by'.")
            elif owners and artifact.approved_by not in owners:
                message = (
                    f"{artifact.reference} is approved by {artifact.approved_by}, who does not own {artifact.kind}."
                )
                yield Violation(message, path, f"Ask one of {', '.join(owners)}.")
        for track, gone in _removed(review, kinds):
            if gone.reference not in reported:
                reported.add(gone.reference)
                message = f"{gone.reference} is removed from channel {track}, a change of it that nobody approved."
                who = f"one of {', '.join(owners)}" if owners else "whoever decides on it"
                remedy = f"Put it back, or let {who} override this guardrail with a reason."
                yield Violation(message, review.channel_path(track), remedy)

    return register(rule, name, level, "a decision has somebody who made it")


def _removed(review: Review, kinds: Sequence[ArtifactKind | str]) -> Iterator[tuple[str, SlotVersion]]:
    """(track, version) of these kinds that serve and have no successor: no version of theirs, none in their slot.

    The people of a track that is gone are served by another, so that what was there may be on any.
    """
    plan = review.plan
    for track in dict.fromkeys((*plan.from_release, *plan.start)):
        source, own = plan.ends_of(track)
        if source is None:
            continue
        after = [plan.releases[one] for one in ([own] if own is not None else plan.to_release.values())]
        for slot, version in plan.releases[source].slots.items():
            kind, name = version.artifact.kind, version.artifact.name
            kept = any(
                other.artifact.kind == kind and (other.artifact.name == name or place == slot)
                for release in after
                for place, other in release.slots.items()
            )
            if kind in kinds and after and not kept:
                yield track, version


__all__ = [
    "evaluation_fresh",
    "lineage_complete",
    "owner_approval",
    "pinned_digests",
    "safety_before_capability",
]
