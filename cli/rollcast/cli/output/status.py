"""What serves whom, and how that compares with what is desired, as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rollcast.cli.terminal import clean, paint
from rollcast.stacks.base.clock import moment
from rollcast.stacks.ledger.records import short_lineage
from rollcast.stacks.rollout.evidence import LEFT_OUT

Report = Mapping[str, Any]
_MOST_REPLICAS = 24
_MOST_LETTERS = 5
_NOT_COUNTED: Mapping[str, str] = {**LEFT_OUT, "repeated": "repeated"}


def text_of(report: Report) -> str:
    """A status report for people."""
    return "\n".join(_lines(report))


def _lines(report: Report) -> Iterator[str]:
    yield paint(f"{report['pipeline']} in {report['environment']}", bold=True)
    for note in report["notes"]:
        yield paint(f"  {note}", "yellow")
    if not report["serving"]:
        yield "  nothing is served"
    for share in report["serving"]:
        percent = f"{share['percent']:g} % of {clean(share['audience'])}"
        yield f"  {clean(share['line'])}: {paint(share['release'], bold=True)}  {percent}"
    yield from _components(report)
    yield from _fleet(report)
    yield from _rollout(report)
    yield from _foreign(report)
    for receiver in report.get("notify", ()):
        yield from undelivered(receiver)
    if report["measured"]["requests"]:
        yield measured(report["measured"])
    else:
        yield from _warned(report["measured"])


def _components(report: Report) -> Iterator[str]:
    for release, components in report["releases"].items():
        shown = ", ".join(f"{slot} {reference}" for slot, reference in components.items())
        yield paint(f"      {release}: {shown}", dim=True)


def _rollout(report: Report) -> Iterator[str]:
    rollout = report["rollout"]
    if rollout is None:
        return
    if rollout["outcome"] is not None:
        yield f"  last rollout {rollout['id']}: {rollout['outcome'].replace('_', ' ')}; {clean(rollout['reason'])}"
        return
    yield f"  rollout {rollout['id']} is under way: {clean(rollout['stand'])}"
    if rollout["held"]:
        yield paint(f"    held: {rollout['held']}", "yellow")
    for one in (rollout.get("confirm") or {}).get("confirmations", ()):
        if one["unanswered"]:
            yield paint(f"    {clean(one['who'])}: {clean(one['unanswered'])}; it is tried again", "yellow")
    for gate in rollout["gates"]:
        yield f"    {gate['verdict'].replace('_', ' ')}: {clean(gate['sentence'])}"
    for guard in rollout["guards"]:
        if not guard["ok"]:
            yield paint(f"    {guard['sentence']}", "yellow")


def _foreign(report: Report) -> Iterator[str]:
    """What is at the target that is not ours, in a report that lists it."""
    if "foreign" not in report:
        return
    if not report["foreign"]:
        yield "  everything at this target is of this project"
    for item in report["foreign"]:
        owner = f"lineage {short_lineage(item['owner'])}" if item["owner"] else "nobody says whose"
        parts = [owner]
        parts += [f"pipeline {clean(item['pipeline'])}"] if item["pipeline"] else []
        parts += (
            [f"its ledger is {clean(item['ledger'])}, last driven by {clean(item['driver'])}"] if item["ledger"] else []
        )
        yield f"  foreign {item['what']} {clean(item['name'])}: {'; '.join(parts)}"


def undelivered(receiver: Report) -> Iterator[str]:
    """What a receiver of notifications has not got yet, and its dead letters; nothing where it has got all."""
    name, waiting, dead = clean(receiver["receiver"]), receiver["waiting"], receiver["dead"]
    if waiting:
        parts = [f"{waiting} not delivered yet"]
        parts += [f"the oldest of {moment(receiver['since_s'])}"] if receiver["since_s"] else []
        parts += [f"tried {receiver['tries']} times: {clean(receiver['error'])}"] if receiver["tries"] else []
        yield paint(f"  notify {name}: {', '.join(parts)}; 'rollcast notify' delivers", "yellow")
    if dead:
        count = "1 dead letter" if len(dead) == 1 else f"{len(dead)} dead letters"
        yield paint(f"  notify {name}: {count}; 'rollcast notify --again' delivers", "yellow")
    for letter in dead[-_MOST_LETTERS:]:
        why = f"{clean(letter['why'])} (tried {letter['tries']} times)"
        yield paint(f"    {letter['event']}, record {letter['seq']}, {moment(letter['time_s'])}: {why}", "yellow")
    if left := len(dead) - min(len(dead), _MOST_LETTERS):
        yield f"    and {left} before, which '--format json' lists"


def _fleet(report: Report) -> Iterator[str]:
    """Each replica in a line, what is wrong in yellow; of a large fleet only those that need a look."""
    fleet = report.get("fleet")
    if fleet is None:
        return
    replicas = fleet["replicas"]
    missing = sum(bool(replica["missing"]) for replica in replicas)
    late = sum(replica["current"] is False for replica in replicas)
    counts = [f"{len(replicas)} replica{'' if len(replicas) == 1 else 's'}"]
    counts += [f"{missing} missing"] if missing else []
    counts += [f"{late} not on the flag as it is now"] if late else []
    yield f"  fleet: {', '.join(counts)}"
    for relay in fleet["relays"]:
        if relay["problem"]:
            yield paint(f"    relay {relay['address']}: {relay['problem']}", "yellow")
    shown = replicas if len(replicas) <= _MOST_REPLICAS else list(filter(_needs_a_look, replicas))
    for replica in shown[:_MOST_REPLICAS]:
        text = "; ".join(_of_replica(replica, fleet["definitions"]))
        yield paint(f"    {replica['name']}: {text}", "yellow" if _needs_a_look(replica) else None)
    if left := len(replicas) - min(len(shown), _MOST_REPLICAS):
        yield f"    and {left} more, which '--format json' lists"


def _needs_a_look(replica: Mapping[str, Any]) -> bool:
    return bool(replica["problem"] or replica["missing"] or replica["degraded"]) or replica["current"] is False


def _of_replica(replica: Mapping[str, Any], wanted: Mapping[str, str]) -> Iterator[str]:
    if replica["problem"]:
        yield replica["problem"]
        return
    if replica["missing"]:
        yield f"MISSING, last heard of {replica['heard_s']:.0f} s ago (its lease is {replica['lease_s']:g} s)"
    elif replica["lease_s"] is not None:
        yield f"heard of {replica['heard_s']:.1f} s ago"
    yield replica["kit"] or "its kit is not reported"
    if replica["current"] is None:
        yield "does not report which flag it evaluates"
    for flag, content in sorted(replica["generations"].items()):
        late = "" if content == wanted.get(flag) else ", no longer what the target holds"
        yield f"evaluates {flag} {(content or 'nothing').removeprefix('sha256:')[:12]}{late}"
    busy = [f"{count} on {release}" for release, count in replica["in_flight"].items()]
    yield f"in flight: {', '.join(busy)}" if busy else "nothing in flight"
    if replica["degraded"]:
        yield f"degraded: {replica['degraded']}"


def measured(found: Mapping[str, Any]) -> str:
    """Desired beside measured for each release of the stage, and how many requests got a mixed configuration."""
    lines = []
    for share in found["shares"]:
        desired = "no share desired" if share["asked"] is None else f"{share['asked'] * 100:.4g} % desired"
        got = "nothing measured" if share["measured"] is None else f"{share['measured'] * 100:.2f} % measured"
        since = f"{share['requests']} requests since the last shift"
        lines.append(f"  {clean(share['release'])}: {desired}, {got} ({since})")
    lines.append(
        f"  {found['requests']} requests served in this rollout, {found['mixed']} of them by a mixed configuration"
    )
    return "\n".join([*lines, *_warned(found)])


def _warned(found: Mapping[str, Any]) -> Iterator[str]:
    return (paint(f"  {text}", "yellow") for text in not_judged(found))


def not_judged(found: Mapping[str, Any]) -> Iterator[str]:
    """What telemetry brought that can't be attributed: requests without a key, records that were left out."""
    if found.get("keyless"):
        yield f"{found['keyless']} requests carry no targeting key: no user is known for them"
    reasons = [f"{found[name]} {why}" for name, why in _NOT_COUNTED.items() if found.get(name)]
    if reasons:
        yield f"left out of telemetry: {', '.join(reasons)}"
    if found.get("forgotten"):
        yield f"{found['forgotten']} request ids are no longer known: a repeat of so old a record would count again"
    if found.get("crowded"):
        yield (
            f"the table of users is {found['crowded']:.0%} full: a new user is left out with that chance, by the key's "
            "hash alone"
        )
