"""Why what was applied does not become ready: the waiting reason of its pods, and the last warnings about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rollcast.stacks.clusters.cluster import Cluster
from rollcast.stacks.clusters.failures import ClusterError

_MOST, _LONGEST = 3, 300


def diagnosis(cluster: Cluster, name: str) -> str:
    """What pods and events of an instance say; empty where they say nothing. `name`: what their names begin with."""
    said: list[str] = []
    for what, find in (("pods", _pods), ("events", _events)):
        try:
            said += list(dict.fromkeys(find(cluster, name)))[:_MOST]
        except ClusterError as error:
            said.append(f"its {what} can't be read: {str(error).partition('. ')[0]}")
    return "; ".join(said)


def _pods(cluster: Cluster, name: str) -> Iterator[str]:
    for pod in cluster.all_of("v1", "Pod"):
        if not _is_of(pod["metadata"]["name"], name):
            continue
        status = pod.get("status") or {}
        for each in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
            state, last = each.get("state") or {}, (each.get("lastState") or {}).get("terminated") or {}
            waiting, ended = state.get("waiting"), state.get("terminated") or last
            if waiting:
                yield f"a pod waits: {_said(waiting)}"
            if ended and int(ended.get("exitCode") or 0):
                yield f"a container ended with status {ended['exitCode']}: {_said(ended)}"
        for each in status.get("conditions") or ():
            if each.get("type") == "PodScheduled" and each.get("status") == "False":
                yield f"a pod is not scheduled: {_said(each)}"


def _events(cluster: Cluster, name: str) -> Iterator[str]:
    found = cluster.all_of("v1", "Event", fields="type=Warning")
    own = [each for each in found if _is_of(str((each.get("involvedObject") or {}).get("name")), name)]
    for each in sorted(own, key=_when, reverse=True):
        yield f"{each['involvedObject'].get('kind')}: {_said(each)}"


def _is_of(given: str, name: str) -> bool:
    return given == name or given.startswith(f"{name}-")


def _when(event: Mapping[str, Any]) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp") or "")


def _said(about: Mapping[str, Any]) -> str:
    reason, message = str(about.get("reason") or ""), " ".join(str(about.get("message") or "").split())
    text = f"{reason} ({message})" if reason and message else reason or message or "no reason given"
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
