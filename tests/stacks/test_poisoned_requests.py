"""What a client sends never ends the example's service: a key that can't be hashed is refused before it is used."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from rollcast_dataplane import DataPlane

EXAMPLE = Path(__file__).parents[2] / "examples" / "rag-search"


@pytest.mark.parametrize(("body", "status"), [
    (b'{"key": "ann"}', 200),
    (b'{"key": 123}', 200),
    (b'{"key": ' + b"9" * 400 + b"}", 200),
    (b'{"key": "\\ud800"}', 400),
    (b'{"key": "ann", "attributes": {"region": "\\udfff"}}', 400),
    (b'{"key": "' + b"x" * 5000 + b'"}', 400),
    (b'{"key": null}', 400),
    (b'{"key": ["ann"]}', 400),
    (b'{"key": ' + b"9" * 5000 + b"}", 400),
    (b'{"key": "ann", "x": ' + b"[" * 3000 + b"]" * 3000 + b"}", 400),
    (b'{"key": "ann", "input_tokens": ' + b"9" * 400 + b"}", 400),
    (b'{"key": "ann", "input_tokens": [1]}', 400),
])  # fmt: skip
def test_a_poisonous_request_is_refused_and_never_more(
    body: bytes, status: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLE))
    from dataplane import pipeline, service  # type: ignore[import-not-found]

    answer = pipeline.Answer("text", [], False, False, False)
    monkeypatch.setattr(pipeline, "answer", lambda release, instances, text: answer)
    variants = {"rel-1": {"release": "rel-1", "channel": "default", "components": {}}}
    flag = {"state": "ENABLED", "variants": variants, "defaultVariant": "rel-1", "targeting": {"if": [True, "rel-1"]}}
    (tmp_path / "flags.json").write_text(json.dumps({"flags": {"rollcast-rag-search": flag}}))
    plane = DataPlane("rag-search", definition=tmp_path / "flags.json", state=tmp_path, telemetry=tmp_path)

    async def answered() -> httpx.Response:
        transport = httpx.ASGITransport(service.application(plane, None))
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.post("/query", content=body.replace(b"{", b'{"query": "read", ', 1))

    try:
        with ThreadPoolExecutor(1) as elsewhere:  # another test's event loop may run in this thread
            reply = elsewhere.submit(lambda: asyncio.run(answered())).result()
    finally:
        plane.stop()
    assert reply.status_code == status
    assert status == 200 or "orrect" in reply.json()["error"]
    outcomes = tmp_path / "requests.jsonl"
    assert len(outcomes.read_text().splitlines() if outcomes.exists() else []) == (status == 200)
