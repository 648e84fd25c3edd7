"""P and D: sessions and streams keep their release, and a replica keeps what it last knew."""

from __future__ import annotations

import json

from rollcast.stacks.conformance.points import PointNotJudged, demand, point
from rollcast.stacks.conformance.resolving import writable
from rollcast.stacks.conformance.subject import TWIN, TestedService, until


@point("P1", "a session keeps its release, on every replica")
def session(subject: TestedService) -> str:
    _needs_session(subject)
    subject.put(subject.flag(0))
    values = subject.values()
    first = _turn(subject, values, 0, {})
    demand(first[0] == subject.ours, f"a session begins on {first[0]} at 0 %")
    subject.put(subject.flag(100))
    for at in range(max(2, len(subject.urls))):
        release, _ = _turn(subject, values, at, first[1])
        demand(
            release == subject.ours,
            f"a session that began on {subject.ours} is served by {release} at {subject.urls[at % len(subject.urls)]}",
        )
    fresh = subject.ask(kind=subject.probe.session)
    demand(fresh.release == TWIN, f"a session that begins at 100 % is served by {fresh.release}")
    return f"over a change of the flag, at {len(subject.urls)} addresses"


@point("P4", "a pin to a release that is gone does not serve")
def gone(subject: TestedService) -> str:
    _needs_session(subject)
    subject.put(subject.flag(100))
    values = subject.values()
    _, headers = _turn(subject, values, 0, {})
    subject.put(subject.flag(0, only=True))
    release, _ = _turn(subject, values, 0, headers)
    demand(release == subject.ours, f"after its release has gone, a session is served by {release}")
    return "it is resolved again"


@point("P2", "a stream is served whole by the release that it began with")
def stream(subject: TestedService) -> str:
    writable(subject)
    if subject.probe.stream is None:
        raise PointNotJudged("give the probe 'stream', an answer in parts that takes two seconds or more")
    subject.put(subject.flag(0))
    with subject.streaming("conformance-stream") as reply:
        demand(reply.status_code < 400, f"the stream answers {reply.status_code}")
        parts = reply.iter_text()
        text = next(parts, "")
        subject.put(subject.flag(100))
        text += "".join(parts)
    demand(TWIN not in text, "a stream that began before a change of the flag names the release after it")
    return f"{len(text):,} characters over a change of the flag"


@point("D1", "it goes on when the definition is broken")
def broken(subject: TestedService) -> str:
    writable(subject)
    subject.put(subject.flag(0))
    for what, text in _damaged(subject):
        subject.write(text)
        until(lambda: any(state.get("degraded") for state in subject.states()), 2)
        seen = subject.ask()
        demand(
            seen.status < 400 and seen.release == subject.ours,
            f"with a definition that is {what} it answers {seen.status}, served by {seen.release}",
        )
    return "empty, half written, garbage, another tool's"


@point("D2", "it says that it is degraded, and when that is over")
def says(subject: TestedService) -> str:
    writable(subject)
    subject.put(subject.flag(0))
    for what, text in _damaged(subject):
        subject.write(text)
        said = until(lambda: all(isinstance(each.get("degraded"), str) for each in subject.states()), 3)
        demand(said, f"with a definition that is {what}, 'degraded' is {subject.states()[0].get('degraded')!r}")
    subject.put(subject.flag(0))
    over = until(lambda: all(each.get("degraded") is False for each in subject.states()), 3)
    demand(over, "'degraded' stays after the definition is right again")
    return "a reason while it lasts, then false"


@point("D4", "a new definition is in use within 2 s")
def soon(subject: TestedService) -> str:
    writable(subject)
    slowest = max(subject.put(subject.flag(percent)) for percent in (0, 100, 0, 100))
    demand(slowest <= 2.0, f"a new definition is in use after {slowest:.1f} s")
    demand(subject.ask().release == TWIN, "it says that it evaluates a new definition, and serves by the old one")
    return f"after {slowest:.2f} s at most"


@point("D3", "it starts before there is a definition")
def early(subject: TestedService) -> str:
    raise PointNotJudged("start it once without a definition: it must answer 503, and serve when there is one")


def _damaged(subject: TestedService) -> list[tuple[str, str]]:
    assert subject.probe.definition is not None
    text = subject.probe.definition.read_text("utf-8")
    other = json.dumps(
        {"flags": {"another-tools": {"state": "ENABLED", "variants": {"on": True}, "defaultVariant": "on"}}}
    )
    return [
        ("empty", ""),
        ("half written", text[: len(text) // 2]),
        ("garbage", "\0garbage"),
        ("another tool's", other),
    ]


def _needs_session(subject: TestedService) -> None:
    writable(subject)
    if subject.probe.session is None:
        raise PointNotJudged("give the probe 'session', a request of a session: '${session}' is put in")


def _turn(
    subject: TestedService, values: dict[str, str], at: int, headers: dict[str, str]
) -> tuple[str | None, dict[str, str]]:
    """(what served a turn of a session, what its client brings next time)."""
    seen = subject.ask(values["key"], subject.probe.session, at, headers, values["session"])
    demand(seen.status < 400, f"a turn of a session answers {seen.status}")
    pin = seen.headers.get("x-rollcast-pin")
    cookie = seen.headers.get("set-cookie", "").partition(";")[0]
    subject.clients[at % len(subject.clients)].cookies.clear()
    brought = {**({"x-rollcast-pin": pin} if pin else {}), **({"cookie": cookie} if cookie else {})}
    return seen.release, {**headers, **brought}
