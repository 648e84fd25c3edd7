"""A guardrail over signatures: what serves was signed by a key that somebody trusts, as it is."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from rollcast.planner.declaration.models import ArtifactKind
from rollcast.policies.rules.review import Review
from rollcast.policies.rules.rule import Level, Policy, Violation, register


def signed(
    kinds: Sequence[ArtifactKind | str] = (),
    *,
    keys: Collection[str] = (),
    level: Level = "mandatory",
    name: str = "signed",
) -> Policy:
    """Every artifact that is to serve and declares a signature has it; those of `kinds` declare one.

    `keys`, where given, are the keys that count: files as they are declared, or the key's own digest, which a changed
    file does not have (`openssl pkey -pubin -in key.pub -outform DER | sha256sum`).

    Why: a digest says that content is what was locked, a signature who stands for it. Signatures are verified when the
    plan is made, and what was found stands in it.
    """

    def rule(review: Review) -> Iterator[Violation]:
        found = {one.artifact: one for one in review.plan.signatures}
        reported: set[str] = set()
        for _, release in review.declared():
            for version in release.slots.values():
                artifact, reference = version.artifact, version.reference
                if reference in reported or (artifact.signature is None and artifact.kind not in kinds):
                    continue
                reported.add(reference)
                path = review.artifact_path(reference)
                finding = found.get(reference)
                if artifact.signature is None:
                    remedy = "Sign it, and declare 'signature: {key: …}'."
                    yield Violation(
                        f"{reference} declares no signature, and a {artifact.kind} must have one.", path, remedy
                    )
                elif finding is None:
                    yield Violation(f"Whether {reference} is signed was not verified.", path, "Plan again.")
                elif finding.problem:
                    yield Violation(finding.problem, path, finding.remedy)
                elif keys and not {finding.key, finding.key_id} & {*keys}:
                    message = f"{reference} is signed by {finding.key} ({finding.key_id[:12]}), which is not trusted."
                    yield Violation(message, path, f"Have it signed by one of {', '.join(sorted(keys))}.")

    return register(rule, name, level, "a signature says who stands for what serves")


__all__ = ["signed"]
