"""Policies: what must hold for every plan, every forecast and every path that a rollout can take.

`rules` (the decorator) -> `discovery` (a project's `policies/*.py`) -> `review` and `states` (what rules see) ->
`evaluation` (one judgement each) -> `judging` (what the commands call). `library` holds guardrails to configure,
`strategies`, `walking`, `testing` and `plugin` hold property tests of the same rules.

Names are imported when they are first used: pytest loads the plugin in every run, and must not wait for the planner.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rollcast.policies.discovery import PolicySet, discover
    from rollcast.policies.errors import NotJudged, PolicyError
    from rollcast.policies.evaluation import Finding, Judgement, evaluate
    from rollcast.policies.judging import Judgements, judge
    from rollcast.policies.review import Review, SlotChange
    from rollcast.policies.rules import Policy, Violation, policy
    from rollcast.policies.states import State

_HOMES = {
    "Finding": "evaluation",
    "Judgement": "evaluation",
    "Judgements": "judging",
    "NotJudged": "errors",
    "Policy": "rules",
    "PolicyError": "errors",
    "PolicySet": "discovery",
    "Review": "review",
    "SlotChange": "review",
    "State": "states",
    "Violation": "rules",
    "discover": "discovery",
    "evaluate": "evaluation",
    "judge": "judging",
    "policy": "rules",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


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
