"""The receivers of notifications that an environment names."""

from __future__ import annotations

import re
from enum import StrEnum

from pydantic import Field, field_validator

from rollcast.planner.declaration.strict import Model


class NotifyEvent(StrEnum):
    """What a receiver may hear of."""

    BEGAN = "began"
    WAITING = "waiting"
    HELD = "held"
    DEPLOYED = "deployed"
    ROLLEDBACK = "rolledback"
    REMOVED = "removed"
    FAILED = "failed"


class NotifyFormat(StrEnum):
    """The form in which a receiver gets what happened."""

    CLOUDEVENTS = "cloudevents"
    SLACK = "slack"


class Receiver(Model):
    """A webhook that hears of rollouts."""

    url: str = Field(
        pattern=r"^(https?://[^\s@?#]+|\$\{[A-Za-z_][A-Za-z0-9_]*\})$",
        description="its address, without a password or a query; `${NAME}` is a variable of the environment",
    )
    events: tuple[NotifyEvent, ...] = Field(
        tuple(NotifyEvent),
        min_length=1,
        description="began; waiting (a plan awaits approval); held (a rollout needs a person); deployed (everybody is "
        "on the new release); rolledback; removed (nothing serves any more); failed (a step could not be carried "
        "out). All of them where left out",
    )
    format: NotifyFormat = Field(
        NotifyFormat.CLOUDEVENTS,
        description="CloudEvents in CDEvents' vocabulary, or a message that Slack's incoming webhooks take",
    )
    secret: str | None = Field(
        None,
        pattern=r"^\$\{[A-Za-z_][A-Za-z0-9_]*\}$",
        description="`${NAME}`: the variable of the environment with the key that every delivery is signed with",
    )

    @field_validator("url")
    @classmethod
    def _no_secret(cls, url: str) -> str:
        """Slack's addresses are secrets: who knows one may write to its channel."""
        if re.match(r"https?://hooks\.slack\.com\b", url) and "${" not in url:
            raise ValueError("an address of Slack's webhooks is a secret: put it into a variable, and write ${NAME}")
        return url
