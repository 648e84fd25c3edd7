"""Carrying the release with every call that a request causes (spec C1): httpx, requests, aiohttp, gRPC, OpenTelemetry.

    httpx.AsyncClient(event_hooks={"request": [clients.httpx_async]})
    httpx.Client(event_hooks={"request": [clients.httpx_sync]})
    clients.requests_session(requests.Session())
    grpc.intercept_channel(channel, clients.grpc_interceptor())
    set_global_textmap(CompositePropagator([..., clients.opentelemetry_propagator()]))  # the last one

Whatever else speaks HTTP takes `clients.headers()`. Nothing is carried where no request is open. Each library is
imported by the function that needs it.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from rollcast_dataplane.propagation import BAGGAGE, HEADER, added
from rollcast_dataplane.requests import current


def headers() -> dict[str, str]:
    """The headers of a call made for the current request; none where there is none, or it is not resolved."""
    request = current()
    return request.headers() if request else {}


def into(carrier: MutableMapping[str, str]) -> None:
    """Sets them in the headers of a call. Baggage that is there already is kept."""
    request = current()
    if request is not None and request.release is not None:
        existing = next((carrier[name] for name in (BAGGAGE, "Baggage") if name in carrier), "")
        found = added(request.release.id, request.others, existing)
        if "Baggage" in carrier and BAGGAGE not in carrier:
            del carrier["Baggage"]
        for name in (BAGGAGE, HEADER):
            carrier[name] = found[name]


def httpx_sync(request: Any) -> None:
    """An event hook of `httpx.Client`."""
    into(request.headers)


async def httpx_async(request: Any) -> None:
    """An event hook of `httpx.AsyncClient`."""
    into(request.headers)


def requests_session(session: Any) -> Any:
    """The same session of `requests`, which carries from now on."""
    send = session.send

    def carrying(request: Any, **options: Any) -> Any:
        into(request.headers)
        return send(request, **options)

    session.send = carrying
    return session


def aiohttp_trace() -> Any:
    """A `TraceConfig` for `aiohttp.ClientSession(trace_configs=[…])`."""
    import aiohttp

    async def begin(session: Any, context: Any, parameters: Any) -> None:
        into(parameters.headers)

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(begin)
    return trace


def grpc_interceptor() -> Any:
    """A client interceptor for all four kinds of calls, of `grpc.intercept_channel`."""
    import grpc

    class Details(grpc.ClientCallDetails):
        def __init__(self, of: Any) -> None:
            for name in ("method", "timeout", "credentials", "wait_for_ready", "compression"):
                setattr(self, name, getattr(of, name, None))
            carried: dict[str, str] = {k: v for k, v in of.metadata or () if k == BAGGAGE}
            into(carried)
            self.metadata = (*(each for each in of.metadata or () if each[0] not in carried), *carried.items())

    class Carrying(
        grpc.UnaryUnaryClientInterceptor,
        grpc.UnaryStreamClientInterceptor,
        grpc.StreamUnaryClientInterceptor,
        grpc.StreamStreamClientInterceptor,
    ):
        def intercept_unary_unary(self, proceed: Any, details: Any, request: Any) -> Any:
            return proceed(Details(details), request)

        intercept_unary_stream: Any = intercept_unary_unary
        intercept_stream_unary: Any = intercept_unary_unary
        intercept_stream_stream: Any = intercept_unary_unary

    return Carrying()


def opentelemetry_propagator() -> Any:
    """A propagator that carries the release with every call that OpenTelemetry instruments. Put it last."""
    from opentelemetry.propagators.textmap import TextMapPropagator, default_setter

    class Carrying(TextMapPropagator):
        def extract(self, carrier: Any, context: Any = None, getter: Any = None) -> Any:
            from opentelemetry.context import Context

            return context or Context()  # what comes in is read, and trusted or not, by the middleware

        def inject(self, carrier: Any, context: Any = None, setter: Any = default_setter) -> None:
            items = carrier.items() if hasattr(carrier, "items") else ()
            found = dict([(BAGGAGE, value) for name, value in items if name.lower() == BAGGAGE][:1])
            into(found)
            for name, value in found.items():
                setter.set(carrier, name, value)

        @property
        def fields(self) -> set[str]:
            return {BAGGAGE, HEADER}

    return Carrying()
