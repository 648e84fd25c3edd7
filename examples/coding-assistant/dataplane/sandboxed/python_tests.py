"""Runs the tests of completions in Python: a line of JSON in for each, a line of JSON out. One process each.

A process that runs a completion has a second of processor time, 256 MiB, and no file descriptor left to open: neither
files nor sockets. As root, it is nobody.
"""

import json
import os
import resource
import signal
import sys

SECONDS, BYTES = 1, 256 << 20
NOBODY = 65534


def verdict(given: dict) -> dict:
    """What becomes of the tests. Whatever the code raises is its failure."""
    found: dict = {"__name__": "completed"}
    try:
        exec(compile(given["code"], "completion", "exec"), found)  # noqa: S102
        for arguments, wanted in given["cases"]:
            got = found[given["name"]](*arguments)
            if json.loads(json.dumps(got)) != wanted:
                return {"passed": False, "why": f"gives {got!r:.80}, not {wanted!r:.80}"}
    except BaseException as error:
        return {"passed": False, "why": f"{type(error).__name__}: {error}"[:160]}
    return {"passed": True, "why": ""}


def child(line: str, out: int) -> None:
    """Runs the tests and ends."""
    for number in range(out):
        os.close(number)
    signal.alarm(2 * SECONDS)
    for limit, most in (
        (resource.RLIMIT_CPU, SECONDS), (resource.RLIMIT_AS, BYTES), (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 0),
    ):  # fmt: skip
        resource.setrlimit(limit, (most, most))
    os.write(out, json.dumps(verdict(json.loads(line))).encode())


def main() -> None:
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    print(json.dumps({"confined": os.environ.get("CONFINED", "")}), flush=True)
    for line in sys.stdin:
        back, out = os.pipe()
        if (process := os.fork()) == 0:
            try:
                child(line, out)
            finally:
                os._exit(0)
        os.close(out)
        said = b""
        while data := os.read(back, 4096):
            said += data
        os.close(back)
        os.waitpid(process, 0)
        print(said.decode() or json.dumps({"passed": False, "why": "it ran out of time or memory"}), flush=True)


main()
