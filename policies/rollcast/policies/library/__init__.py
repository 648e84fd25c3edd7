"""Guardrails to configure in a project's `policies/*.py`: calling one registers it.

    from rollcast.policies.library import max_exposure
    max_exposure(percent=1, trusted=["internal"])

A call makes the guardrail mandatory unless it says `level=`; it replaces the default one of the same name, and
`level="disabled"` switches that off. Each function's docstring says what is required and why.

To add a guardrail: a function in the module of its theme that ends in `return register(rule, name, level, reason)`,
with a docstring that says "Why:"; its name below; a test of what it refuses and of what it lets pass.
"""

from rollcast.policies.library.cadence import (
    all_at_once,
    max_exposure,
    min_bake,
    moved_by_stages,
    one_cadence,
    rollback_possible,
)
from rollcast.policies.library.calendar import change_freeze
from rollcast.policies.library.evaluated import evaluated_on_this_content
from rollcast.policies.library.forecasted import cost_budget, detection_power, forecast_within_limits, latency_budget
from rollcast.policies.library.licences import licences
from rollcast.policies.library.lineage import index_with_its_embedder
from rollcast.policies.library.provenance import (
    evaluation_fresh,
    lineage_complete,
    owner_approval,
    pinned_digests,
    safety_before_capability,
)
from rollcast.policies.library.residency import privacy_never_experimental, regulatory_domain, residency
from rollcast.policies.library.safety import safety_policy_kept
from rollcast.policies.library.signed import require_signed_plans, signed
from rollcast.policies.library.telemetry import completeness_judged
from rollcast.policies.library.tools import tool_schema_break
from rollcast.policies.rules.rule import Policy, collecting


def defaults() -> tuple[Policy, ...]:
    """The guardrails that hold where a project says nothing else.

    Mandatory is what no project wants otherwise; advisory is what depends on the project, and is shown so that it is
    decided. What has no sensible value of its own (budgets, freezes, bakes, approvals, domains) is off until called.
    """
    with collecting() as found:
        all_at_once()
        residency()
        index_with_its_embedder()
        safety_policy_kept()
        tool_schema_break()
        signed()
        one_cadence()
        privacy_never_experimental()
        rollback_possible(level="advisory")
        moved_by_stages(level="advisory")
        safety_before_capability(level="advisory")
        max_exposure(percent=10, level="advisory")
        evaluation_fresh(level="advisory")
        lineage_complete(level="advisory")
        pinned_digests(level="advisory")
        forecast_within_limits(level="advisory")
        detection_power(level="advisory")
        completeness_judged(level="advisory")
    return tuple(found)


__all__ = [
    "all_at_once",
    "change_freeze",
    "completeness_judged",
    "cost_budget",
    "defaults",
    "detection_power",
    "evaluated_on_this_content",
    "evaluation_fresh",
    "forecast_within_limits",
    "index_with_its_embedder",
    "latency_budget",
    "licences",
    "lineage_complete",
    "max_exposure",
    "min_bake",
    "moved_by_stages",
    "one_cadence",
    "owner_approval",
    "pinned_digests",
    "privacy_never_experimental",
    "regulatory_domain",
    "require_signed_plans",
    "residency",
    "rollback_possible",
    "safety_before_capability",
    "safety_policy_kept",
    "signed",
    "tool_schema_break",
]
