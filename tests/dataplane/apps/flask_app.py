"""A Flask service on the kit."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import requests
from flask import Flask, Response, request

from rollcast_dataplane import clients
from rollcast_dataplane.wsgi import WsgiMiddleware
from tests.dataplane.apps.settings import plane, served

app = Flask(__name__)
app.wsgi_app = WsgiMiddleware(app.wsgi_app, plane)  # type: ignore[method-assign]
session = clients.requests_session(requests.Session())
session.trust_env = False


@app.post("/chat")
def chat() -> dict[str, Any]:
    return {**served(request.get_json()), "process": os.getpid()}


@app.post("/stream")
def stream() -> Response:
    body = request.get_json()
    release = plane.resolve(body.get("user"), body.get("session"))

    def parts() -> Iterator[str]:
        for _ in range(int(body["takes_s"] / 0.05)):
            yield plane.resolve().id + "\n"
            time.sleep(0.05)
        yield release.id + "\n"

    return Response(parts(), mimetype="text/plain")


@app.post("/call")
def call() -> dict[str, Any]:
    body = request.get_json()
    plane.resolve(body.get("user"))
    reply = session.post(body["url"], json=body.get("json", {}))
    saw = {name.lower(): value for name, value in request.headers.items()}
    return {"status": reply.status_code, "said": reply.json(), "saw": saw}


@app.post("/boom")
def boom() -> None:
    plane.resolve(request.get_json().get("user"))
    raise RuntimeError("the service's own mistake")


@app.get("/healthz")
def health() -> dict[str, bool]:
    return {"ok": True}
