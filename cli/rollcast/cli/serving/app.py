"""The web application of the live view: one page, its updates as server-sent events, and three orders.

Reading needs no token; an order needs it in the `Authorization` header, which no other site's page can send. Requests
that name another host than those given are refused, so that a foreign name can't be pointed at this address. Nothing
is cached, nothing is fetched from elsewhere.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from rollcast.cli.reports.page import Page
from rollcast.cli.reports.rendering import asset, html_of, rendered, source
from rollcast.cli.serving.live import LivePage
from rollcast.cli.terminal import clean
from rollcast.planner.base.errors import PlannerError
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.ledger.payloads import Order
from rollcast.stacks.rollout.steering import give

ORDERS = (Order.PAUSE, Order.PROMOTE, Order.ABORT)
MOST_READERS = 32
LONGEST_BODY = 4096


class Site:
    """Handlers that share one reader of the project. `token` None: no orders are taken."""

    def __init__(self, live: LivePage, token: str | None, every_s: float) -> None:
        self._live, self._token, self._every_s = live, token, every_s
        self._readers = 0
        self.closing = False

    async def page(self, request: Request) -> Response:
        """The page as it is now."""
        page = await run_in_threadpool(self._live.page)
        return _html(rendered("live.html.j2", page=page, orders=self._token is not None, orders_of=ORDERS))

    async def past(self, request: Request) -> Response:
        """The report of one rollout."""
        page = await run_in_threadpool(self._live.past, request.path_params["rollout"])
        if page is None:
            return Response("There is no such rollout.\n", 404, media_type="text/plain")
        style, script = source(asset("page.css")), source(asset("page.js"))
        policy = (
            f"default-src 'none'; style-src '{style}'; script-src '{script}'; img-src data:; frame-ancestors 'none'"
        )
        return _html(html_of(page), policy)

    async def events(self, request: Request) -> Response:
        """Parts of the page that changed, for as long as the reader stays."""
        if self._readers >= MOST_READERS:
            return Response("Too many readers.\n", 503, media_type="text/plain")
        self._readers += 1  # here, and not once the stream begins: sixty that come at once are sixty

        def left() -> None:
            self._readers -= 1

        return _Stream(self._changes(request), left)

    async def _changes(self, request: Request) -> AsyncIterator[str]:
        sent: dict[str, str] = {}
        while not self.closing and not await request.is_disconnected():
            parts = await run_in_threadpool(self._parts)
            changed = {name: html for name, html in parts.items() if sent.get(name) != html}
            gone = [name for name in sent if name not in parts]
            if changed or gone:
                yield f"event: parts\ndata: {json.dumps({'parts': changed, 'gone': gone})}\n\n"
                sent = parts
            else:
                yield ": still here\n\n"
            await asyncio.sleep(self._every_s)

    def _parts(self) -> dict[str, str]:
        page: Page = self._live.page()
        parts = {"summary": rendered("summary.html.j2", page=page)}
        return parts | {one.anchor: rendered("section.html.j2", one=one) for one in page.sections}

    async def order(self, request: Request) -> Response:
        """Leaves an order for the process that carries the rollout on."""
        order = request.path_params["order"]
        if self._token is None:
            return JSONResponse({"error": "This view only reads. Start it without --read-only."}, 403)
        given = request.headers.get("authorization", "")
        if not secrets.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
            return JSONResponse({"error": "The token is wrong. It was shown where 'rollcast serve' runs."}, 401)
        if order not in ORDERS:
            return JSONResponse({"error": f"There is no order '{order}'."}, 404)
        reason = clean((await _beginning(request)).decode("utf-8", "replace"))[:300]
        try:
            record = await run_in_threadpool(
                lambda: give(self._live.project, Order(order), reason=reason or "ordered in the live view")
            )
        except (StackError, PlannerError) as error:
            return JSONResponse({"error": str(error)}, 409)
        return JSONResponse({"ordered": order, "record": record.seq})

    async def asset(self, request: Request) -> Response:
        """The page's own style and scripts."""
        name = request.path_params["name"]
        kinds = {"page.css": "text/css", "page.js": "text/javascript", "live.js": "text/javascript"}
        if name not in kinds:
            return Response("There is no such file.\n", 404, media_type="text/plain")
        return Response(asset(name), media_type=kinds[name], headers=_HEADERS)


_HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


class _Stream(StreamingResponse):
    """A stream of events; `left` is called once, however it ends, even before it began."""

    def __init__(self, content: AsyncIterator[str], left: Callable[[], None]) -> None:
        super().__init__(content, media_type="text/event-stream", headers=_HEADERS)
        self._left = left

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._left()


async def _beginning(request: Request) -> bytes:
    """What a body begins with; the rest is not read."""
    found = b""
    async for piece in request.stream():
        found += piece
        if len(found) >= LONGEST_BODY:
            break
    return found[:LONGEST_BODY]


class KnownHosts:
    """Refuses requests whose `Host` is none of ours: a page elsewhere whose name was pointed here (DNS rebinding).

    `addresses`: an address that is no name is let through, which no such page can have.
    """

    def __init__(self, app: ASGIApp, names: Sequence[str], addresses: bool) -> None:
        self._app, self._addresses = app, addresses
        self._names = {name.strip("[]").lower() for name in names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_known(Headers(scope=scope).get("host", "")):
            refusal = Response("No name of the live view: see --allow-host.\n", 400, media_type="text/plain")
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_known(self, given: str) -> bool:
        try:
            name = urlsplit(f"//{given}").hostname or ""
            return name in self._names or (self._addresses and bool(ip_address(name)))
        except ValueError:
            return False


def _html(text: str, policy: str = _POLICY) -> HTMLResponse:
    return HTMLResponse(text, headers={**_HEADERS, "content-security-policy": policy})


def application(
    live: LivePage, token: str | None, hosts: Sequence[str], every_s: float = 1.0, *, addresses: bool = False
) -> tuple[Starlette, Site]:
    """The application, and the site whose `closing` ends its open streams. hosts, addresses: see KnownHosts."""
    site = Site(live, token, every_s)
    routes = [
        Route("/", site.page),
        Route("/events", site.events),
        Route("/rollouts/{rollout}", site.past),
        Route("/orders/{order}", site.order, methods=["POST"]),
        Route("/assets/{name}", site.asset),
    ]
    middleware = [Middleware(KnownHosts, names=hosts, addresses=addresses)]
    return Starlette(routes=routes, middleware=middleware), site
