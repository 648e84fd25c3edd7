"""Confirmations that a milestone waits for: of people, of a program, or of a webhook.

Limits: what a program or a webhook answers is its own; the name of a person is a statement and no proof, as in an
approval of a plan.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, model_validator

from rollcast.planner.base.values import Seconds
from rollcast.planner.base.wording import in_words
from rollcast.planner.declaration.receivers import WEBHOOK, Secret, shown_address
from rollcast.planner.declaration.strict import Model


class OnDenied(StrEnum):
    """What becomes of a rollout when a confirmation is denied."""

    HOLD = "hold"
    ROLLBACK = "rollback"


class Confirmation(Model):
    """What must be confirmed before a rollout goes on to a milestone; its gates are watched meanwhile."""

    audience: str = Field("everyone", description="whose share the milestone raises")
    percent: float = Field(
        gt=0, le=100, description="it waits before the first milestone that gives the audience at least this much"
    )
    by: tuple[Annotated[str, Field(min_length=1, max_length=200)], ...] = Field(
        (),
        description="who may confirm it with 'rollcast approve', by the names of their accounts",
        exclude_if=lambda given: not given,
    )
    approvals: int = Field(
        1, ge=1, description="how many of them must, each for one", exclude_if=lambda given: given == 1
    )
    command: tuple[str, ...] = Field(
        (),
        description="a program and its arguments, never a shell, run in the project's folder: it gets the question as "
        'JSON, and writes {"confirmed": true} or {"confirmed": false, "reason": "…"}',
        exclude_if=lambda given: not given,
    )
    url: str | None = Field(
        None,
        pattern=WEBHOOK,
        description="a webhook that gets the question by POST, and answers as `command` does; `${NAME}` is a variable "
        "of the environment",
        exclude_if=lambda given: given is None,
    )
    secret: Secret | None = Field(
        None,
        description="`${NAME}`: the variable of the environment with the key that questions to `url` are signed with",
        exclude_if=lambda given: given is None,
    )
    timeout: Seconds = Field(
        10.0,
        gt=0,
        le=3600,
        description="how long `command` or `url` may take to answer",
        exclude_if=lambda given: given == 10.0,
    )
    ask_every: Seconds = Field(
        30.0,
        gt=0,
        description="how long after a try without an answer the next one is",
        exclude_if=lambda given: given == 30.0,
    )
    on_denied: OnDenied = Field(
        OnDenied.HOLD,
        description="when it is denied: stay until it is confirmed after all, or roll back",
        exclude_if=lambda given: given is OnDenied.HOLD,
    )

    @model_validator(mode="after")
    def _one_who_answers(self) -> Confirmation:
        given = [bool(self.by), bool(self.command), self.url is not None]
        if sum(given) != 1:
            raise ValueError("a confirmation is given 'by' people, by a 'command' or by a webhook at 'url': name one")
        if self.approvals > len(set(self.by)) and self.by:
            raise ValueError(f"{self.approvals} approvals are needed, and 'by' names {len(set(self.by))}")
        if self.secret is not None and self.url is None:
            raise ValueError("'secret' is the key of questions to a 'url', and there is none")
        return self

    @property
    def source(self) -> str:
        """`person`, `command` or `webhook`."""
        return "person" if self.by else "command" if self.command else "webhook"

    @property
    def who(self) -> str:
        """For people: who confirms it."""
        if self.command:
            return f"'{' '.join(self.command)}'"
        if self.url is not None:
            return shown_address(self.url)
        names = tuple(dict.fromkeys(self.by))
        if self.approvals == len(names):
            return in_words(names)
        return in_words(names, "or") if self.approvals == 1 else f"{self.approvals} of {in_words(names)}"


__all__ = ["Confirmation", "OnDenied"]
