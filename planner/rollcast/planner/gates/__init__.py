"""Gates: any-time-valid tests of a new release against its concurrent baseline.

The simulator and the live rollout feed the same `StageGates`; there is no second implementation.
"""

from rollcast.planner.gates.growth import Baseline
from rollcast.planner.gates.outcomes import Evidence, Guard, Outcomes, StageVerdict, Verdict
from rollcast.planner.gates.power import Detectable, detectable, detectable_in_stage
from rollcast.planner.gates.spec import GateSpec, MetricKind
from rollcast.planner.gates.stage import StageGates, allot_alpha

__all__ = [
    "Baseline",
    "Detectable",
    "Evidence",
    "GateSpec",
    "Guard",
    "MetricKind",
    "Outcomes",
    "StageGates",
    "StageVerdict",
    "Verdict",
    "allot_alpha",
    "detectable",
    "detectable_in_stage",
]
