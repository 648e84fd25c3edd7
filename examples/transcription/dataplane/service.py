"""The service: sound comes in while it is spoken, lines of JSON go out. Run: python -m dataplane.service --port 8787.

`POST /transcribe`: the header `x-call` is JSON (`key`, `codec`, `attributes`; for test calls also `said` and
`translated`), the body is sound. Each line of the answer is a partial transcript, the last one the whole. No sound and
no words are kept: telemetry has numbers alone.
Which release serves, what is in flight and what is recorded is the kit's.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from dataplane import monitor, pipeline
from dataplane.errors import BadRequest
from dataplane.instances import Instances
from demos.answering import parser_of, plane_of
from rollcast_dataplane import DataPlane, ServingRelease
from rollcast_dataplane.asgi import AsgiMiddleware, Receive, Send

USD_PER_SECOND = 0.0004  # of sound
LATE_S = 1.0  # first words that come later than this after a call began are late
BYTES_PER_SECOND = {"pcm16-16khz": 32_000, "pcmu-8khz": 8_000}


class Transcribe:
    """The one route, as plain ASGI: it answers while it still listens."""

    def __init__(self, plane: DataPlane, instances: Instances) -> None:
        self.plane, self.instances = plane, instances

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        about = described(dict(scope["headers"]).get(b"x-call", b""))
        release = self.plane.resolve(user=about["key"], attributes=about["attributes"])
        call = pipeline.Call(release.variant, self.instances, about["codec"], domain_of(about))
        try:
            await self._serve(call, about, release, receive, send)
        finally:
            call.drop()

    async def _serve(
        self, call: pipeline.Call, about: dict[str, Any], release: ServingRelease, receive: Receive, send: Send
    ) -> None:
        headers = [(b"content-type", b"application/x-ndjson")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        heard_bytes, partials, shown, began = 0, Partials(), "", time.perf_counter()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            data = message.get("body", b"")
            heard_bytes += len(data)
            for said in call.sound(data):
                if said and said != shown:
                    shown = said
                    partials.sent()
                    await send(line({"partial": said}, more=True))
                await asyncio.sleep(0)  # other callers, and who asks what is in flight, come between two pieces
            if not message.get("more_body"):
                break
        ended = time.perf_counter()
        found = call.end()
        seconds = heard_bytes / BYTES_PER_SECOND[about["codec"]]
        self.plane.outcome(
            audio_s=round(seconds, 3),
            cost_usd=round(seconds * USD_PER_SECOND, 7),
            final_delay_s=since(ended),
            jitter_s=partials.jitter_s,
            late_first_words=partials.first_s(began) > LATE_S,
            violation=domain_of(about) == "gdpr" and monitor.says_a_number(found.text),
            **judged(about, found),
        )
        answer = {"transcript": found.text, "language": found.language, "translation": found.translation}
        served = {"request": self.plane.current().id, "release": release.id, "components": release.artifacts}
        await send(line({**answer, **served}, more=False))


class Partials:
    """When partial transcripts went out: how unevenly is their jitter, in seconds."""

    def __init__(self) -> None:
        self._times: list[float] = []

    def sent(self) -> None:
        self._times.append(time.perf_counter())

    def first_s(self, began: float) -> float:
        """Seconds from when a call began to its first partial; to now, where it had none."""
        return (self._times[0] if self._times else time.perf_counter()) - began

    @property
    def jitter_s(self) -> float:
        """The longest wait between two, less the shortest one; 0 where there are fewer than three."""
        waits = [after - before for before, after in zip(self._times, self._times[1:], strict=False)]
        return round(max(waits) - min(waits), 4) if len(waits) > 1 else 0.0


def described(header: bytes) -> dict[str, Any]:
    """What a call says of itself. Raises BadRequest."""
    try:
        found = json.loads(header)
        about = {"codec": "pcm16-16khz", "attributes": {}, **found}
        about["attributes"], about["key"] = dict(about["attributes"]), about["key"]
    except (ValueError, TypeError, KeyError) as error:
        raise BadRequest(f"The header x-call can't be used ({error}). Send JSON with 'key' and 'codec'.") from error
    return about


def domain_of(about: dict[str, Any]) -> str:
    return "gdpr" if about["attributes"].get("region") == "eu" else ""


def judged(about: dict[str, Any], found: pipeline.Transcript) -> dict[str, Any]:
    """What the monitor says of a test call, whose words are known."""
    judgement: dict[str, Any] = {}
    if said := about.get("said"):
        judgement["word_error_rate"] = monitor.word_error_rate(said, found.heard)
        judgement["wrong_language"] = found.language != about["attributes"].get("language", "en")
    return judgement


def since(moment: float) -> float:
    return round(time.perf_counter() - moment, 4)


def line(value: dict[str, Any], more: bool) -> dict[str, Any]:
    return {"type": "http.response.body", "body": json.dumps(value).encode() + b"\n", "more_body": more}


def cases_of(folder: Path) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Each recorded call of a folder, with its sound."""
    sound = (folder / "sound.bin").read_bytes()
    for text in (folder / "calls.jsonl").read_text("utf-8").splitlines():
        case = json.loads(text)
        yield case, sound[case["from"] : case["to"]]


def application(plane: DataPlane, instances: Instances) -> AsgiMiddleware:
    async def health(_: Request) -> JSONResponse:
        return JSONResponse({"ok": True})

    routes = [Route("/healthz", health), Route("/transcribe", Transcribe(plane, instances), methods=["POST"])]
    return AsgiMiddleware(Starlette(routes=routes), plane)


def main() -> None:
    options = parser_of(__doc__).parse_args()
    instances = Instances(options.instances)
    plane = plane_of("transcription", options, instances.get)
    served = application(plane, instances)
    # A call can't be sent twice, so an idle connection is not closed before the proxy closes it.
    uvicorn.run(served, host="127.0.0.1", port=options.port, log_level="warning", timeout_keep_alive=120)


if __name__ == "__main__":
    main()
