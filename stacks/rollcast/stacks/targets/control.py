"""The data plane's control endpoint: warm an instance, evaluate a release, count requests in flight.

Plain HTTP with JSON: `POST /rollcast/warm {instance}`, `POST /rollcast/evaluate {release, suite}` giving
`{cases, metrics}`, `GET /rollcast/inflight` giving `{releases: {id: count}}` and, where the data plane tells it,
`definitions: {flag: digest}`, what it evaluates now. A bearer token comes from ROLLCAST_ENDPOINT_TOKEN only.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

import httpx

from rollcast.stacks.base.errors import StackError

Stopped = Callable[[], bool]
_POLL_S = 0.1
CONFIRM_S = 15.0


class Control:
    """One data plane's endpoint."""

    def __init__(self, endpoint: str) -> None:
        token = os.environ.get("ROLLCAST_ENDPOINT_TOKEN")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._endpoint = endpoint
        self._client = httpx.Client(base_url=endpoint, headers=headers, trust_env=False)

    def warm(self, instance: str, timeout_s: float) -> None:
        """Returns when the instance answers. Raises StackError."""
        self._ask("POST", "/rollcast/warm", timeout_s, {"instance": instance})

    def evaluate(self, release: Mapping[str, Any], suite: str, timeout_s: float) -> dict[str, Any]:
        """Metrics of a suite on a release, and the number of cases. Raises StackError."""
        return self._ask("POST", "/rollcast/evaluate", timeout_s, {"release": release, "suite": suite})

    def drain(self, releases: Collection[str], least_s: float, timeout_s: float, stopped: Stopped) -> None:
        """Returns when `least_s` are over and no request is on `releases`. Raises StackError after `timeout_s`."""
        began = time.monotonic()
        while True:
            waited = time.monotonic() - began
            if waited >= least_s:
                counts = self._ask("GET", "/rollcast/inflight", 30.0).get("releases", {})
                busy = {name: counts[name] for name in releases if counts.get(name)}
                if not busy:
                    return
                if waited > timeout_s:
                    text = ", ".join(f"{count} on {name}" for name, count in sorted(busy.items()))
                    raise StackError(
                        f"Requests are still in flight after {waited:.0f} s: {text}. Wait for them or end them, "
                        "then run 'rollcast apply --resume'."
                    )
            _nap(min(_POLL_S, max(least_s - waited, 0.01)) if waited < least_s else _POLL_S, stopped)

    def confirm(self, key: str, content: str, stopped: Stopped) -> bool:
        """Whether the data plane evaluates this content of a flag; waits for it up to `CONFIRM_S`.

        False where it can't be reached or does not tell. Raises StackError when it tells of another content still.
        """
        until = time.monotonic() + CONFIRM_S
        while True:
            try:
                told = self._ask("GET", "/rollcast/inflight", 5.0).get("definitions")
            except StackError:
                return False
            if not isinstance(told, dict) or key not in told:
                return False
            if told[key] == content:
                return True
            if time.monotonic() > until:
                raise StackError(
                    f"The data plane at {self._endpoint} still evaluates an older {key} after {CONFIRM_S:.0f} s. "
                    "See that it reads the target's definition, then run 'rollcast apply --resume'."
                )
            _nap(_POLL_S, stopped)

    def _ask(self, method: str, path: str, timeout_s: float, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        try:
            reply = self._client.request(method, path, json=body, timeout=timeout_s)
            data = reply.json()
        except (httpx.HTTPError, ValueError) as error:
            raise StackError(
                f"The data plane at {self._endpoint} doesn't answer {path} ({error or type(error).__name__}). "
                "Start it, or correct the target's endpoint."
            ) from None
        if reply.is_error or not isinstance(data, dict):
            said = data.get("error", reply.status_code) if isinstance(data, dict) else reply.status_code
            raise StackError(f"The data plane refused {path}: {said}")
        return data


def pause(least_s: float, stopped: Stopped) -> None:
    """Waits. Raises StackError when it is cancelled."""
    until = time.monotonic() + least_s
    while (left := until - time.monotonic()) > 0:
        _nap(min(_POLL_S, left), stopped)


def _nap(seconds: float, stopped: Stopped) -> None:
    if stopped():
        raise StackError("The drain was cancelled. Run 'rollcast apply --resume'.")
    time.sleep(seconds)
