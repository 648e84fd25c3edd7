"""One replica's control endpoint: warm an instance, evaluate a release, count requests.

Plain HTTP with JSON: `POST /rollcast/warm {instance}`, `POST /rollcast/evaluate {release, suite}` giving
`{cases, metrics}`, `GET /rollcast/inflight` giving `{releases: {id: count}}`, requests that are on each release now,
and where the data plane reports it

- `definitions: {flag: digest}`: what it evaluates now;
- `replica`: an id of the process that answers, another one after a restart;
- `finished: {release: count}`: requests that have ended on each release since that process began.

- `bucketing`: the hash by which it splits; `warm`: the instances that it has made ready;
- `kit`: name and version of its data plane; `degraded`: why it goes on with what it last knew.

A bearer token comes from ROLLCAST_ENDPOINT_TOKEN only.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError, field_validator

from rollcast.stacks.base.bounded_http import bounded, certificates_for
from rollcast.stacks.base.errors import StackError, first_mistake
from rollcast.stacks.base.strict_json import strict_json

Stopped = Callable[[], bool]
Say = Callable[[str], None]
Result = TypeVar("Result")
ENDPOINT_TOKEN = "ROLLCAST_ENDPOINT_TOKEN"
POLL_S = 0.1
ASK_S = 5.0
_UNKNOWN, _UNAUTHORIZED = 404, 401
_MOST_SAID = 300  # characters of why a replica is not ready
_LATEST_S = 1e11  # a clock beyond it counts milliseconds
_BUSY = (429, 502, 503, 504)  # not yet, or not just now: called again until the operation's limit


class ReplicaState(BaseModel):
    """What one replica says of itself. Counts are of requests, by release.

    time: seconds since 1970 by its own clock, when it said so; that is `heard_s` ago.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    releases: dict[str, NonNegativeInt] = Field(default_factory=dict)
    definitions: dict[str, str | None] | None = None
    replica: str | None = None
    finished: dict[str, NonNegativeInt] | None = None
    bucketing: str | None = None
    warm: list[str] | None = None
    kit: str | None = None
    degraded: str | None = None
    time: float | None = None
    heard_s: float = 0.0

    @field_validator("time", mode="before")
    @classmethod
    def _or_none(cls, value: Any) -> float | None:
        """A time that is no number says nothing, and is no reason to refuse the rest."""
        number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LATEST_S
        return float(value) if number else None

    @field_validator("kit", "degraded", mode="before")
    @classmethod
    def _said(cls, value: Any) -> str | None:
        """What is shown and decides nothing: of another type, it is as if it were not there."""
        return value[:1000] if isinstance(value, str) else None


def has_token(variable: str) -> bool:
    """Whether a bearer token is set in the environment."""
    return bool(os.environ.get(variable))


class Unanswered(StackError):
    """An address gave no answer, or one that asks for patience."""


def silent(text: str) -> None:
    """Nobody listens."""


def _reason(reply: httpx.Response) -> str:
    """What a replica says of why it is not ready, in one short line; nothing where it says nothing that can be read."""
    try:
        found = strict_json(reply.content)
    except ValueError:
        return ""
    said = found.get("error") if isinstance(found, dict) else None
    return " ".join(said.split())[:_MOST_SAID] if isinstance(said, str) else ""


class Control:
    """One address of a data plane. `token_of`: the variable of the environment that holds its bearer token."""

    def __init__(self, address: str, token_of: str = ENDPOINT_TOKEN) -> None:
        token = os.environ.get(token_of)
        headers = {"Connection": "close"} | ({"Authorization": f"Bearer {token}"} if token else {})
        self.address, self._token_of = address, token_of
        self._client = bounded(
            httpx.Client(base_url=address, headers=headers, trust_env=False, verify=certificates_for(address))
        )

    def warm(self, instance: str, timeout_s: float, stopped: Stopped, say: Say = silent) -> None:
        """Returns when the instance answers; asks again while the replica is not ready to, and says why it is not.

        Raises StackError.
        """
        until, said = time.monotonic() + timeout_s, ""
        while True:
            left_s = until - time.monotonic()
            try:
                self.ask("POST", "/rollcast/warm", max(left_s, 0.1), {"instance": instance})
                return
            except Unanswered as error:
                if time.monotonic() + POLL_S >= until:
                    raise StackError(f"{error} Tried again for {timeout_s:.0f} s.") from None
                if str(error) != said:
                    said = str(error)
                    say(f"{instance} is not warm yet, and is tried again for {left_s:.0f} s: {said}")
            nap(POLL_S, stopped)

    def evaluate(self, release: Mapping[str, Any], suite: str, timeout_s: float) -> dict[str, Any]:
        """Metrics of a suite on a release, and the number of cases. Raises StackError."""
        return self.ask("POST", "/rollcast/evaluate", timeout_s, {"release": release, "suite": suite})

    def state(self, timeout_s: float = ASK_S) -> ReplicaState:
        """What whoever answers at this address says of itself. Raises StackError."""
        answer = self.ask("GET", "/rollcast/inflight", timeout_s)
        try:
            return ReplicaState.model_validate(answer)
        except ValidationError as error:
            place, said = first_mistake(error)
            raise StackError(
                f"The data plane at {self.address} answers /rollcast/inflight with '{place}' that can't be used "
                f"({said}). Correct what it says there."
            ) from None

    def ask(self, method: str, path: str, timeout_s: float, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The JSON object that answers. Raises StackError; Unanswered where it may be otherwise in a moment."""
        try:
            reply = self._client.request(method, path, json=body, timeout=timeout_s)
            data = _reason(reply) if reply.status_code in _BUSY else strict_json(reply.content)
        except (httpx.HTTPError, ValueError) as error:
            if isinstance(error, ValueError) and reply.status_code == _UNKNOWN:
                raise self._not_connected(path) from None
            raise Unanswered(
                f"The data plane at {self.address} doesn't answer {path} ({error or type(error).__name__}). "
                "Start it, or correct the target's endpoint."
            ) from None
        if reply.status_code in _BUSY:
            raise Unanswered(
                f"The data plane at {self.address} is not ready for {path} (HTTP {reply.status_code}"
                f"{f': {data}' if data else ''}). See why, or give it more time."
            )
        if reply.status_code == _UNKNOWN and not (isinstance(data, dict) and "error" in data):
            raise self._not_connected(path)
        if reply.status_code == _UNAUTHORIZED:
            raise StackError(
                f"What answers at {self.address} wants another bearer token for {path}. Set {self._token_of} here to "
                "the value that it has there."
            )
        if reply.is_error or not isinstance(data, dict):
            said = data.get("error", reply.status_code) if isinstance(data, dict) else reply.status_code
            raise StackError(f"The data plane at {self.address} refused {path}: {said}")
        return data

    def _not_connected(self, path: str) -> StackError:
        return StackError(
            f"What answers at {self.address} does not know {path} (HTTP {_UNKNOWN}): it has no data plane yet. "
            "Make the first release without the target's 'endpoint', deploy the service with its data plane, then list "
            "its addresses."
        )


def at_once(controls: Sequence[Control], ask: Callable[[Control], Result]) -> list[tuple[Control, Result | StackError]]:
    """What each address answers, or why it does not: all called at once, in their order."""

    def one(control: Control) -> Result | StackError:
        try:
            return ask(control)
        except StackError as error:
            return error

    if len(controls) < 2:
        return [(control, one(control)) for control in controls]
    with ThreadPoolExecutor(min(len(controls), 32)) as pool:
        return list(zip(controls, pool.map(one, controls), strict=True))


def pause(least_s: float, stopped: Stopped) -> None:
    """Waits. Raises StackError when it is cancelled."""
    until = time.monotonic() + least_s
    while (left := until - time.monotonic()) > 0:
        nap(min(POLL_S, left), stopped)


def nap(seconds: float, stopped: Stopped) -> None:
    """Waits a moment. Raises StackError when the operation is cancelled."""
    if stopped():
        raise StackError("The operation was cancelled. Run 'rollcast apply --resume'.")
    time.sleep(seconds)
