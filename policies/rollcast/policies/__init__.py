"""Policies: what must hold for every plan, every forecast and every path that a rollout can take.

`rules` (the decorator) -> `discovery` (a project's `policies/*.py`) -> `review` and `states` (what rules see) ->
`evaluation` (one judgement each) -> `judging` (what the commands call). `library` holds guardrails to configure,
`strategies`, `walking` and `plugin` hold property tests of the same rules.
"""

from rollcast.policies.discovery import PolicySet, discover
from rollcast.policies.errors import NotJudged, PolicyError
from rollcast.policies.evaluation import Finding, Judgement, evaluate
from rollcast.policies.judging import Judgements, judge
from rollcast.policies.review import Review, SlotChange
from rollcast.policies.rules import Policy, Violation, policy
from rollcast.policies.states import State

__all__ = [
    "Finding",
    "Judgement",
    "Judgements",
    "NotJudged",
    "Policy",
    "PolicyError",
    "PolicySet",
    "Review",
    "SlotChange",
    "State",
    "Violation",
    "discover",
    "evaluate",
    "judge",
    "policy",
]
