"""Whether an object can serve, from what it says of itself. Pure.

Workloads by their rollout, as `kubectl rollout status` has it; everything else by the condition `Ready` or `Available`,
and what has no such condition by being there. The annotation `rollcast.dev/ready` names a condition that must hold,
for kinds whose controller is late to write one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from rollcast.stacks.clusters.marks import notes_of

READY_CONDITION = "rollcast.dev/ready"
_CONDITIONS = ("Ready", "Available")


class ReadyPhase(Enum):
    """How far an object is."""

    READY = auto()
    WAITING = auto()
    FAILED = auto()


@dataclass(frozen=True)
class Readiness:
    """How far an object is, and why no further."""

    phase: ReadyPhase
    why: str = ""


_READY = Readiness(ReadyPhase.READY)


def readiness_of(item: Mapping[str, Any]) -> Readiness:
    """How far an object is."""
    if (item.get("metadata") or {}).get("deletionTimestamp"):
        return Readiness(ReadyPhase.WAITING, "is being deleted")
    group = str(item.get("apiVersion", "")).rpartition("/")[0]
    wanted = notes_of(item).get(READY_CONDITION)
    if wanted:
        return _by_condition(item, (wanted,), must=True)
    by_kind = _KINDS.get((group, str(item.get("kind"))))
    if by_kind is not None:
        return by_kind(item)
    return _by_condition(item, _CONDITIONS, must=False)


def _by_condition(item: Mapping[str, Any], names: tuple[str, ...], must: bool) -> Readiness:
    status = item.get("status") or {}
    found = [each for each in _conditions(item) if each.get("type") in names]
    if not found:
        return Readiness(ReadyPhase.WAITING, f"has no condition {names[0]} yet") if must else _READY
    if _is_behind(item, status):
        return Readiness(ReadyPhase.WAITING, "is not yet looked at by its controller")
    wrong = next((each for each in found if each.get("status") != "True"), None)
    return _READY if wrong is None else Readiness(ReadyPhase.WAITING, f"is not {wrong['type']}{_because(wrong)}")


def _deployment(item: Mapping[str, Any]) -> Readiness:
    status, wanted = item.get("status") or {}, _replicas(item)
    if _is_behind(item, status):
        return Readiness(ReadyPhase.WAITING, "is not yet looked at by its controller")
    for each in _conditions(item):
        if each.get("type") == "Progressing" and each.get("reason") == "ProgressDeadlineExceeded":
            return Readiness(ReadyPhase.FAILED, f"is past its deadline{_because(each)}")
    have = [int(status.get(key) or 0) for key in ("updatedReplicas", "availableReplicas", "replicas")]
    if have[0] >= wanted and have[1] >= wanted and have[2] <= max(have[0], wanted):
        return _READY
    failing = next(
        (e for e in _conditions(item) if e.get("type") == "ReplicaFailure" and e.get("status") == "True"), None
    )
    return Readiness(
        ReadyPhase.WAITING, f"has {have[1]} of {wanted} pods available{_because(failing) if failing else ''}"
    )


def _stateful_set(item: Mapping[str, Any]) -> Readiness:
    status, wanted = item.get("status") or {}, _replicas(item)
    ready, updated = int(status.get("readyReplicas") or 0), int(status.get("updatedReplicas") or 0)
    if _is_behind(item, status):
        return Readiness(ReadyPhase.WAITING, "is not yet looked at by its controller")
    if ready < wanted or updated < wanted:
        return Readiness(ReadyPhase.WAITING, f"has {min(ready, updated)} of {wanted} pods ready")
    return _READY


def _daemon_set(item: Mapping[str, Any]) -> Readiness:
    status = item.get("status") or {}
    wanted, ready = int(status.get("desiredNumberScheduled") or 0), int(status.get("numberReady") or 0)
    if _is_behind(item, status) or ready < wanted:
        return Readiness(ReadyPhase.WAITING, f"has {ready} of {wanted} pods ready")
    return _READY


def _job(item: Mapping[str, Any]) -> Readiness:
    for each in _conditions(item):
        if each.get("type") == "Failed" and each.get("status") == "True":
            return Readiness(ReadyPhase.FAILED, f"failed{_because(each)}")
        if each.get("type") == "Complete" and each.get("status") == "True":
            return _READY
    return Readiness(ReadyPhase.WAITING, "has not ended")


def _pod(item: Mapping[str, Any]) -> Readiness:
    if (item.get("status") or {}).get("phase") == "Failed":
        return Readiness(ReadyPhase.FAILED, "failed")
    return _by_condition(item, ("Ready",), must=True)


_KINDS: Mapping[tuple[str, str], Callable[[Mapping[str, Any]], Readiness]] = {
    ("apps", "Deployment"): _deployment,
    ("apps", "StatefulSet"): _stateful_set,
    ("apps", "DaemonSet"): _daemon_set,
    ("batch", "Job"): _job,
    ("", "Pod"): _pod,
}


def _replicas(item: Mapping[str, Any]) -> int:
    given = (item.get("spec") or {}).get("replicas")
    return 1 if given is None else int(given)


def _is_behind(item: Mapping[str, Any], status: Mapping[str, Any]) -> bool:
    """Whether what it says of itself is about an older version of it."""
    generation = int((item.get("metadata") or {}).get("generation") or 0)
    seen = status.get("observedGeneration")
    by_workload = str(item.get("apiVersion", "")).startswith("apps/")
    return int(seen or 0) < generation if seen is not None or by_workload else False


def _conditions(item: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = (item.get("status") or {}).get("conditions")
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []


def _because(condition: Mapping[str, Any]) -> str:
    said = " ".join(str(condition.get("message") or condition.get("reason") or "").split())
    return f": {said.rstrip('.')}" if said else ""
