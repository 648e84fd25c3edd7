"""What is right and wrong with the service that a project's target is connected to, without changing anything.

Every declared address is queried once or a few times, and held against the points of the protocol that take neither
flags of a test nor requests of users. `rollcast dataplane check` holds a service that serves nobody against all of
them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from rollcast.planner.base.buckets import BUCKETING
from rollcast.planner.routing.split import flag_key
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.base.listening import is_loopback
from rollcast.stacks.conformance.checking import points
from rollcast.stacks.conformance.points import PointVerdict, judged
from rollcast.stacks.conformance.probe import Probe, ProbeRequest
from rollcast.stacks.conformance.subject import TestedService
from rollcast.stacks.flags.definitions import content_digest
from rollcast.stacks.fleet.control import ENDPOINT_TOKEN, has_token
from rollcast.stacks.fleet.inspection import SeenFleet, SeenReplica, inspect
from rollcast.stacks.fleet.relays import DRIVER_TOKEN
from rollcast.stacks.project import Project
from rollcast.stacks.targets.opening import target_of
from rollcast.stacks.targets.target import Target
from rollcast.stacks.telemetry.guarded import Guarded

OF_ITSELF = ("A1", "A4", "A5", "A6")  # points that only the control endpoint is asked for
OF_AN_ANSWER = ("C7",)  # and those that take one request, where a probe says how
_ANSWER_S = 5.0


class Health(StrEnum):
    """What came of a check. A warning may be meant; a problem stops a rollout, or breaks what it promises."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    NOT_JUDGED = "not judged"


@dataclass(frozen=True)
class Diagnosis:
    """One check: what was looked at, what came of it, and what was seen, with the remedy where there is one to name."""

    subject: str
    health: Health
    detail: str


def diagnose(project: Project, probe: Probe | None = None) -> Iterator[Diagnosis]:
    """Every check of a project's connected service, in order. `probe`: how to ask it one request. Never raises."""
    settings = project.environment
    try:
        target = target_of(settings, project.folder)
        wanted = {
            flag_key(name): content_digest(flag)
            for name in sorted({*project.declaration.each_pipeline()})
            if (flag := target.flag(flag_key(name))) is not None
        }
        yield from _of_target(target, wanted)
    except StackError as error:
        yield Diagnosis("target", Health.PROBLEM, str(error))
        wanted = {}
    yield _of_telemetry(project)
    fleet = inspect(settings.endpoints, wanted, _ANSWER_S)
    if fleet is None:
        yield Diagnosis(
            "fleet", Health.WARNING, "the target names neither 'endpoint' nor 'relay', so no shift is confirmed, and "
            "drains only wait. Connect the service, then name the address of each replica, or of the relays."
        )  # fmt: skip
        return
    yield from _of_relays(fleet)
    yield from _of_replicas(fleet)
    yield from _of_generations(fleet)
    yield from _of_tokens(fleet)
    answering = [each.address for each in fleet.replicas if each.address and not each.problem]
    if answering:
        yield from _of_protocol(project.declaration.pipeline, answering, probe)


def _of_target(target: Target, wanted: Mapping[str, str]) -> Iterator[Diagnosis]:
    if not wanted:
        yield Diagnosis("flag", Health.WARNING, "nothing is released yet. Run 'rollcast apply'.")
        return
    placed = target.placed()
    for key in wanted:
        variants = ((target.flag(key) or {}).get("variants") or {}).values()
        named = {
            str(part["instance"])
            for variant in variants
            for part in (variant.get("components") or {}).values()
            if isinstance(part, Mapping) and part.get("instance")
        }
        gone = sorted(named - set(placed))
        if gone:
            said = f"{key} names instances that are not there: {', '.join(gone[:5])}. Run 'rollcast apply'."
            yield Diagnosis("flag", Health.PROBLEM, said)
        else:
            yield Diagnosis("flag", Health.OK, f"{key} serves {len(named)} instances, and all of them are there")


def _of_telemetry(project: Project) -> Diagnosis:
    settings = project.environment.telemetry
    try:
        Guarded(settings, project.folder).end()
    except StackError as error:
        return Diagnosis("telemetry", Health.PROBLEM, str(error))
    return Diagnosis("telemetry", Health.OK, f"outcomes of kind '{settings.kind}' can be read")


def _of_relays(fleet: SeenFleet) -> Iterator[Diagnosis]:
    for relay in fleet.relays:
        name = f"relay {relay.address}"
        if relay.problem or relay.fault:
            yield Diagnosis(name, Health.PROBLEM, relay.problem or f"its flags are not right: {relay.fault}")
        else:
            yield Diagnosis(name, Health.OK, f"answers, and knows {relay.replicas} replicas")
    tags = {relay.address: relay.tag for relay in fleet.relays if relay.tag}
    if len(set(tags.values())) > 1:
        said = f"{', '.join(sorted(tags))} serve different flags. Let all of them read what the driver writes."
        yield Diagnosis("relays", Health.PROBLEM, said)
    if fleet.relays and not any(each.lease_s is not None for each in fleet.replicas):
        said = "no replica acknowledges to them. See that the service names them ('relays=[…]')."
        yield Diagnosis("relays", Health.PROBLEM, said)


def _of_replicas(fleet: SeenFleet) -> Iterator[Diagnosis]:
    for each in fleet.replicas:
        bad = list(_wrong_with(each))
        yield (
            Diagnosis(each.name, Health.PROBLEM, "; ".join(bad))
            if bad
            else Diagnosis(
                each.name, Health.OK, f"{each.kit or 'a data plane of no name'}, and evaluates what the target holds"
            )
        )


def _wrong_with(replica: SeenReplica) -> Iterator[str]:
    if replica.problem:
        yield replica.problem
        return
    if replica.missing:
        yield (
            f"not heard of for {replica.heard_s:.0f} s. Bring it back, or where it is dead: "
            f"'rollcast dataplane forget {replica.replica}'"
        )
    if replica.degraded:
        yield f"goes on with what it last knew: {replica.degraded}"
    if replica.current is None:
        yield "does not report which flag it evaluates, so that no shift is confirmed. Update its kit"
    elif not replica.current:
        yield "does not evaluate what the target holds. See that it reads the target's definition, or a relay that does"


def _of_generations(fleet: SeenFleet) -> Iterator[Diagnosis]:
    """Kits and hashes: replicas that split by two hashes put one person into two places."""
    known = [each for each in fleet.replicas if not each.problem]
    if not known:
        return
    hashes, kits = _by("bucketing", known), _by("kit", known)
    others = {name: members for name, members in hashes.items() if name not in ("", BUCKETING)}
    if others:
        said = "; ".join(f"{', '.join(members[:5])} by {name}" for name, members in others.items())
        yield Diagnosis(
            "bucketing", Health.PROBLEM, f"splits are made for {BUCKETING}, and some replicas split otherwise: {said}. "
            "Part of the users would be put elsewhere: deploy one kit."
        )  # fmt: skip
    elif "" in hashes:
        said = f"{', '.join(hashes[''][:5])} report no hash. Update their kits."
        yield Diagnosis("bucketing", Health.WARNING, said)
    else:
        yield Diagnosis("bucketing", Health.OK, f"all replicas split by {BUCKETING}")
    said = "; ".join(f"{name or 'of no name'} at {', '.join(members[:5])}" for name, members in sorted(kits.items()))
    mixed = len(kits) > 1
    yield Diagnosis("kits", Health.WARNING if mixed else Health.OK, f"mixed: {said}" if mixed else next(iter(kits)))


def _by(field: str, replicas: Sequence[SeenReplica]) -> dict[str, list[str]]:
    found = defaultdict[str, list[str]](list)
    for each in replicas:
        found[getattr(each, field) or ""].append(each.name)
    return dict(found)


def _of_tokens(fleet: SeenFleet) -> Iterator[Diagnosis]:
    """Whether whoever reaches an address may act as the driver."""
    for addresses, variable in (
        ([each.address for each in fleet.replicas if each.address], ENDPOINT_TOKEN),
        ([each.address for each in fleet.relays], DRIVER_TOKEN),
    ):
        reached = [address for address in addresses if not is_loopback(urlsplit(address).hostname or "")]
        if reached and not has_token(variable):
            said = (
                f"{variable} is not set, and {', '.join(reached[:5])} can be reached by others. Set it there and here."
            )
            yield Diagnosis("tokens", Health.WARNING, said)
        elif addresses:
            why = "is set" if has_token(variable) else "is not set; every address is this machine's own"
            yield Diagnosis("tokens", Health.OK, f"{variable} {why}")


def _of_protocol(pipeline: str, urls: list[str], probe: Probe | None) -> Iterator[Diagnosis]:
    """The cheap points of the protocol, by the checks of `rollcast dataplane check`."""
    wanted = {*OF_ITSELF, *(OF_AN_ANSWER if probe else ())}
    wanted_probe = probe or Probe(pipeline=pipeline, request=ProbeRequest(path="/"))
    subject = TestedService(urls, wanted_probe.model_copy(update={"definition": None, "telemetry": None}))
    try:
        for finding in judged(subject, [each for each in points() if each.id in wanted]):
            match finding.verdict:
                case PointVerdict.HOLDS:
                    health = Health.OK
                case PointVerdict.NOT_JUDGED:
                    health = Health.NOT_JUDGED
                case PointVerdict.BROKEN:
                    health = Health.PROBLEM if finding.point.must else Health.WARNING
            yield Diagnosis(f"{finding.point.id} {finding.point.title}", health, finding.detail)
    finally:
        subject.abandon()
