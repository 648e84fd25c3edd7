"""What the parts of a declaration say of each other: names, cycles, contracts, audiences, residency, capacity.

Each check yields `Mistake`s with the path of keys that they stand at; `loading` turns paths into lines and columns. All
mistakes are found at once, except that contracts are only judged once every name is known.

Long because every check of a declaration is here, one short function each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from rollcast.planner.base.audiences import Rule, satisfiable
from rollcast.planner.base.buckets import TOTAL_WEIGHT
from rollcast.planner.base.errors import did_you_mean
from rollcast.planner.base.sources import Path
from rollcast.planner.base.values import plain, range_mistake, satisfies
from rollcast.planner.base.wording import in_words
from rollcast.planner.capacity.fit import excess, limits_of, need_of, sentence
from rollcast.planner.contracts.edges import ContractGraph
from rollcast.planner.declaration.confirmations import Confirmation
from rollcast.planner.declaration.models import (
    ATTACHMENTS,
    Artifact,
    Component,
    ComponentOverride,
    Declaration,
    Environment,
    Pipeline,
    RolloutSettings,
    Telemetry,
)
from rollcast.planner.gates.spec import GateSpec
from rollcast.planner.loading.kind_settings import SettingsOf, given_settings, settings_mistakes, shared_words
from rollcast.planner.loading.literal_secrets import literal_secrets
from rollcast.planner.loading.wording import Mistake
from rollcast.planner.plan.models import EVERYONE
from rollcast.planner.planning.shift import stages_of
from rollcast.planner.planning.steps import instances_of
from rollcast.planner.releases.releases import SHARED, SlotVersion, releases_of
from rollcast.planner.routing.residency import runs_in

LEAST_PERCENT = 100 / TOTAL_WEIGHT


def check(declaration: Declaration, settings_of: SettingsOf = shared_words) -> list[Mistake]:
    """Every mistake of a declaration that its shape alone does not show. `settings_of`: see `kind_settings`."""
    mistakes = list(_artifacts(declaration))
    regions = {name for environment in declaration.environments.values() for name in environment.regions}
    for base, pipeline in _pipelines(declaration):
        mistakes.extend(_components(base, pipeline, declaration, regions))
        mistakes.extend(_channels(base, pipeline, declaration, regions))
        if pipeline.rollout:
            mistakes.extend(_rollout((*base, "rollout"), pipeline.rollout, declaration, pipeline.components))
    every = [name for _, pipeline in _pipelines(declaration) for name in pipeline.components]
    mistakes.extend(_rollout(("rollout",), declaration.rollout, declaration, every))
    mistakes.extend(_shared(declaration))
    mistakes.extend(_audiences(declaration))
    mistakes.extend(_environments(declaration))
    mistakes.extend(settings_mistakes(declaration, settings_of))
    mistakes.extend(_secrets(declaration))
    mistakes.extend(_unknown_regions(("allowed_regions",), declaration.allowed_regions, regions))
    if not mistakes:
        mistakes.extend(_releases(declaration))
    return mistakes


def _pipelines(declaration: Declaration) -> Iterator[tuple[Path, Pipeline]]:
    for name, pipeline in declaration.each_pipeline().items():
        yield (("pipelines", name) if declaration.pipelines else ()), pipeline


def _secrets(declaration: Declaration) -> Iterator[Mistake]:
    """Secrets that are written out: they would be in the flag definition, in plans and in the ledger."""
    places: list[tuple[Path, object]] = []
    for index, artifact in enumerate(declaration.artifacts):
        places.append((("artifacts", index, "parameters"), artifact.parameters))
    for base, pipeline in _pipelines(declaration):
        for name, component in pipeline.components.items():
            places.append(((*base, "components", name, "parameters"), component.parameters))
        places.extend(((*base, "flags"), {name: flag.value}) for name, flag in pipeline.flags.items())
        for name, channel in pipeline.channels.items():
            places.append(((*base, "channels", name, "flags"), channel.flags))
            for slot, override in channel.components.items():
                places.append(((*base, "channels", name, "components", slot, "parameters"), override.parameters))
    for path, _, settings in given_settings(declaration):
        shared = {"url": settings.url} if isinstance(settings, Telemetry) else {}
        places.append((path, {**shared, **(settings.model_extra or {})}))
    for place, values in places:
        for path, called in literal_secrets(values, place):
            remedy = f"Name the environment variable that holds it, as in '{called}_env: NAME' or '${{NAME}}'."
            yield Mistake(path, f"'{called}' holds a literal secret, which plans and the ledger would keep.", remedy)


# ---- artifacts --------------------------------------------------------------------------------


def _artifacts(declaration: Declaration) -> Iterator[Mistake]:
    known = [artifact.reference for artifact in declaration.artifacts]
    seen: set[str] = set()
    for position, artifact in enumerate(declaration.artifacts):
        path: Path = ("artifacts", position)
        if artifact.reference in seen:
            remedy = "A version never changes: give the other one its own version."
            yield Mistake(path, f"artifact '{artifact.reference}' is declared twice.", remedy)
        seen.add(artifact.reference)
        if artifact.pinned is not None:
            yield Mistake((*path, "pinned"), "'pinned' is what the lock says.", "Remove it, and run 'rollcast lock'.")
        if artifact.made_from:
            yield Mistake((*path, "made_from"), "'made_from' is what a registry says.", "Name it in 'derived_from'.")
        for index, source in enumerate(artifact.derived_from):
            yield from _reference((*path, "derived_from", index), source, known)
        yield from _ranges(path, artifact)
    edges = [(s, a.reference) for a in declaration.artifacts for s in a.derived_from]
    yield from _cycle(("artifacts",), edges, "lineage goes in a circle")


def _ranges(path: Path, owner: Artifact | Component) -> Iterator[Mistake]:
    for contract, requirement in owner.requires.items():
        mistake = range_mistake(requirement.value)
        if mistake:
            what, _, how = mistake.partition("; ")
            yield Mistake((*path, "requires", contract), f"{what}.", f"{how[:1].upper()}{how[1:]}, or one exact value.")


def _reference(path: Path, reference: str, known: Iterable[str]) -> Iterator[Mistake]:
    if reference not in known:
        yield Mistake(
            path,
            f"there is no artifact '{reference}'.",
            did_you_mean(reference, known) or "Declare it under 'artifacts'.",
        )


def _cycle(path: Path, edges: Sequence[tuple[str, str]], what: str) -> Iterator[Mistake]:
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for before, after in edges:
        sorter.add(after, before)
    try:
        sorter.prepare()
        return
    except CycleError:
        import networkx as nx

        cycle = nx.find_cycle(nx.DiGraph(edges))
    shown = " -> ".join([u for u, _ in cycle] + [cycle[0][0]])
    yield Mistake(path, f"{what}: {shown}.", "Remove one of these edges.")


# ---- pipelines --------------------------------------------------------------------------------


def _components(base: Path, pipeline: Pipeline, declaration: Declaration, regions: set[str]) -> Iterator[Mistake]:
    names = set(pipeline.components)
    artifacts = [artifact.reference for artifact in declaration.artifacts]
    edges: list[tuple[str, str]] = []
    for name, component in pipeline.components.items():
        path: Path = (*base, "components", name)
        yield from _artifact_references(path, component, artifacts)
        yield from _ranges(path, component)
        yield from _unknown_regions((*path, "regions"), component.regions, regions)
        listed = {"upstream": component.upstream, "independent_of": component.independent_of}
        for key, others in listed.items():
            for index, other in enumerate(others):
                yield from _component_name((*path, key, index), other, names)
        for contract, requirement in component.requires.items():
            if requirement.of:
                yield from _component_name((*path, "requires", contract), requirement.of, names)
        if component.fallback:
            yield from _component_name((*path, "fallback"), component.fallback, names)
            yield from _fallback((*path, "fallback"), name, pipeline)
        edges += [(up, name) for up in component.upstream if up in names]
    yield from _cycle((*base, "components"), edges, "the data flow goes in a circle")


def _fallback(path: Path, name: str, pipeline: Pipeline) -> Iterator[Mistake]:
    """A fallback that comes back to where it began answers nobody."""
    seen, here = [name], pipeline.components[name].fallback
    while here in pipeline.components and here not in seen:
        seen.append(here)
        here = pipeline.components[here].fallback
    if here == name:
        yield Mistake(path, f"fallbacks go in a circle: {' -> '.join([*seen, name])}.", "Let one of them have none.")


def _artifact_references(
    path: Path, owner: Component | ComponentOverride, artifacts: Sequence[str]
) -> Iterator[Mistake]:
    for key in ("artifact", *ATTACHMENTS):
        reference = getattr(owner, key)
        if reference:
            yield from _reference((*path, key), reference, artifacts)


def _component_name(path: Path, name: str, names: Iterable[str]) -> Iterator[Mistake]:
    if name not in names:
        yield Mistake(
            path, f"there is no component '{name}'.", did_you_mean(name, names) or "Declare it under 'components'."
        )


def _unknown_regions(path: Path, named: Sequence[str], known: set[str]) -> Iterator[Mistake]:
    for index, region in enumerate(named):
        if region not in known:
            remedy = did_you_mean(region, known) or "Declare it under 'regions' of the environment."
            yield Mistake((*path, index), f"there is no region '{region}'.", remedy)


def _channels(base: Path, pipeline: Pipeline, declaration: Declaration, regions: set[str]) -> Iterator[Mistake]:
    artifacts = [artifact.reference for artifact in declaration.artifacts]
    before: list[tuple[str, Rule]] = []
    for name, channel in pipeline.channels.items():
        path: Path = (*base, "channels", name)
        if name == "default":
            yield Mistake(path, "'default' is the channel of all other requests.", "Give this channel another name.")
        yield from _reach((*path, "route"), f"channel '{name}'", channel.route.rule, before)
        before.append((name, channel.route.rule))
        yield from _unknown_regions((*path, "allowed_regions"), channel.allowed_regions, regions)
        for slot, override in channel.components.items():
            yield from _component_name((*path, "components", slot), slot, pipeline.components)
            yield from _artifact_references((*path, "components", slot), override, artifacts)
            yield from _exists_once((*path, "components", slot), slot, override, pipeline)
        if channel.rollout:
            yield from _rollout((*path, "rollout"), channel.rollout, declaration, pipeline.components)


def _exists_once(path: Path, slot: str, override: ComponentOverride, pipeline: Pipeline) -> Iterator[Mistake]:
    component = pipeline.components.get(slot)
    if component is None or not (component.in_place or component.shared):
        return
    if override.artifact or override.parameters is not None or override.regions is not None:
        remedy = "Let the channel use it as it is, or let it run side by side (in_place: false)."
        yield Mistake(path, f"'{slot}' exists once, so a channel can't have another one.", remedy)


def _shared(declaration: Declaration) -> Iterator[Mistake]:
    """What several pipelines share is the same in all of them."""
    first: dict[str, tuple[str, Component]] = {}
    for name, pipeline in declaration.each_pipeline().items():
        for slot, component in pipeline.components.items():
            if not component.shared:
                continue
            if SHARED in declaration.each_pipeline():
                key = ("pipelines", SHARED) if declaration.pipelines else ("pipeline",)
                summary = f"'{SHARED}' is where shared components such as '{slot}' are kept."
                yield Mistake(key, summary, "Give the pipeline another name.")
                return
            owner, like = first.setdefault(slot, (name, component))
            differs = [
                key
                for key in ("artifact", *ATTACHMENTS, "parameters", "needs", "replicas", "regions")
                if getattr(like, key) != getattr(component, key)
            ]
            if differs:
                path: Path = ("pipelines", name, "components", slot, differs[0])
                summary = f"'{slot}' is shared, but its {differs[0]} is not as in pipeline '{owner}'."
                yield Mistake(path, summary, "Declare it alike in every pipeline that shares it.")


def _reach(path: Path, what: str, rule: Rule, before: Sequence[tuple[str, Rule]]) -> Iterator[Mistake]:
    """Whether a rule can match anything, and anything that those before it leave."""
    if not satisfiable([(rule, True)]):
        yield Mistake(path, f"{what} can never match a request.", "Its conditions exclude each other.")
    elif before and not satisfiable([(rule, True), *((other, False) for _, other in before)]):
        names = ", ".join(f"'{name}'" for name, _ in before)
        yield Mistake(path, f"{what} is shadowed: {names} take every request of it.", "Put it before them.")


# ---- rollout ----------------------------------------------------------------------------------


def _rollout(
    path: Path, rollout: RolloutSettings, declaration: Declaration, components: Iterable[str]
) -> Iterator[Mistake]:
    yield from _percents((*path, "percent"), rollout.percent)
    if rollout.strategy in ("canary", "flag") and not rollout.stages and rollout.percent[-1:] != (100.0,):
        yield Mistake((*path, "percent"), "the last step does not reach 100 percent.", "End the list with 100.")
    before: list[tuple[str, Rule]] = []
    for index, stage in enumerate(rollout.stages):
        here: Path = (*path, "stages", index)
        yield from _percents((*here, "percent"), stage.percent)
        rule: Rule = ("all", (), None)
        if stage.audience != EVERYONE:
            if stage.audience not in declaration.audiences:
                known = [*declaration.audiences, EVERYONE]
                yield Mistake(
                    (*here, "audience"),
                    f"there is no audience '{stage.audience}'.",
                    did_you_mean(stage.audience, known),
                )
                continue
            rule = declaration.audiences[stage.audience].rule
        if any(name == stage.audience for name, _ in before):
            remedy = "Put all its percentages into one stage."
            yield Mistake((*here, "audience"), f"audience '{stage.audience}' has two stages.", remedy)
            continue
        if satisfiable([(rule, True)]):
            yield from _reach((*here, "audience"), f"audience '{stage.audience}'", rule, before)
        before.append((stage.audience, rule))
    if rollout.stages and (rollout.stages[-1].audience != EVERYONE or rollout.stages[-1].percent[-1] != 100):
        remedy = "End with {audience: everyone, percent: [..., 100]}."
        yield Mistake((*path, "stages"), "the last stage does not reach everyone at 100 percent.", remedy)
    if rollout.strategy == "staged" and not rollout.stages:
        yield Mistake((*path, "strategy"), "'staged' needs stages.", "List them under 'stages'.")
    slots = [*components, *(f"{name}.{attachment}" for name in components for attachment in ATTACHMENTS)]
    for index, names in enumerate(rollout.ship_together):
        for place, name in enumerate(names):
            if name not in slots:
                yield from _component_name((*path, "ship_together", index, place), name, components)
    yield from _late_labels(path, rollout)
    yield from _confirmations(path, rollout.confirm, declaration, [rollout])
    artifacts = {artifact.reference: artifact for artifact in declaration.artifacts}
    for index, evaluate in enumerate(rollout.evaluate):
        yield from _reference((*path, "evaluate", index, "suite"), evaluate.suite, artifacts)


def _confirmations(
    path: Path, confirm: Sequence[Confirmation], declaration: Declaration, rollouts: Sequence[RolloutSettings]
) -> Iterator[Mistake]:
    """Confirmations of audiences that no stage of these rollouts reaches: nobody would ever be requested."""
    staged = {stage.audience for rollout in rollouts for stage in stages_of(rollout)}
    most = {
        audience: max(max(s.percent, default=0.0) for r in rollouts for s in stages_of(r) if s.audience == audience)
        for audience in staged
    }
    for index, one in enumerate(confirm):
        here: Path = (*path, "confirm", index)
        known = [*declaration.audiences, EVERYONE]
        if one.audience not in known:
            summary = f"there is no audience '{one.audience}'."
            yield Mistake((*here, "audience"), summary, did_you_mean(one.audience, known))
        elif one.audience not in staged:
            summary = f"no stage moves audience '{one.audience}', so this is never confirmed."
            yield Mistake((*here, "audience"), summary, f"Name one that a stage moves: {in_words(sorted(staged))}.")
        elif one.percent > most[one.audience]:
            summary = f"no stage gives '{one.audience}' {one.percent:g} percent, so this is never confirmed."
            yield Mistake((*here, "percent"), summary, f"Write {most[one.audience]:g} at most.")


def _late_labels(path: Path, rollout: RolloutSettings) -> Iterator[Mistake]:
    """Gates whose labels come after the longest bake: they could only ever hold."""
    stages = [((*path, "stages", i), stage) for i, stage in enumerate(rollout.stages)]
    places: list[tuple[Path, Sequence[GateSpec], float]] = [
        ((*here, "gates") if stage.gates is not None else (*path, "gates"),
         rollout.gates if stage.gates is None else stage.gates, (stage.bake or rollout.bake).max)
        for here, stage in stages
    ]  # fmt: skip
    reported: set[Path] = set()
    for gates_path, gates, longest_s in places or [((*path, "gates"), rollout.gates, rollout.bake.max)]:
        for index, gate in enumerate(gates):
            place = (*gates_path, index)
            if gate.label_delay_s >= longest_s and place not in reported:
                reported.add(place)
                late = f"labels of {gate.metric} come {gate.label_delay_s:g} s late, and a stage bakes {longest_s:g} s"
                yield Mistake(place, f"{late} at most.", "Raise bake 'max' above the delay.")


def _percents(path: Path, percents: Sequence[float]) -> Iterator[Mistake]:
    last = 0.0
    for index, percent in enumerate(percents):
        if 0 < percent < LEAST_PERCENT:
            summary = f"{plain(percent)} percent is less than {LEAST_PERCENT:g}, the least share that a split can make."
            yield Mistake((*path, index), summary, f"Begin with {LEAST_PERCENT:g} percent or more.")
        elif not 0 < percent <= 100:
            yield Mistake((*path, index), f"{percent:g} is not a percentage above 0 and up to 100.", "Correct it.")
        elif percent <= last:
            remedy = "Percentages rise: nobody is moved back while a rollout advances."
            yield Mistake((*path, index), f"{percent:g} does not rise above {last:g}.", remedy)
        last = max(last, percent)


def _audiences(declaration: Declaration) -> Iterator[Mistake]:
    for name, predicate in declaration.audiences.items():
        path: Path = ("audiences", name)
        if name == EVERYONE:
            yield Mistake(path, "'everyone' is built in.", "Give this audience another name.")
        if not satisfiable([(predicate.rule, True)]):
            remedy = "Its conditions exclude each other."
            yield Mistake(path, f"audience '{name}' can never match a request.", remedy)


# ---- environments and whole releases ----------------------------------------------------------


def _environments(declaration: Declaration) -> Iterator[Mistake]:
    marked = [name for name, environment in declaration.environments.items() if environment.default]
    if len(marked) > 1:
        names = ", ".join(marked)
        yield Mistake(("environments",), f"{names} are all marked default.", "Mark one of them.")
    if not declaration.environments:
        yield Mistake(("environments",), "there is no environment.", "Declare one, or leave the key out.")
    rollouts = list(declaration.each_rollout().values())
    for name, environment in declaration.environments.items():
        target, telemetry = environment.target, environment.telemetry
        paths = {("target", "definition"): target.definition, ("target", "instances"): target.instances}
        paths = {} if environment.is_split else paths
        for place, text in {**paths, ("telemetry", "path"): telemetry.path}.items():
            if "://" in text:
                remedy = "Write the path of a file or folder that this machine can reach."
                yield Mistake(("environments", name, *place), f"'{place[1]}' is a path, not an address.", remedy)
        yield from _run_as(declaration, name, environment)
        yield from _confirmations(("environments", name), environment.confirm, declaration, rollouts)
    yield from _sequence(declaration.environments)


def _sequence(environments: Mapping[str, Environment]) -> Iterator[Mistake]:
    """Environments that come after others: those are there, none comes after itself, and approvals can be given."""
    edges: list[tuple[str, str]] = []
    for name, environment in environments.items():
        after, path = environment.after, ("environments", name, "after")
        if after is None:
            continue
        if after.environment == name:
            yield Mistake((*path, "environment"), f"'{name}' comes after itself.", "Name the environment before it.")
        elif after.environment not in environments:
            others = [other for other in environments if other != name]
            remedy = did_you_mean(after.environment, others) or "Declare it under 'environments'."
            yield Mistake((*path, "environment"), f"there is no environment '{after.environment}'.", remedy)
        else:
            edges.append((after.environment, name))
        named = after.approved_by
        for index, who in enumerate(named):
            if who in named[:index]:
                yield Mistake((*path, "approved_by", index), f"'{who}' is named twice.", "Name each person once.")
        few = len({*named}) < after.approvals
        if few and (named or after.approvals > 1):
            summary = f"{after.approvals} approvals are needed, and {len({*named})} may approve."
            yield Mistake((*path, "approvals"), summary, "Name more people under 'approved_by', or ask for fewer.")
    yield from _cycle(("environments",), edges, "environments come after each other in a circle")


def _run_as(declaration: Declaration, name: str, environment: Environment) -> Iterator[Mistake]:
    """Components that instances are declared for are there."""
    given = environment.instances.components if environment.instances is not None else {}
    slots = {slot for release in releases_of(declaration).values() for slot in release.slots} if given else set()
    slots |= {f"{r.pipeline}/{slot}" for r in releases_of(declaration).values() for slot in r.slots} if given else set()
    for component in given:
        if component not in slots:
            path: Path = ("environments", name, "instances", "components", component)
            yield Mistake(path, f"there is no component '{component}'.", did_you_mean(component, slots))


def _releases(declaration: Declaration) -> Iterator[Mistake]:
    releases = releases_of(declaration)
    seen: set[str] = set()
    for track, release in releases.items():
        pipeline, channel = track.split("/", 1) if "/" in track else ("", track)
        base: Path = ("pipelines", pipeline) if pipeline else ()
        for clash in ContractGraph(release.slots, release.slots).broken(release.slots):
            if str(clash) in seen:
                continue
            seen.add(str(clash))
            where: Path = (
                ("channels", channel) if channel != "default" else ("components", clash.consumer.split(" ")[0])
            )
            remedy = "No order can be safe: change one of the two versions, or the requirement."
            yield Mistake((*base, *where), f"contradictory contracts: {clash}.", remedy)
        yield from _flags(base, channel, declaration, pipeline, release.slots)
        yield from _residency(base, channel, declaration, pipeline, release.slots)
    for name, environment in declaration.environments.items():
        slots = {p: r.slots[s] for r in releases.values() for p, (_, s) in instances_of(r).items()}
        over = excess(need_of(slots.values(), environment), limits_of(environment))
        if over:
            remedy = "Raise the capacity, or declare smaller 'needs'."
            yield Mistake(("environments", name), f"the declared release does not fit: {sentence(over)}.", remedy)


def _flags(
    base: Path, channel: str, declaration: Declaration, pipeline: str, slots: Mapping[str, SlotVersion]
) -> Iterator[Mistake]:
    """A flag that is switched on finds what it needs. It goes on last and off first, so it does all the time."""
    rules = declaration.each_pipeline()[pipeline or declaration.pipeline]
    own = rules.channels[channel].flags if channel != "default" else {}
    for name, flag in rules.flags.items():
        for contract, requirement in flag.requires.items() if own.get(name, flag.value) else ():
            named = slots.get(requirement.of or "")
            among = [named] if named else list(slots.values())
            provided = [slot.provides[contract] for slot in among if contract in slot.provides]
            if any(satisfies(value, requirement.value) for value in provided):
                continue
            has = f"only {', '.join(provided)} is provided" if provided else "nothing provides it"
            summary = f"flag '{name}' requires {contract} {requirement.value}, and {has}."
            yield Mistake((*base, "flags", name), summary, "Switch it off, or release what it needs.")


def _residency(
    base: Path, channel: str, declaration: Declaration, pipeline: str, slots: Mapping[str, SlotVersion]
) -> Iterator[Mistake]:
    rules = declaration.each_pipeline()[pipeline or declaration.pipeline]
    own = rules.channels[channel].allowed_regions if channel != "default" else ()
    allowed = set(own or rules.allowed_regions or declaration.allowed_regions)
    if not allowed:
        return
    everywhere = tuple(
        dict.fromkeys(n for environment in declaration.environments.values() for n in environment.regions)
    )
    for name, slot in slots.items():
        regions = runs_in(slot, everywhere)
        if not allowed.issuperset(regions):
            component = name.split(".")[0]
            override = rules.channels[channel].components.get(component) if channel != "default" else None
            placed: Path = ("components", component)
            if override is not None and override.regions is not None:
                placed = ("channels", channel, *placed)
            where = ", ".join(regions) + ("" if slot.regions else " (it names no regions, so everywhere)")
            shown = f"{name} runs in {where}, and channel '{channel}' allows {', '.join(sorted(allowed))}"
            remedy = f"Give it 'regions: [{', '.join(sorted(allowed))}]' for this channel, or allow the others."
            yield Mistake((*base, *placed), f"residency: {shown}.", remedy)
