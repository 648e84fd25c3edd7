"""The shipped example: its declarations, the plans between them, and its recorded traffic."""

from __future__ import annotations

from pathlib import Path

from rollcast.planner.declaration.models import Declaration
from rollcast.planner.loading.loader import load
from rollcast.planner.plan.models import Plan
from rollcast.planner.planning.planner import live_as_declared, make_plan

EXAMPLE = Path(__file__).parents[2] / "examples" / "rag-search"
TRACE = EXAMPLE / "traffic" / "AzureLLMInferenceTrace_conv.csv"


def declared(name: str) -> Declaration:
    return load((EXAMPLE / name).read_text("utf-8"), name, lambda file: (EXAMPLE / file).read_text("utf-8"))


def plan_between(before: str, after: str) -> Plan:
    return make_plan(declared(after), live_as_declared(declared(before)))
