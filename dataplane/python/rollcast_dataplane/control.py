"""The control endpoint of a replica, below `/rollcast/` (spec A): requests and answers. No framework."""

from __future__ import annotations

import hmac
import json
from typing import Any

from rollcast_dataplane.errors import BadDefinition, Refused
from rollcast_dataplane.plane import DataPlane
from rollcast_dataplane.releases import ServingRelease

PREFIX = "/rollcast/"
MOST_BYTES = 4 * 1024 * 1024
Answer = tuple[int, dict[str, Any]]


def is_quick(method: str, path: str) -> bool:
    """Whether the answer takes no time, so that an event loop may give it itself."""
    return method == "GET"


def answer(plane: DataPlane, method: str, path: str, authorization: str, body: bytes) -> Answer:
    """(status, JSON) of a request to the control endpoint. Whatever comes in, it answers."""
    given = authorization.encode("utf-8", "replace")
    if plane.token and not hmac.compare_digest(given, f"Bearer {plane.token}".encode()):
        return 401, {"error": "The control endpoint needs its bearer token. Set ROLLCAST_ENDPOINT_TOKEN where you ask."}
    route = (method, path.removeprefix(PREFIX))
    try:
        if route == ("GET", "inflight"):
            plane.start()
            return 200, plane.state()
        if route == ("POST", "warm"):
            plane.make_warm(_text(_object(body), "instance"))
            return 200, {"ready": True}
        if route == ("POST", "evaluate"):
            return 200, _evaluate(plane, _object(body))
    except Refused as error:
        return error.status, error.body()
    except (BadDefinition, _BadRequest) as error:
        return 400, {"error": f"{error}. Correct the request."}
    except Exception as error:  # a hook of the service: not ready, or broken; either way it says so
        return (503 if route[1] == "warm" else 500), {"error": f"{type(error).__name__}: {error}"}
    known = ("inflight", "warm", "evaluate")
    return (405 if route[1] in known else 404), {"error": f"There is no {method} {path} here."}


def _evaluate(plane: DataPlane, body: dict[str, Any]) -> dict[str, Any]:
    if plane.evaluate_hook is None:
        raise _BadRequest("this service runs no suites: give the data plane 'evaluate', or declare another evaluator")
    variant = body.get("release")
    if not isinstance(variant, dict):
        raise _BadRequest("'release' must be a whole variant of the flag")
    found = plane.evaluate_hook(ServingRelease(variant), _text(body, "suite"))
    return {"cases": int(found["cases"]), "metrics": dict(found["metrics"])}


class _BadRequest(Exception):
    """What the caller sent can't be used."""


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise _BadRequest("the body is no JSON") from None
    if not isinstance(found, dict):
        raise _BadRequest("the body is no JSON object")
    return found


def _text(body: dict[str, Any], name: str) -> str:
    found = body.get(name)
    if not isinstance(found, str) or not found or len(found) > 4096:
        raise _BadRequest(f"'{name}' must be text")
    return found
