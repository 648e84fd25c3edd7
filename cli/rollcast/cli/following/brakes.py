"""What an incident's webhook says of the brake: our own words, or those of Prometheus' Alertmanager.

Ours are `{"pulled": true, "reason": "…", "environment": "production"}`; without an environment all of them are meant.
Alertmanager's webhook (https://prometheus.io/docs/alerting/latest/configuration/#webhook_config) pulls while something
fires, and releases when all of its group is resolved.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_MOST = 400  # characters of a reason that are kept
_FORM = 'Send {"pulled": true, "reason": "…"}, or what Alertmanager sends.'


@dataclass(frozen=True)
class BrakeOrder:
    """To pull or to release the brake, why, and where; an empty environment means each of them."""

    pulled: bool
    reason: str
    environment: str = ""

    @classmethod
    def of(cls, body: bytes) -> BrakeOrder:
        """Raises ValueError saying what is wrong."""
        try:
            said = json.loads(body)
        except (ValueError, RecursionError):
            raise ValueError(f"The body is no JSON. {_FORM}") from None
        if not isinstance(said, dict):
            raise ValueError(f"The body is no object. {_FORM}")
        found = _of_alerts(said) if "alerts" in said else _own(said)
        if not found.reason.strip():
            raise ValueError(f"The reason is absent. {_FORM}")
        return found


def _own(said: Mapping[str, Any]) -> BrakeOrder:
    pulled, reason, environment = said.get("pulled"), said.get("reason"), said.get("environment", "")
    if not isinstance(pulled, bool) or not isinstance(reason, str) or not isinstance(environment, str):
        raise ValueError(f"'pulled' is true or false, 'reason' and 'environment' are texts. {_FORM}")
    return BrakeOrder(pulled, reason[:_MOST], environment)


def _of_alerts(said: Mapping[str, Any]) -> BrakeOrder:
    status, group = said.get("status"), said.get("groupKey", "")
    if status not in ("firing", "resolved"):
        raise ValueError("'status' of alerts is 'firing' or 'resolved'.")
    labels = [said.get("commonAnnotations"), said.get("commonLabels")]
    words = [part.get(key) for part in labels if isinstance(part, dict) for key in ("summary", "alertname")]
    reason = next((word for word in words if isinstance(word, str) and word.strip()), str(group) or "an alert")
    return BrakeOrder(status == "firing", f"{reason[:_MOST]} ({status})")


__all__ = ["BrakeOrder"]
