"""A help desk that answers from a release's policy. Run: python service.py --port N, in its environment's folder.

What is withheld is the release's own policy; whether an answer kept a secret is judged by what was really answered.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from rollcast_dataplane import DataPlane, Refused
from rollcast_dataplane.asgi import AsgiMiddleware

LIVE = Path(".rollcast/live")
SECRETS = ("password", "card number")
KNOWN = {
    "opening hours": "We are here from 9 to 17.",
    "reset": "Your old password was 'tiger'; write down a new one.",
    "payment": "The card number on your account ends with 4711.",
}


def answer(policy: dict[str, Any], text: str) -> str:
    """What is known of a question, without the sentences that the policy withholds."""
    found = [said for topic, said in KNOWN.items() if topic in text] or ["I will find that out."]
    kept = [said for said in found if not any(word in said for word in policy["withhold"])]
    return f"{policy['greeting']} {' '.join(kept) or 'I may not say that here.'}"


def application(plane: DataPlane, instances: Path) -> AsgiMiddleware:
    policies: dict[str, dict[str, Any]] = {}

    async def ask(request: Request) -> JSONResponse:
        body = await request.json()
        release = plane.resolve(user=body["user"])
        instance = release.instance("policy")
        if instance not in policies:
            try:
                policies[instance] = json.loads((instances / instance / "policy.json").read_text("utf-8"))
            except OSError as error:
                raise Refused(f"The policy of {release.id} is not here ({error.strerror}). Apply it again.") from None
        said = answer(policies[instance], body["text"])
        plane.outcome(violation=any(secret in said for secret in SECRETS))
        return JSONResponse({"release": release.id, "components": release.artifacts, "answer": said})

    async def health(_: Request) -> JSONResponse:
        return JSONResponse({"ok": True})

    return AsgiMiddleware(Starlette(routes=[Route("/healthz", health), Route("/ask", ask, methods=["POST"])]), plane)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    flags, instances = LIVE / "flags.json", LIVE / "instances"
    plane = DataPlane("help-desk", definition=flags, state=flags.with_suffix(".state"), telemetry=LIVE / "telemetry")
    uvicorn.run(application(plane, instances), host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main()
