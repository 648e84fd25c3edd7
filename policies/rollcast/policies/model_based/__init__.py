"""Walks through rollouts: every path that a rollout can take, with faults, requests in flight and people who interfere.

`walk` drives the one state machine (`rollcast.planner.rollout.state_machine`) over a `model_state` that holds what
really serves and runs, half-done milestones included. `expectations` say what must hold on the way, derived from the
declaration and not from the planner's own proofs. `machine` lets Hypothesis choose the moves; `trace` is what it found.
"""
