"""What must hold for every project: no policy is broken, and no rollout breaks an invariant or a mandatory policy."""

from __future__ import annotations

import pytest

from rollcast.policies.judgement.evaluation import evaluate
from rollcast.policies.model_based.machine import walk_everywhere
from rollcast.policies.project import ProjectUnderTest
from rollcast.policies.rules.review import Review
from rollcast.policies.testing import passes_or_reports


def test_no_policy_is_broken(rollcast_project: ProjectUnderTest, rollcast_review: Review) -> None:
    judgements = evaluate(rollcast_review, rollcast_project.policies.policies)
    broken = [one.message for one in judgements if one.broken]
    if broken:
        pytest.fail("\n".join(broken), pytrace=False)


def test_every_rollout_keeps_its_invariants_and_the_mandatory_policies(rollcast_project: ProjectUnderTest) -> None:
    mandatory = [one for one in rollcast_project.policies.policies if one.level == "mandatory"]
    profile = rollcast_project.profile
    passes_or_reports(rollcast_project, lambda: walk_everywhere(rollcast_project.reviews(), mandatory, profile=profile))
