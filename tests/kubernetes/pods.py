"""Plays the kubelet of one node: pods run at once, or wait for an image that is never pulled, and end when asked."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

_LOOK_S = 0.1
_PATCH = "application/merge-patch+json"


def play(ask: Any) -> None:
    """Looks after every pod, until the process ends."""
    while True:
        with suppress(OSError):
            for pod in ask("GET", "/api/v1/pods")["items"]:
                with suppress(HTTPError):
                    _look_after(ask, pod)
        time.sleep(_LOOK_S)


def _look_after(ask: Any, pod: dict[str, Any]) -> None:
    metadata, status = pod["metadata"], pod.get("status") or {}
    path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
    if metadata.get("deletionTimestamp"):
        ask("DELETE", path, {"gracePeriodSeconds": 0})
    elif pod["spec"].get("nodeName") and not status.get("containerStatuses"):
        pulled = metadata["labels"].get("image") != "never-pulled"
        ask("PATCH", f"{path}/status", {"status": _status(pod["spec"]["containers"], pulled)}, kind=_PATCH)


def _status(containers: list[dict[str, Any]], pulled: bool) -> dict[str, Any]:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}
    state = {"running": {"startedAt": now}} if pulled else waiting
    return {
        "phase": "Running" if pulled else "Pending",
        "conditions": [
            {"type": each, "status": str(pulled), "lastTransitionTime": now} for each in ("Ready", "ContainersReady")
        ],
        "containerStatuses": [
            {"name": each["name"], "image": each["image"], "imageID": "", "ready": pulled, "restartCount": 0,
             "state": state}
            for each in containers
        ],
    }  # fmt: skip


if __name__ == "__main__":
    from tests.kubernetes.control_plane import Asking

    play(Asking(sys.argv[1], Path(sys.argv[2])).ask)
