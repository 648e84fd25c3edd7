"""Policies: what must hold for every plan, every forecast and every path that a rollout can take.

Read it in this order: `rules` (a rule, and the review that it sees), `library` (guardrails to configure),
`judgement` (a project's rules found, run and judged), `strategies` and `model_based` (property tests of the same
rules), then `project`, `testing` and `plugin` (how a project runs them). No rule decides what a rollout does: it
blocks, or it says.

Names are imported when they are first used: pytest loads the plugin in every run, and must not wait for the
planner.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rollcast.policies.errors import NotJudged, PolicyError
    from rollcast.policies.judgement.base_rules import BaseRules
    from rollcast.policies.judgement.discovery import PolicySet, discover
    from rollcast.policies.judgement.evaluation import Finding, Judgement, evaluate
    from rollcast.policies.judgement.judging import Judgements, judge
    from rollcast.policies.rules.review import Review, SlotChange
    from rollcast.policies.rules.rule import Policy, Violation, policy
    from rollcast.policies.rules.states import State

_HOMES = {
    "Finding": "judgement.evaluation",
    "BaseRules": "judgement.base_rules",
    "Judgement": "judgement.evaluation",
    "Judgements": "judgement.judging",
    "NotJudged": "errors",
    "Policy": "rules.rule",
    "PolicyError": "errors",
    "PolicySet": "judgement.discovery",
    "Review": "rules.review",
    "SlotChange": "rules.review",
    "State": "rules.states",
    "Violation": "rules.rule",
    "discover": "judgement.discovery",
    "evaluate": "judgement.evaluation",
    "judge": "judgement.judging",
    "policy": "rules.rule",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


__all__ = [
    "BaseRules",
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
