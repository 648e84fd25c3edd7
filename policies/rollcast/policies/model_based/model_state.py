"""What really serves and runs during a walk, half-done milestones included, and the requests that are in flight.

Time decides when a request must be over: a track's declared `timeout` after it came in. A drain lets time pass. So a
drain that is missing, too short or too early shows in what serves a slow request, not in a comparison of lists.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from rollcast.planner.contracts.edges import ContractGraph
from rollcast.planner.contracts.groups import flow_order
from rollcast.planner.plan.models import Milestone, Operation, Plan, Serving
from rollcast.planner.releases.releases import Release, SlotVersion, instance_path
from rollcast.planner.routing.split import Routed, Router

Attributes = Mapping[str, str | int | float | bool]


@dataclass
class ModelRequest:
    """A request on its way: the release that it was sent to, and what it has passed of each slot so far."""

    key: str
    attributes: Attributes
    routed: Routed
    over_s: float
    ahead: list[str]
    passed: dict[str, SlotVersion] = field(default_factory=dict)

    def __str__(self) -> str:
        shown = ", ".join(f"{name}={value}" for name, value in sorted(self.attributes.items()))
        return f"a request of {self.key}{' (' + shown + ')' if shown else ''} on channel {self.routed.line}"


class ModelState:
    """Serving, instances, requests and the time, changed by operations only."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.serving: Serving = dict(plan.start)
        self.instances: dict[str, tuple[str, str]] = dict(plan.start_instances)
        self.now_s = 0.0
        self.requests: list[ModelRequest] = []
        self._routers: dict[str, Router] | None = None
        self._graphs: dict[tuple[str, str], ContractGraph] = {}

    # ---- what operations do ---------------------------------------------------------------------

    def do(self, operation: Operation, milestone: Milestone) -> Iterator[str]:
        """Carry out an operation; yields what serves a request that must not serve it."""
        if operation.kind == "provision" and operation.instance and operation.release and operation.component:
            self.instances[operation.instance] = (operation.release, operation.component)
        elif operation.kind == "retire" and operation.instance:
            self.instances.pop(operation.instance, None)
        elif operation.kind in ("shift", "flag") and operation.line in milestone.serving:
            self.serving = {**self.serving, operation.line: milestone.serving[operation.line]}
            self._routers = None
        elif operation.kind == "drain":
            yield from self.wait(operation.wait_s)

    def wait(self, seconds: float) -> Iterator[str]:
        """Let time pass; requests that are due by then are over, having passed what is there meanwhile."""
        self.now_s += seconds
        for request in [one for one in self.requests if one.over_s <= self.now_s]:
            yield from self.visit(request, len(request.ahead))

    # ---- requests -------------------------------------------------------------------------------

    def route(self, pipeline: str, key: str, attributes: Attributes) -> Routed | None:
        """Where the pipeline's flag sends a request now."""
        if self._routers is None:
            self._routers = {}
        if pipeline not in self._routers:
            self._routers[pipeline] = Router(pipeline, self.plan.lines, self.serving, self.plan.audiences)
        return self._routers[pipeline].route(key, attributes)

    def enter(self, pipeline: str, key: str, attributes: Attributes) -> ModelRequest | None:
        """A request comes in; None where nothing is served."""
        routed = self.route(pipeline, key, attributes)
        if routed is None:
            return None
        slots = self.plan.releases[routed.release].slots
        places = flow_order(slots)
        timeout_s = max(self.plan.lines[routed.line].rollout.timeout, *(v.timeout_s or 0.0 for v in slots.values()))
        ahead = sorted(slots, key=places.__getitem__)
        request = ModelRequest(key, attributes, routed, self.now_s + timeout_s, ahead)
        self.requests.append(request)
        return request

    def visit(self, request: ModelRequest, count: int) -> Iterator[str]:
        """The request passes its next slots; yields what serves it there that must not."""
        release = self.plan.releases[request.routed.release]
        for slot in request.ahead[:count]:
            folder = instance_path(release.pipeline, slot, release.slots[slot])
            if folder not in self.instances:
                yield f"{request} is served by {release.id} and finds no {slot}: {folder} does not run."
                continue
            owner, name = self.instances[folder]
            own, held = release.slots[slot], self.plan.releases[owner].slots[name]
            # What runs is the same: how it is wired is the request's own business.
            request.passed[slot] = own if own.instance_id == held.instance_id else held
            yield from self._clashes(request, release, slot)
        del request.ahead[:count]
        if not request.ahead:
            self.requests.remove(request)

    def _clashes(self, request: ModelRequest, release: Release, slot: str) -> Iterator[str]:
        graph, found = self._graph(request.routed.line, release), request.passed[slot]
        for other, version in request.passed.items():
            if other != slot and not graph.compatible(other, version, slot, found):
                reasons = [str(clash) for clash in graph.clashes(other, version, slot, found)]
                why = "; ".join(reasons) or "no contract between them is declared, and they are of two releases"
                yield f"{request} passes {other} {version.reference} and then {slot} {found.reference}: {why}."

    def _graph(self, track: str, release: Release) -> ContractGraph:
        """The contracts between what a track comes from and what it goes to."""
        key = (track, release.id)
        if key not in self._graphs:
            source, target = self.plan.ends_of(track)
            old = self.plan.releases[source].slots if source else release.slots
            new = self.plan.releases[target].slots if target else release.slots
            self._graphs[key] = ContractGraph(old, new)
        return self._graphs[key]
