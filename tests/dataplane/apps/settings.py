"""What the services of these tests have in common: how their data plane is set up, and what they answer with."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from rollcast_dataplane import DataPlane, FilePins, MemoryPins, ServingRelease, SignedPins

SETTINGS: dict[str, Any] = json.loads(os.environ["DATAPLANE"])
_PINS = {"file": lambda: FilePins(SETTINGS["pins_at"]), "signed": SignedPins, "memory": MemoryPins, None: lambda: None}


def warm(instance: str) -> bool:
    """Ready once the folder says so."""
    return (Path(SETTINGS["folder"]) / "ready").exists() or "ready" in instance


def evaluate(release: ServingRelease, suite: str) -> dict[str, Any]:
    if suite == "broken":
        raise RuntimeError("there are no cases")
    return {"cases": 2, "metrics": {"of_new": float(release.artifacts["prompt"].endswith("2"))}}


plane = DataPlane(
    "help-desk",
    definition=SETTINGS.get("definition"),
    relays=SETTINGS.get("relays", ()),
    state=SETTINGS["state"],
    telemetry=SETTINGS["telemetry"],
    warm=warm,
    evaluate=evaluate,
    trust=SETTINGS.get("trust"),
    pins=_PINS[SETTINGS.get("pins", "file")](),
    session_s=SETTINGS.get("session_s", 3600.0),
)


def served(body: dict[str, Any]) -> dict[str, Any]:
    """Resolves, takes its time, and resolves again: what it answers with shows a request that met two releases."""
    first = plane.resolve(body.get("user"), body.get("session"), body.get("device"), body.get("attributes"))
    time.sleep(body.get("takes_s", 0))
    again = plane.resolve("somebody else")
    plane.outcome(input_tokens=3, output_tokens=5, violation=False)
    assert again is first
    return {"release": again.id, "components": first.artifacts}
