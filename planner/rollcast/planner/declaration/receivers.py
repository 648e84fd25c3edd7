"""The receivers of notifications that an environment names, and how addresses of webhooks are written and shown."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated

from pydantic import Field, field_validator

from rollcast.planner.declaration.strict import Model

WEBHOOK = r"^(https?://[^\s@?#]+|\$\{[A-Za-z_][A-Za-z0-9_]*\})$"
"""An address without a password or a query, or a variable of the environment."""
Secret = Annotated[str, Field(pattern=r"^\$\{[A-Za-z_][A-Za-z0-9_]*\}$")]


def shown_address(url: str) -> str:
    """An address as messages show it: without its path, by which alone some are protected."""
    if "://" not in url:
        return url
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host}{'/…' if slash and path else ''}"


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
        pattern=WEBHOOK,
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
    secret: Secret | None = Field(
        None,
        description="`${NAME}`: the variable of the environment with the key that every delivery is signed with",
    )

    @field_validator("url")
    @classmethod
    def _no_secret(cls, url: str) -> str:
        """Slack's addresses are secrets: who knows one may write to its channel."""
        if re.match(r"https?://hooks\.slack\.com\b", url) and "${" not in url:
            raise ValueError("an address of Slack's webhooks is a secret: put it into a variable, and write ${NAME}")
        return url
