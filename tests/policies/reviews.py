"""Small reviews to judge: one short declaration, changed a little by each test."""

from __future__ import annotations

from datetime import date
from functools import lru_cache

from rollcast.planner.loading.loader import load
from rollcast.planner.plan.models import LiveState
from rollcast.planner.planning.planner import live_as_declared, make_plan
from rollcast.policies import Review
from rollcast.policies.rules.places import Places

TODAY = date(2026, 11, 24)

RELEASED = """\
schema: rollcast/v1
pipeline: answers
artifacts:
  - {kind: model-weights, name: writer, version: "1", provides: {format: "1"}}
  - {kind: model-weights, name: writer, version: "2", provides: {format: "1"}}
  - {kind: safety-policy, name: guard, version: "1", requires: {format: ">=1"}}
  - {kind: safety-policy, name: guard, version: "2", requires: {format: ">=1"}}
components:
  generator: {artifact: writer@1}
  safety: {artifact: guard@1, upstream: [generator]}
rollout:
  percent: [1, 25, 100]
  gates: [{metric: error_rate, margin: 0.05}]
"""
DECLARED = RELEASED.replace("writer@1}", "writer@2}")


@lru_cache
def review_of(declared: str = DECLARED, released: str | None = RELEASED, today: date = TODAY) -> Review:
    """The review of a plan between two texts; from nothing where `released` is None."""
    declaration = load(declared)
    live = live_as_declared(load(released)) if released is not None else LiveState()
    plan = make_plan(declaration, live)
    return Review(declaration, live, plan, today, places=Places(declared, "rollcast.yaml"))
