"""How many replicas one relay bears: a change of flags until every one of them has acknowledged it, and its memory.

Real clients over real connections, all in one other process: each keeps a long poll open and acknowledges about as
often as the relay asks, at once when the flags change. Relay and clients share the machine; the relay itself has one
core. With --grpc they get their flags by flagd's sync protocol, each by a connection of its own.

Run: python benchmarks/relay.py [--grpc] [REPLICAS…]
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import httpx
import psutil
from openfeature.schemas.protobuf.flagd.sync.v1 import sync_pb2, sync_pb2_grpc

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.relay.relays import RunningRelay, definition_text

SIZES = (250, 500, 1000, 2000)
CHANGES = 5
SETTLE_S = 12.0


class Client:
    """A replica that speaks HTTP/1.1 by hand, so that two thousand of them fit into one process."""

    def __init__(self, number: int, port: int, grpc_port: int = 0) -> None:
        self.replica, self.port, self.grpc_port = f"replica-{number:05}", port, grpc_port
        self.tag, self.content, self.interval_s = "", None, 1.0
        self.changed = asyncio.Event()

    async def poll(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20)
        while True:
            ask = f"GET /rollcast/v1/flags?wait_s=20 HTTP/1.1\r\nhost: localhost\r\nif-none-match: {self.tag}\r\n\r\n"
            status, headers, body = await exchange(reader, writer, ask.encode())
            if status == 200:
                self.tag = headers["etag"]
                self.take(body)

    async def sync(self) -> None:
        own = [("grpc.use_local_subchannel_pool", 1)]  # not one connection for all
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.grpc_port}", options=own) as channel:
            stub: Any = sync_pb2_grpc.FlagSyncServiceStub(channel)
            async for answer in stub.SyncFlags(sync_pb2.SyncFlagsRequest()):
                self.take(answer.flag_configuration)

    def take(self, text: str | bytes) -> None:
        self.content = json.loads(text)["flags"]["rollcast-p"]["metadata"]["rollcast_content"]
        self.changed.set()

    async def acknowledge(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        while True:
            body = json.dumps(self.state()).encode()
            path = f"/rollcast/v1/replicas/{self.replica}"
            head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n"
            _, _, answer = await exchange(reader, writer, head.encode() + body)
            self.interval_s = json.loads(answer)["interval_s"]
            try:
                async with asyncio.timeout(self.interval_s):
                    await self.changed.wait()
            except TimeoutError:
                pass
            self.changed.clear()

    def state(self) -> dict[str, Any]:
        counts = {"rel-old": 123456, "rel-new": 2345}
        return {
            "protocol": 1, "kit": "rollcast-benchmark/1", "replica": self.replica, "bucketing": "flagd-murmur3-32/1",
            "definitions": {"rollcast-p": self.content}, "releases": {"rel-old": 3}, "entered": counts,
            "finished": counts, "warm": ["p/index/1"], "degraded": False, "time": time.time(), "lease_s": 10,
            "leaving": False,
        }  # fmt: skip


async def exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> tuple[int, dict[str, str], bytes]:
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return int(head[0].split(" ")[1]), headers, body


async def clients(count: int, port: int, grpc_port: int) -> None:
    tasks = []
    for number in range(count):
        client = Client(number, port, grpc_port)
        reads = client.sync() if grpc_port else client.poll()
        tasks += [asyncio.create_task(reads), asyncio.create_task(client.acknowledge())]
        if number % 50 == 49:
            await asyncio.sleep(0.05)
    await asyncio.gather(*tasks)


def measure(count: int, by_grpc: bool) -> dict[str, float]:
    """One size, in processes of its own."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "flags.json"
        file.write_text(definition_text(), "utf-8")
        relay = RunningRelay(file)
        relay.start()
        process = psutil.Process(relay.pid)
        idle_mib = process.memory_info().rss / 2**20
        ports = [str(relay.port), str(relay.grpc_port if by_grpc else 0)]
        running = subprocess.Popen([sys.executable, __file__, "--clients", str(count), *ports])
        try:
            with httpx.Client(base_url=relay.url, trust_env=False, timeout=30) as driver:
                known(driver, count, "sha256:rel-new-50000", 120.0)
                time.sleep(SETTLE_S)
                taken = []
                before, begun = process.cpu_times(), time.monotonic()
                time.sleep(5.0)
                after = process.cpu_times()
                used = (after.user + after.system - before.user - before.system) / (time.monotonic() - begun)
                for change in range(CHANGES):
                    percent = 10.0 + change
                    began = time.monotonic()
                    file.write_text(definition_text(percent=percent), "utf-8")
                    known(driver, count, f"sha256:rel-new-{round(percent * 1000)}", 60.0)
                    taken.append(time.monotonic() - began)
                    time.sleep(2.0)
            assert running.poll() is None, "the clients ended"
            return {
                "median_s": sorted(taken)[len(taken) // 2], "worst_s": max(taken), "idle_mib": idle_mib,
                "mib": process.memory_info().rss / 2**20, "core": used,
            }  # fmt: skip
        finally:
            running.kill()
            running.wait()
            relay.kill()


def known(driver: httpx.Client, count: int, content: str, most_s: float) -> None:
    """Returns once the relay says that so many replicas evaluate a content."""
    until = time.monotonic() + most_s
    mark = f'"definitions":{{"rollcast-p":"{content}"}}'
    while True:
        there = driver.get("/rollcast/v1/fleet").text.count(mark)
        if there >= count:
            return
        assert time.monotonic() < until, f"{there} of {count} after {most_s:g} s"
        time.sleep(0.1)


def main() -> None:
    if "--clients" in sys.argv:
        count, port, grpc_port = map(int, sys.argv[-3:])
        import uvloop

        uvloop.run(clients(count, port, grpc_port))
        return
    by_grpc = "--grpc" in sys.argv[1:]
    sizes = [int(word) for word in sys.argv[1:] if word != "--grpc"] or SIZES
    how = "flagd's sync over gRPC" if by_grpc else "a long poll"
    print(f"{os.cpu_count()} cores, shared by the relay, its clients and whatever else runs; flags by {how}")
    print(
        f"{'replicas':>9} {'acknowledged, median':>21} {'worst of 5':>11} {'RSS':>9} {'at rest':>8} {'core used':>10}"
    )
    found = {}
    for size in sizes:
        found[size] = one = measure(size, by_grpc)
        print(
            f"{size:9,} {one['median_s']:19.2f} s {one['worst_s']:9.2f} s {one['mib']:5.0f} MiB "
            f"{one['idle_mib']:4.0f} MiB {one['core']:9.0%}",
            flush=True,
        )
    if len(found) > 1:
        low, high = min(found), max(found)
        slope = (found[high]["mib"] - found[low]["mib"]) / (high - low) * 1024
        print(f"slope: {slope:.1f} KiB a replica, from {low:,} to {high:,}")


if __name__ == "__main__":
    main()
