"""How planning time and memory grow: pipelines x environments x components, half of them changed, on one core.

Each size is planned in a process of its own, so that memory is its own. Beside the plan, on the graph of its operations
in the same process: `networkx.lexicographical_topological_sort` alone, the floor of any planner that orders them. Times
are processor seconds; compare ratios within one run, not numbers between machines.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time

SIZES = ((5, 2, 10), (50, 2, 10), (500, 2, 10))  # pipelines, environments, components


def declaration(pipelines: int, environments: int, components: int, changed: bool) -> dict[str, object]:
    """A platform of pipelines, each a chain with a contract on every edge; every second component has a new version."""
    artifacts, platform = [], {}
    for p in range(pipelines):
        slots = {}
        for c in range(components):
            version = "2" if changed and (p + c) % 2 == 0 else "1"
            artifacts.append(
                {
                    "kind": "model-weights",
                    "name": f"p{p}-c{c}",
                    "version": version,
                    "provides": {"output": version},
                    "requires": {"output": ">=1,<3"} if c else {},
                }
            )
            slots[f"c{c}"] = {"artifact": f"p{p}-c{c}@{version}", "upstream": [f"c{c - 1}"] if c else []}
        platform[f"p{p}"] = {"components": slots}
    places = {f"e{e}": {"default": not e} for e in range(environments)}
    return {"pipeline": "platform", "artifacts": artifacts, "pipelines": platform, "environments": places}


def measure(pipelines: int, environments: int, components: int) -> dict[str, float]:
    """Plans every environment; seconds, operations, peak MiB, the floor on the same graph, MiB of the plans as JSON."""
    import networkx as nx

    from rollcast.planner.declaration.models import Declaration
    from rollcast.planner.planning.planner import live_as_declared, make_plan

    old, new = (
        Declaration.model_validate(declaration(pipelines, environments, components, changed))
        for changed in (False, True)
    )
    live = live_as_declared(old)
    begun = time.process_time()
    plans = [make_plan(new, live, environment) for environment in new.environments]
    plan_s = time.process_time() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    graph = nx.DiGraph()
    for number, plan in enumerate(plans):
        graph.add_nodes_from((number, o.id) for o in plan.operations)
        graph.add_edges_from(((number, a), (number, o.id)) for o in plan.operations for a in o.after)
    begun = time.process_time()
    ordered = sum(1 for _ in nx.lexicographical_topological_sort(graph))
    floor_s = time.process_time() - begun
    saved = sum(len(json.dumps(plan.to_json())) for plan in plans) / 1024 / 1024
    return {"plan_s": plan_s, "floor_s": floor_s, "operations": ordered, "peak_mib": peak, "saved_mib": saved}


def main() -> None:
    """Prints the table."""
    print("| component instances | operations | plan, s | growth | sort alone, s | growth | plan / sort ", end="")
    print("| peak MiB | as JSON, MiB |\n|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    last: dict[str, float] = {}
    for size in SIZES:
        command = [sys.executable, __file__, *map(str, size)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        growth = [f"x{found[key] / last[key]:.1f}" if last else "" for key in ("plan_s", "floor_s")]
        instances = size[0] * size[1] * size[2]
        print(
            f"| {instances:,} | {found['operations']:,} | {found['plan_s']:.2f} | {growth[0]} | {found['floor_s']:.3f} "
            f"| {growth[1]} | {found['plan_s'] / found['floor_s']:.0f} | {found['peak_mib']:.0f} "
            f"| {found['saved_mib']:.1f} |"
        )
        last = found


if __name__ == "__main__":
    if len(sys.argv) == 4:
        print(json.dumps(measure(*map(int, sys.argv[1:]))))
    else:
        main()
