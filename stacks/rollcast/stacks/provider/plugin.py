"""The provider as the executable `pulumi-resource-rollcast`, which the driver starts and the engine attaches to.

An engine that does not know of a running one (`pulumi preview` by hand) finds it on PATH and starts it for itself.
It ends with whoever started it: when the parent process is gone, so is the provider, at once and whatever it was doing.
Each write is whole or absent, so nothing is left half done. The fencing token and the project folder come in the
environment (ROLLCAST_FENCE, ROLLCAST_SCOPE, ROLLCAST_ROOT), set by the driver that holds the lease.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import grpc
import grpc.aio
from google.protobuf import empty_pb2
from pulumi.provider.experimental import provider as api
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.server import ProviderServicer
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, provider_pb2_grpc

from rollcast.stacks.base.errors import HELD, HeldError, StackError
from rollcast.stacks.base.failpoints import failpoint
from rollcast.stacks.provider import ATTACHED
from rollcast.stacks.provider.inputs import failures
from rollcast.stacks.provider.resources import RESOURCES, Context, Plain
from rollcast.stacks.provider.values import UnknownValue, plain, properties

VERSION = "1.0.0"
Result = TypeVar("Result")
_WATCH_S = 0.3
_CHANNEL = [("grpc.max_receive_message_length", 400 * 1024 * 1024)]


class RollcastProvider(api.Provider):
    """Pulumi's requests, answered by `RESOURCES`."""

    def __init__(self, engine: str | None, root: Path, fence: int, scope: str = "") -> None:
        self._root, self._fence, self._scope = root, fence, scope
        self._cancelled = threading.Event()
        self._channel: grpc.Channel | None = None
        if engine is not None:
            self.attach(engine)

    def attach(self, engine: str) -> None:
        """An engine at this address begins an update: what the one before said of its own end is past."""
        if self._channel is not None:
            self._channel.close()
        self._channel = grpc.insecure_channel(engine)
        self._engine = engine_pb2_grpc.EngineStub(self._channel)
        self._cancelled.clear()

    def _context(self, urn: str) -> Context:
        def progress(text: str) -> None:
            request = engine_pb2.LogRequest(severity=engine_pb2.INFO, message=text, urn=urn)
            with contextlib.suppress(grpc.RpcError):  # nobody hears it; the work goes on
                self._engine.Log(request, timeout=5)

        return Context(self._root, self._fence, progress, self._cancelled.is_set, self._scope)

    async def check(self, request: api.CheckRequest) -> api.CheckResponse:
        try:
            found = list(failures(_kind(request), plain(request.new_inputs)))
        except UnknownValue as unknown:
            found = [(str(unknown), "must be known before the update begins")]
        return api.CheckResponse(request.new_inputs, [api.CheckFailure(*failure) for failure in found])

    async def diff(self, request: api.DiffRequest) -> api.DiffResponse:
        old, new = plain(request.old_state), plain(request.new_inputs)
        moved: list[str] = [n for n in ("target", "folder", "key") if n in old and old[n] != new.get(n)]
        if moved == ["target"] and await asyncio.to_thread(self._is_in_place, request, old, new):
            moved = []  # it is said otherwise, and is the same place
        if moved:
            kind = api.PropertyDiffKind.UPDATE_REPLACE
            detail = {name: api.PropertyDiff(kind, input_diff=True) for name in moved}
            return api.DiffResponse(changes=True, replaces=moved, diffs=moved, detailed_diff=detail)
        resource, context = RESOURCES[_kind(request)], self._context(request.urn)
        if await asyncio.to_thread(resource.is_current, new, old, context):
            return api.DiffResponse(changes=False)
        names = [name for name in new if old.get(name) != new[name]] or ["live"]
        detail = {name: api.PropertyDiff(api.PropertyDiffKind.UPDATE, input_diff=name != "live") for name in names}
        return api.DiffResponse(changes=True, diffs=names, detailed_diff=detail)

    def _is_in_place(self, request: api.DiffRequest, old: Plain, new: Plain) -> bool:
        """Whether two targets are one place for a resource. One that can't be opened any more is another."""
        resource, context = RESOURCES[_kind(request)], self._context(request.urn)
        try:
            return resource.place(old, context) == resource.place(new, context)
        except (StackError, ValueError):
            return False

    async def create(self, request: api.CreateRequest) -> api.CreateResponse:
        if request.preview:
            return api.CreateResponse("", request.properties)
        return api.CreateResponse(request.name, await self._make(request, request.properties))

    async def update(self, request: api.UpdateRequest) -> api.UpdateResponse:
        if request.preview:
            return api.UpdateResponse(request.news)
        return api.UpdateResponse(await self._make(request, request.news))

    async def _make(
        self, request: api.CreateRequest | api.UpdateRequest, inputs: dict[str, PropertyValue]
    ) -> dict[str, PropertyValue]:
        resource, context, values = RESOURCES[_kind(request)], self._context(request.urn), plain(inputs)

        def make() -> Plain:
            failpoint("provider: before a write")
            made = resource.make(values, context)
            failpoint("provider: after a write")
            return made

        return properties(await _in_time(make, float(values["timeout_s"])))

    async def delete(self, request: api.DeleteRequest) -> None:
        resource, context = RESOURCES[_kind(request)], self._context(request.urn)
        state = plain(request.properties)

        def remove() -> None:
            failpoint("provider: before a deletion")
            resource.remove(state, context)
            failpoint("provider: after a deletion")

        await _in_time(remove, float(state["timeout_s"]))

    async def read(self, request: api.ReadRequest) -> api.ReadResponse:
        resource, context = RESOURCES[_kind(request)], self._context(request.urn)
        found: Plain | None = await asyncio.to_thread(resource.read, plain(request.properties), context)
        if found is None:
            return api.ReadResponse("")
        known = plain(request.inputs)
        inputs = {name: found.get(name, value) for name, value in known.items()}
        return api.ReadResponse(request.resource_id, properties(found), properties(inputs))

    async def cancel(self) -> None:
        self._cancelled.set()


async def _in_time(call: Callable[[], Result], timeout_s: float) -> Result:
    """A call in a thread of its own. Raises StackError when it takes too long; the engine then ends this process."""
    try:
        return await asyncio.wait_for(asyncio.to_thread(call), timeout_s)
    except TimeoutError:
        raise StackError(f"The operation took more than {timeout_s:g} s. Run 'rollcast apply --resume'.") from None


def _kind(request: Any) -> str:
    return str(request.type.rsplit(":", 1)[-1])


class _Servicer(ProviderServicer):
    """Errors as one sentence with a status, not as a traceback."""

    _provider: RollcastProvider

    async def Attach(self, request: Any, context: Any) -> empty_pb2.Empty:  # noqa: N802 - Pulumi's name
        self._provider.attach(request.address)
        return empty_pb2.Empty()


def _emitting(name: str) -> Callable[..., Awaitable[Any]]:
    inherited = getattr(ProviderServicer, name)

    async def call(self: _Servicer, request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        try:
            return await inherited(self, request, context)
        except HeldError as error:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"{HELD}{error}")
        except StackError as error:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        except OSError as error:
            await context.abort(grpc.StatusCode.INTERNAL, f"{error.strerror or error} ({error.filename})")

    return call


for _name in ("Check", "Diff", "Create", "Update", "Delete", "Read"):
    setattr(_Servicer, _name, _emitting(_name))


def _end_with(parent: int) -> None:
    """Ends this process as soon as its parent is another one: the engine was killed."""
    while os.getppid() == parent:
        time.sleep(_WATCH_S)
    os._exit(1)


async def _serve(engine: str | None) -> None:
    root, fence = Path(os.environ.get("ROLLCAST_ROOT", ".")), int(os.environ.get("ROLLCAST_FENCE", "0"))
    server = grpc.aio.server(options=_CHANNEL)
    servicer = _Servicer(
        [], VERSION, RollcastProvider(engine, root, fence, os.environ.get("ROLLCAST_SCOPE", "")), engine or ""
    )
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await server.wait_for_termination()


def main() -> None:
    """Entry point. The first argument that is no flag is the engine's address; without one, engines attach to it."""
    engine = next((word for word in sys.argv[1:] if not word.startswith("-")), None)
    if engine is None and ATTACHED not in sys.argv:
        sys.exit("pulumi-resource-rollcast is started by the Pulumi engine, not by hand. Run 'rollcast apply'.")
    os.umask(0o022)  # the engine's own files are for its owner alone; the data plane may be another user
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    asyncio.run(_serve(engine))


if __name__ == "__main__":
    main()
