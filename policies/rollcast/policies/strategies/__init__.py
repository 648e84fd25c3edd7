"""Hypothesis strategies for everything that a release is made of.

`artifacts`, `declarations`, `releases`, `live_states` and `plans` draw single things; `transitions` draws what serves
and what is declared next, and `rewirings` such pairs of which components are renamed, split, merged or wired otherwise,
with other timeouts, contracts that move and channels that come and go. All are valid by construction, and shrink
towards one slot, one line, no change.

    from hypothesis import given
    from rollcast.policies.strategies import plans

    @given(plans())
    def test_a_rule_of_ours_holds_for_every_plan(plan): ...
"""

from rollcast.policies.strategies.artifacts import artifacts, digests, evaluations, names, prices, versions
from rollcast.policies.strategies.contracts import ContractChange, Mixed, contract_changes
from rollcast.policies.strategies.declarations import (
    Transition,
    declarations,
    environments,
    feature_flags,
    percents,
    rollouts,
    stages,
    transitions,
)
from rollcast.policies.strategies.pipelines import Fate, PipelineChange, pipeline_changes
from rollcast.policies.strategies.plans import plans
from rollcast.policies.strategies.releases import live_states, releases
from rollcast.policies.strategies.rewiring import rewirings

__all__ = [
    "ContractChange",
    "Fate",
    "Mixed",
    "PipelineChange",
    "Transition",
    "artifacts",
    "contract_changes",
    "declarations",
    "digests",
    "environments",
    "evaluations",
    "feature_flags",
    "live_states",
    "names",
    "percents",
    "pipeline_changes",
    "plans",
    "prices",
    "releases",
    "rewirings",
    "rollouts",
    "stages",
    "transitions",
    "versions",
]
