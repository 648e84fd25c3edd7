"""flagd's own sync protocol over gRPC (`flagd.sync.v1`): every flagd in-process provider, in any language, is a client.

One relay has one set of flags: a selector that asks for another is refused.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
from google.protobuf import struct_pb2
from openfeature.schemas.protobuf.flagd.sync.v1 import sync_pb2, sync_pb2_grpc

from rollcast.stacks.relay.access import Access
from rollcast.stacks.relay.flags import RelayedFlags

_WAIT_S = 30.0
_OPTIONS = [
    ("grpc.max_receive_message_length", 64 * 1024),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5000),
    ("grpc.so_reuseport", 0),
]
_Context = grpc.aio.ServicerContext[Any, Any]


class FlagSync(sync_pb2_grpc.FlagSyncServiceServicer):
    """The service."""

    def __init__(self, flags: RelayedFlags, access: Access) -> None:
        self._flags, self._access = flags, access

    async def FetchAllFlags(  # noqa: N802 - the protocol's name
        self, request: sync_pb2.FetchAllFlagsRequest, context: _Context
    ) -> sync_pb2.FetchAllFlagsResponse:
        await self._check(request, context)
        if self._flags.text is None:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "There is no flag definition yet.")
        return sync_pb2.FetchAllFlagsResponse(flag_configuration=(self._flags.text or b"").decode())

    async def SyncFlags(  # noqa: N802 - the protocol's name
        self, request: sync_pb2.SyncFlagsRequest, context: _Context
    ) -> AsyncIterator[sync_pb2.SyncFlagsResponse]:
        await self._check(request, context)
        tag = ""
        while not self._flags.closing:
            if await self._flags.changed(tag, _WAIT_S):
                tag = self._flags.tag
                yield sync_pb2.SyncFlagsResponse(flag_configuration=(self._flags.text or b"").decode())

    async def GetMetadata(  # noqa: N802 - the protocol's name, which older providers still ask for
        self, request: sync_pb2.GetMetadataRequest, context: _Context
    ) -> sync_pb2.GetMetadataResponse:
        await self._check(None, context)
        return sync_pb2.GetMetadataResponse(metadata=struct_pb2.Struct())  # Python's provider always reads it

    async def _check(self, request: Any, context: _Context) -> None:
        given = {str(name): str(value) for name, value in context.invocation_metadata() or ()}
        host = "localhost"  # no page of a browser speaks gRPC: there is no other site's name to look at
        if not self._access.allows_data_plane(given.get("authorization", ""), host):
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "The bearer token is absent or wrong.")
        if given.get("flagd-selector") or (request is not None and request.selector):
            await context.abort(
                grpc.StatusCode.INVALID_ARGUMENT, "A relay has one set of flags. Take the selector out of the provider."
            )


def sync_server(
    flags: RelayedFlags, access: Access, address: str, tls: tuple[bytes, bytes] | None, most: int
) -> tuple[grpc.aio.Server, int]:
    """A server that is not started yet, and its port. `tls`: key and certificate. Raises RuntimeError."""
    server = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=most)
    sync_pb2_grpc.add_FlagSyncServiceServicer_to_server(FlagSync(flags, access), server)
    if tls is None:
        return server, server.add_insecure_port(address)
    return server, server.add_secure_port(address, grpc.ssl_server_credentials([tls]))
