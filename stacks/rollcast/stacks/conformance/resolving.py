"""R, K, T: each request is resolved once, as the evaluator says, is served by that alone, and leaves one outcome."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rollcast.planner.base.keys import LONGEST
from rollcast.stacks.conformance.points import PointBroken, PointNotJudged, demand, point
from rollcast.stacks.conformance.probe import ProbeRequest
from rollcast.stacks.conformance.subject import TWIN, Seen, TestedService, until

_KEYS = ("7", "é", "e\u0301", "名前", "\U0001f600", " ", "x" * 300)
_AT_ONCE = 8
_FLIPS_S = 3.0


def writable(subject: TestedService) -> None:
    """Raises PointNotJudged where no flag can be written for the service."""
    if not subject.writable:
        raise PointNotJudged("give the probe 'definition', the file that the service reads")


def whole(subject: TestedService, seen: Seen, what: str) -> None:
    """Raises PointBroken where an answer shows parts of two releases, or does not show what it should."""
    demand(seen.status < 400, f"{what}: HTTP {seen.status}")
    demand(
        seen.release in (subject.ours, TWIN),
        f"{what}: the answer shows {seen.release!r} at '{subject.probe.answer.release}', and no release of the flag",
    )
    if seen.body_release is not None:
        demand(
            seen.body_release == seen.release,
            f"{what}: the answer is of {seen.release}, and its body was made by {seen.body_release}",
        )
    if seen.components is not None and seen.release is not None:
        wanted = subject.components(seen.release)
        wrong = [f"{slot} {name}" for slot, name in seen.components.items() if wanted.get(slot, name) != name]
        demand(not wrong, f"{what}: a request of {seen.release} was served by {', '.join(wrong)} of another release")


@point("R2", "every key is served as the pinned hash says")
def share(subject: TestedService) -> str:
    writable(subject)
    subject.put(subject.flag(30))
    keys = [*_KEYS, *(f"conformance-{number}" for number in range(50))]
    for number, key in enumerate(keys):
        seen = subject.ask(key, at=number)
        whole(subject, seen, f"key {key[:20]!r}")
        wanted = subject.expected(key, 30)
        demand(seen.release == wanted, f"key {key[:20]!r} is served by {seen.release}, where the hash gives {wanted}")
    return f"{len(keys)} keys at 30 %"


@point("R1", "one request is served by one release, while the flag changes")
def whole_while_it_changes(subject: TestedService) -> str:
    writable(subject)
    over = threading.Event()
    kinds: list[ProbeRequest | None] = [None, *([subject.probe.slow] if subject.probe.slow else [])]

    def flip() -> None:
        turn = 0
        while not over.wait(0.1):
            turn += 1
            subject.put(subject.flag(100 if turn % 2 else 0), wait=False)

    def ask(number: int) -> Counter[str]:
        found: Counter[str] = Counter()
        began = time.monotonic()
        while time.monotonic() - began < _FLIPS_S:
            seen = subject.ask(kind=kinds[number % len(kinds)], at=number)
            whole(subject, seen, "while the flag changed")
            found[seen.release or ""] += 1
        return found

    subject.put(subject.flag(0))
    flipping = threading.Thread(target=flip)
    flipping.start()
    try:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            served = sum(pool.map(ask, range(_AT_ONCE)), Counter[str]())
    finally:
        over.set()
        flipping.join()
    shown = "" if subject.probe.answer.components or subject.probe.answer.body_release else (
        "; give the probe 'answer.body_release' or 'answer.components', so that a body made by another release shows"
    )  # fmt: skip
    return f"{served.total()} requests, {min(served.values()) if len(served) > 1 else 0} or more on each release{shown}"


@point("R3", "where nothing serves, the answer is 503, and no default")
def nothing_serves(subject: TestedService) -> str:
    writable(subject)
    subject.put(subject.flag(0, targeting={"if": [True, "paused"]}))
    seen = subject.ask()
    demand(seen.status == 503, f"with the flag paused a request gets HTTP {seen.status}")
    demand(isinstance(seen.data, dict) and "error" in seen.data, 'the 503 is no JSON {"error": …}')
    return "paused: 503 with an error"


@point("R4", "what can't be a key is refused, not served")
def keys_refused(subject: TestedService) -> str:
    if '"${key}"' not in json.dumps(subject.probe.request.body):
        raise PointNotJudged("the probe's request has no value that is '${key}' alone")
    for key in ("\ud800", ["a", "list"], {"an": "object"}, "x" * (LONGEST + 1)):
        status = subject.ask(key).status
        demand(400 <= status < 500, f"the key {str(key)[:12]!r} gets HTTP {status}")
    return "lone surrogate, list, object, 4,097 characters"


@point("R5", "anonymous requests do not share one key", must=True)
def anonymous(subject: TestedService) -> str:
    writable(subject)
    if subject.probe.anonymous is None:
        raise PointNotJudged("give the probe 'anonymous', a request without a user")
    subject.put(subject.flag(50))
    served = Counter(subject.ask(kind=subject.probe.anonymous, at=number).release for number in range(40))
    demand(len(served) > 1, f"40 anonymous requests at 50 % are all on {next(iter(served))}: they are one user")
    return f"at 50 %, {served[TWIN]} of 40 on the twin"


@point("K1", "what one release made is never served under another")
def caches(subject: TestedService) -> str:
    writable(subject)
    answer = subject.probe.answer
    if not answer.body_release and not answer.components:
        raise PointNotJudged("give the probe 'answer.body_release' or 'answer.components', which show what made a body")
    values = subject.values()
    same = {"key": values["key"], "session": values["session"], "unique": values["unique"]}
    for percent in (0, 100, 0):
        subject.put(subject.flag(percent))
        for _ in range(2):
            seen = subject.ask(**same)
            whole(subject, seen, "the same request, sent again under another release")
            demand(
                seen.release == subject.expected(same["key"], percent), f"at {percent} % it is served by {seen.release}"
            )
    return "the same request under one release, the other, and the first again"


@point("V1", "fields that it does not know are ignored")
def unknown_fields(subject: TestedService) -> str:
    writable(subject)
    flag = subject.flag(0)
    flag["variants"][subject.ours] = {**flag["variants"][subject.ours], "of_the_future": {"a": [1]}}
    flag["metadata"]["rollcast_of_the_future"] = "1"
    from rollcast.stacks.flags.definitions import CONTENT, content_digest

    flag["metadata"][CONTENT] = content_digest(flag)
    subject.put(flag)
    seen = subject.ask()
    demand(
        seen.status < 400 and seen.release == subject.ours, f"it answers {seen.status} under a flag with more fields"
    )
    return "in the variant and in the metadata"


@point("T1", "every request leaves one outcome")
def outcomes(subject: TestedService) -> str:
    records = _records_of(subject, 12)
    names = [record.get("request") for record in records]
    demand(len(records) == 12, f"12 requests left {len(records)} outcomes")
    demand(len(set(map(str, names))) == 12, "outcomes share request ids")
    return "12 of 12, each with an id of its own"


@point("T2", "an outcome says what served it")
def tags(subject: TestedService) -> str:
    for record in _records_of(subject, 3):
        missing = [each for each in ("request", "key", "channel", "release", "components") if record.get(each) is None]
        demand(not missing, f"an outcome has no {', '.join(missing)}")
        release = record["release"]
        demand(release in (subject.ours, TWIN), f"an outcome names the release {release!r}")
        wanted = subject.components(release)
        wrong = [f"{slot} {name}" for slot, name in record["components"].items() if wanted.get(slot) != name]
        demand(not wrong, f"an outcome of {release} names {', '.join(wrong)}, which it is not made of")
    return "request, key, channel, release, components"


def _records_of(subject: TestedService, count: int) -> list[dict[str, Any]]:
    """The outcomes that so many requests leave. Raises PointNotJudged, PointBroken."""
    writable(subject)
    path = subject.probe.telemetry
    if path is None:
        raise PointNotJudged("give the probe 'telemetry', where the service writes its outcomes as JSON lines")
    subject.put(subject.flag(50))
    prefix = subject.values()["key"]

    def read() -> list[dict[str, Any]]:
        files = [path] if path.is_file() else sorted(path.glob("*.jsonl"))
        found = []
        for file in files:
            for line in file.read_text("utf-8", "replace").splitlines():
                if prefix in line:
                    try:
                        record = json.loads(line)
                    except ValueError:
                        raise PointBroken(f"{file.name} has a line that is no JSON: {line[:60]}") from None
                    if isinstance(record, dict) and not record.get("label_for"):
                        found.append(record)
        return found

    for number in range(count):
        whole(subject, subject.ask(f"{prefix}-{number}", at=number), "a request")
    until(lambda: len(read()) >= count, 5)
    return read()
