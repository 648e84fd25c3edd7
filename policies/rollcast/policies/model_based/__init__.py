"""Walks through rollouts: every path that a rollout can take, with faults, requests in flight and people who interfere.

`walk` drives the one state machine (`rollcast.planner.rollout.state_machine`) over a `world` that holds what really serves and runs,
half-done milestones included. `expectations` say what must hold on the way, derived from the declaration anew and not
from the planner's own proofs. `machine` lets Hypothesis choose the moves; `story` tells what it found.
"""

from rollcast.policies.model_based.trace import Broken
from rollcast.policies.model_based.walk import Evidence, Walk

__all__ = ["Broken", "Evidence", "Walk"]
