"""What a client sends never ends the example's service: a key that can't be hashed is refused before it is used."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

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
    body: bytes, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLE))
    from dataplane import service  # type: ignore[import-not-found]

    def query(sent: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        return 200, {"key": service._key(sent.get("key")), "cost": int(sent.get("input_tokens") or 0) * 0.1}

    made = SimpleNamespace(query=query, warm=None, evaluate=None, inflight=None)

    async def answered() -> httpx.Response:
        transport = httpx.ASGITransport(service.application(made))
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.post("/query", content=body)

    with ThreadPoolExecutor(1) as elsewhere:  # another test's event loop may run in this thread
        reply = elsewhere.submit(lambda: asyncio.run(answered())).result()
    assert reply.status_code == status
    assert status == 200 or "orrect" in reply.json()["error"]
