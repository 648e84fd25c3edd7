"""Guardrails over signatures: what serves, and the plan that brings it, was signed by a key that somebody trusts."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from rollcast.planner.declaration.models import ArtifactKind
from rollcast.policies.errors import NotJudged, PolicyError
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


def require_signed_plans(
    keys: Collection[str], *, level: Level = "mandatory", name: str = "require-signed-plans"
) -> Policy:
    """Only a saved plan that one of these keys signed is carried out; each is the digest of a public key.

    The digest is what `openssl pkey -in key.pem -pubout -outform DER | sha256sum` prints, and what `rollcast plan --out
    FILE --sign` says. A plan without a signature is not judged, which holds up `apply` and nothing before it. Going
    back is never held up. Raises PolicyError on what is no such digest.

    Why: a plan that was reviewed is what runs, though others may write where it was kept meanwhile.
    """
    wanted = {key.lower().removeprefix("sha256:") for key in keys}
    if not wanted or not all(re.fullmatch("[0-9a-f]{64}", key) for key in wanted):
        raise PolicyError(
            f"{name} needs the SHA-256 of public keys, 64 hexadecimal digits each. "
            "Print one: openssl pkey -in key.pem -pubout -outform DER | sha256sum"
        )

    def rule(review: Review) -> Iterator[Violation]:
        by = review.plan.signed_by
        if review.plan.empty:
            return
        if not by:
            raise NotJudged("nobody signed this plan; save one with 'rollcast plan --out FILE --sign', and apply that")
        if by not in wanted:
            trusted = ", ".join(key[:12] for key in sorted(wanted))
            yield Violation(
                f"The plan is signed by key {by[:12]}, which is not trusted.", (), f"Have it signed by {trusted}."
            )

    return register(rule, name, level, "only a plan that somebody stands for is carried out")


__all__ = ["require_signed_plans", "signed"]
