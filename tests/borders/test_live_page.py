"""The live page serves as many readers as it says, to whom it should, and reads no more than it needs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcast.cli.serving.app import LONGEST_BODY, MOST_READERS, application

Result = TypeVar("Result")


class Live:
    """A page that is never needed."""

    def page(self) -> Any:
        raise AssertionError("no part of the page is read in these tests")


def run(main: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """In a thread of its own: tests of a browser leave an event loop running in theirs."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(main())).result()


def client(hosts: list[str], addresses: bool = False) -> tuple[httpx.AsyncClient, Any]:
    app, site = application(Live(), "secret", hosts, addresses=addresses)  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://wall"), site


def test_readers_that_come_at_once_are_counted_before_they_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> tuple[list[int], int]:
        served, site = client(["wall"])
        come = asyncio.Event()

        async def nothing(request: Any) -> AsyncIterator[str]:
            await come.wait()
            yield ": still here\n\n"

        monkeypatch.setattr(site, "_changes", nothing)
        reading = [asyncio.create_task(served.get("/events")) for _ in range(60)]
        await asyncio.sleep(0.2)
        come.set()
        return sorted(answer.status_code for answer in await asyncio.gather(*reading)), site._readers

    found, left = run(main)
    assert found == [200] * MOST_READERS + [503] * (60 - MOST_READERS)
    assert left == 0


def test_a_reader_that_leaves_before_its_stream_began_is_counted_no_more() -> None:
    async def main() -> int:
        app, site = application(Live(), None, ["wall"])  # type: ignore[arg-type]
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/events",
            "headers": [(b"host", b"wall")],
            "query_string": b"",
        }

        async def gone(message: Any) -> None:
            raise OSError

        async def receive() -> dict[str, str]:
            return {"type": "http.disconnect"}

        for _ in range(3):
            with pytest.raises(BaseException):  # noqa: B017, PT011 - whatever a server raises
                await app(scope, receive, gone)
        return int(site._readers)

    assert run(main) == 0


@pytest.mark.parametrize(
    ("host", "names", "addresses", "status"),
    [
        ("wall", ["wall"], False, 404),
        ("WALL:8722", ["wall"], False, 404),
        ("10.0.0.7:8722", ["wall"], True, 404),
        ("[fd00::7]:8722", ["wall"], True, 404),
        ("10.0.0.7", ["wall"], False, 400),
        ("elsewhere.example", ["wall"], True, 400),
        ("10.0.0.7.elsewhere.example", ["wall"], True, 400),
        ("", ["wall"], True, 400),
    ],
)
def test_only_names_of_its_own_and_on_request_addresses_are_answered(
    host: str, names: list[str], addresses: bool, status: int
) -> None:
    async def main() -> int:
        served, _ = client(names, addresses)
        return (await served.get("/nowhere", headers={"host": host})).status_code

    assert run(main) == status


@given(st.text(st.characters(codec="latin-1", exclude_characters="\r\n"), max_size=40))
def test_any_host_header_is_answered(host: str) -> None:
    async def main() -> int:
        served, _ = client(["wall"], True)
        return (await served.get("/nowhere", headers={"host": host.encode("latin-1")})).status_code  # type: ignore[dict-item]

    assert run(main) in (400, 404)


def test_of_a_body_without_end_only_the_beginning_is_read() -> None:
    async def main() -> tuple[int, int]:
        served, _ = client(["wall"])
        sent = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal sent
            while sent < 1000 * LONGEST_BODY:
                sent += LONGEST_BODY
                yield b"x" * LONGEST_BODY

        answer = await served.post("/orders/nothing", content=endless(), headers={"authorization": "Bearer secret"})
        await served.post("/orders/pause", content=endless(), headers={"authorization": "Bearer wrong"})
        return answer.status_code, sent

    assert run(main) == (404, 0)
