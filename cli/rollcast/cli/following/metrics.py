"""The metrics of a controller."""

from __future__ import annotations

import time
from collections.abc import Iterator

from rollcast.cli.following.controller import Controller, FollowedProject
from rollcast.cli.following.exposition import Family, Sample, text_of
from rollcast.stacks.following.schedule import RolloutState


def metrics_of(controller: Controller) -> str:
    """All of them, as text."""
    return text_of(_families(controller))


def _families(controller: Controller) -> Iterator[Family]:
    revision, commit = controller.revision, controller.revision.commit if controller.revision else ""
    source = {"source": controller.source.name}
    yield Family("rollcast_controller_leader", "gauge", "1 while this process acts on the source.",
                 (({}, float(controller.leads)),))  # fmt: skip
    yield Family("rollcast_source_info", "gauge", "The last known commit of the source.",
                 (({**source, "commit": commit}, 1.0),) if revision else ())  # fmt: skip
    yield Family("rollcast_source_reachable", "gauge", "1 where the last look at the source succeeded.",
                 ((source, float(revision is not None and not controller.fault)),))  # fmt: skip
    yield Family("rollcast_source_errors_total", "counter", "Looks at the source that failed.",
                 ((source, float(controller.source_errors)),))  # fmt: skip
    projects = list(controller.projects.values())
    yield Family("rollcast_declaration_refused", "gauge", "1 where what the source declares can't be used.", tuple(
        ({"project": project.path}, float(bool(project.refused[0]) and project.refused[0] == project.wanted))
        for project in projects))  # fmt: skip
    each = [(project, name, _labels(project, name)) for project in projects for name in project.after]
    seen = [(project.results[name], labels) for project, name, labels in each if name in project.results]
    yield Family("rollcast_rollout_state", "gauge", "1 for the state that an environment is in.", tuple(
        ({**labels, "state": state.value}, float(found.state is state))
        for found, labels in seen for state in RolloutState))  # fmt: skip
    yield Family("rollcast_milestone", "gauge", "The milestone of the rollout under way; -1: there is none.", tuple(
        (labels, float(found.milestone)) for found, labels in seen))  # fmt: skip
    yield Family("rollcast_gate_e_value", "gauge", "Evidence of harm, as an e-value, by the gate's metric.", tuple(
        ({**labels, "metric": metric}, value)
        for found, labels in seen for metric, value in found.gates.items() if value is not None))  # fmt: skip
    yield Family("rollcast_sync_lag_seconds", "gauge", "Since when what is declared waits to serve; 0 where it does.",
                 tuple(_lag(project, name, labels) for project, name, labels in each))  # fmt: skip
    yield Family("rollcast_looks_total", "counter", "Looks at an environment, by the state that they ended in.", tuple(
        ({"project": path, "environment": name, "state": state}, float(count))
        for (path, name, state), count in sorted(controller.looks.items())))  # fmt: skip


def _labels(project: FollowedProject, environment: str) -> dict[str, str]:
    return {"project": project.path, "pipeline": project.pipeline, "environment": environment}


def _lag(project: FollowedProject, environment: str, labels: dict[str, str]) -> Sample:
    last = project.last.get(environment)
    reached = last is not None and last.state is RolloutState.DECLARED and last.content == project.wanted
    return labels, 0.0 if reached else round(max(0.0, time.monotonic() - project.wanted_s), 1)


__all__ = ["metrics_of"]
