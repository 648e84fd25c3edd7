"""The body of a notification: CloudEvents 1.0 in CDEvents' vocabulary, or a message of Slack's incoming webhooks.

CDEvents 0.5.1 has words for what becomes of a service; what is about a rollout itself is a custom event of the name
`dev.cdeventsx.rollcast-rollout.…`, as CDEvents prescribes. https://github.com/cdevents/spec/tree/v0.5.1
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, assert_never
from urllib.parse import quote

from rollcast.planner.declaration.receivers import NotifyEvent, NotifyFormat
from rollcast.stacks.notifying.messages import Notification

CDEVENTS = "0.5.1"
_SERVICE = "dev.cdevents.service.{}.0.3.0"
_ROLLOUT = "dev.cdeventsx.rollcast-rollout.{}.0.1.0"
_MARKS: Mapping[NotifyEvent, str] = {
    NotifyEvent.BEGAN: ":arrow_forward:",
    NotifyEvent.WAITING: ":raised_hand:",
    NotifyEvent.HELD: ":raised_hand:",
    NotifyEvent.DEPLOYED: ":white_check_mark:",
    NotifyEvent.ROLLEDBACK: ":rewind:",
    NotifyEvent.REMOVED: ":black_square_for_stop:",
    NotifyEvent.FAILED: ":x:",
}


def content_type_of(form: NotifyFormat) -> str:
    """What the body says that it is."""
    match form:
        case NotifyFormat.CLOUDEVENTS:
            return "application/cloudevents+json; charset=utf-8"
        case NotifyFormat.SLACK:
            return "application/json; charset=utf-8"
        case _:
            assert_never(form)


def body_of(notification: Notification, form: NotifyFormat) -> bytes:
    """The body, the same at every try."""
    match form:
        case NotifyFormat.CLOUDEVENTS:
            found = cloudevent(notification)
        case NotifyFormat.SLACK:
            found = slack(notification)
        case _:
            assert_never(form)
    return json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def type_of(notification: Notification) -> str:
    """CDEvents' word for it, with the version of that word."""
    match notification.event:
        case NotifyEvent.DEPLOYED:
            return _SERVICE.format("upgraded" if notification.before else "deployed")
        case NotifyEvent.ROLLEDBACK | NotifyEvent.REMOVED as event:
            return _SERVICE.format(event.value)
        case NotifyEvent.BEGAN | NotifyEvent.WAITING | NotifyEvent.HELD | NotifyEvent.FAILED as event:
            return _ROLLOUT.format(event.value)
        case _:
            assert_never(notification.event)


def cloudevent(notification: Notification) -> dict[str, Any]:
    """A CloudEvent in structured mode, whose data is a CDEvent."""
    source = f"/rollcast/{quote(notification.pipeline)}/{quote(notification.environment)}"
    kind, time = type_of(notification), _rfc3339(notification.time_s)
    about_service = kind.startswith("dev.cdevents.")
    subject = notification.pipeline if about_service else notification.rollout or notification.id
    context = {"specversion": CDEVENTS, "id": notification.id, "source": source, "type": kind, "timestamp": time}
    if notification.rollout:
        context["chainId"] = notification.rollout
    return {
        "specversion": "1.0",
        "id": notification.id,
        "source": source,
        "type": kind,
        "subject": subject,
        "time": time,
        "datacontenttype": "application/cdevents+json",
        "data": {
            "context": context,
            "subject": {"id": subject, "source": source, "content": _content(notification, source, about_service)},
            "customData": {
                "rollout": notification.rollout,
                "text": notification.text,
                "reason": notification.reason,
                "by": notification.by,
                "releases": dict(notification.releases),
                "before": dict(notification.before),
            },
            "customDataContentType": "application/json",
        },
    }


def slack(notification: Notification) -> dict[str, Any]:
    """A message with a text, which Slack shows in a notification, and blocks, which it shows in the channel."""
    mark = _MARKS[notification.event]
    line = (
        f"{mark} *{_plain(notification.pipeline)}* in *{_plain(notification.environment)}*: {_plain(notification.text)}"
    )
    blocks: list[dict[str, Any]] = [{"type": "section", "text": {"type": "mrkdwn", "text": line}}]
    details = [
        _plain(text) for text in (notification.reason, f"by {notification.by}" if notification.by else "") if text
    ]
    if details:
        blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": "\n".join(details)}]})
    return {"text": line, "blocks": blocks}


def _content(notification: Notification, source: str, about_service: bool) -> dict[str, Any]:
    environment = {"id": notification.environment, "source": source}
    if not about_service:
        return {"environment": environment, "artifactId": _package(notification), "text": notification.text}
    if notification.event is NotifyEvent.REMOVED:
        return {"environment": environment}
    return {"environment": environment, "artifactId": _package(notification)}


def _package(notification: Notification) -> str:
    """The releases that serve by it as a package URL; several, of a platform's channels, are joined."""
    releases = "+".join(dict.fromkeys(notification.releases.values()))
    version = f"@{quote(releases, safe='')}" if releases else ""
    return f"pkg:generic/{quote(notification.pipeline, safe='')}{version}"


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plain(text: str) -> str:
    """Text that Slack shows as it is: nothing in a reason mentions a channel or becomes a link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


__all__ = ["CDEVENTS", "body_of", "cloudevent", "content_type_of", "slack", "type_of"]
