"""Commands in processes of their own: what they print and how they end arrives, whatever becomes of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import asyncio, json, os, signal, sys, time
from rollcast.cli.following.workers import Workers, lines_of

def run(words):
    match words:
        case ["say", *rest]:
            print(*rest)
            print("in", os.getcwd(), file=sys.stderr)
            return 5
        case ["wait"]:
            ended = []
            signal.signal(signal.SIGTERM, lambda number, frame: ended.append(number))
            print("ready")
            while not ended:
                time.sleep(0.01)
            print("ended safely")
            return 130
        case ["die"]:
            os.kill(os.getpid(), signal.SIGKILL)
        case ["crash"]:
            raise RuntimeError("a fault of the command")
        case ["leave"]:  # a process that it starts holds its output for longer
            if os.fork() == 0:
                time.sleep(30)
                os._exit(0)
            print("left")
            return 0

workers = Workers.start(run)

async def do(words, on_line=lambda line: None):
    work = await workers.begin(sys.argv[1], words)
    out, said = [], []
    def take(line):
        out.append(line)
        on_line(work, line)
    await asyncio.gather(lines_of(work.out, work.ended, take), lines_of(work.said, work.ended, said.append))
    return [await work.ended, out, said[-1:]]

async def main():
    workers.attend()
    def stop(work, line):
        if line == "ready":
            workers.signal(work.job, signal.SIGTERM)
    plain = lambda work, line: None
    found = await asyncio.gather(
        do(["say", "a", "b"], plain), do(["wait"], stop), do(["die"], plain), do(["crash"], plain), do(["leave"], plain)
    )
    print(json.dumps([found, workers.at_work]))
    os.kill(workers.pid, signal.SIGKILL)
    try:
        await do(["say", "x"], plain)
    except ConnectionError as error:
        print(json.dumps("gone"))

asyncio.run(main())
"""


def test_what_commands_say_and_how_each_ends_arrives(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, timeout=60, check=True
    )
    lines = done.stdout.splitlines()
    found, at_work = json.loads(lines[0])
    said, waited, died, crashed, left = found
    assert said == [5, ["a b"], [f"in {tmp_path}"]]
    assert waited == [130, ["ready", "ended safely"], []]
    assert died == [-9, [], []]
    assert crashed[:2] == [1, []]
    assert "a fault of the command" in crashed[2][0]
    assert left[:2] == [0, ["left"]], "it is not waited for what it left behind"
    assert at_work == 0
    assert json.loads(lines[1]) == "gone"
