"""The bugs: what each one is, and the few words of source that make it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bug:
    """A bug in a module of the planner.

    `runs`: of the quick profile, each by a seed of its own, that may be made until one finds it. What a seed draws
    depends on the modules that are loaded, so a second run is allowed; a rare case takes more.
    """

    name: str
    module: str
    old: str
    new: str
    runs: int = 2

    @property
    def part(self) -> str:
        """Which property test is to find it."""
        return "declaration" if self.module == "loading.cross_checks" else "rollout"


BUGS = (
    # ---- order and groups -----------------------------------------------------------------------
    Bug(
        "a slot keeps its old version",
        "planning.steps",
        "        if name in members:\n            slots[name] = slot\n",
        "        if name in members and slots:\n            slots[name] = slot\n",
    ),
    Bug(
        "every mixed pair is thought to work",
        "contracts.edges",
        "        if self._same_generation(u, a, v, b):\n",
        "        if True:\n",
    ),
    Bug(
        "what nothing is declared about is thought to be free",
        "contracts.edges",
        "        return False\n\n    @cached",
        "        return True\n\n    @cached",
    ),
    Bug(
        "every version range is thought to be satisfied",
        "base.values",
        "return SpecifierSet(spec).contains(Version(provided), prereleases=True)",
        "return True",
    ),
    Bug(
        "a change of parameters is no change",
        "releases.changes",
        "if old.identity == new.identity:",
        "if old.reference == new.reference:",
    ),
    Bug(
        "a flag that is taken away is no change",
        "releases.changes",
        "for name in sorted({*old, *new}):",
        "for name in sorted(new):",
    ),
    Bug(
        "a release id leaves out the flags",
        "releases.releases",
        "digest_of([self.pipeline, slots, self.flags])",
        "digest_of([self.pipeline, slots])",
    ),
    Bug(
        "a channel that ends is no change",
        "planning.planner",
        "*(track for track in leaving if live.serving.get(track))",
        "*()",
    ),
    Bug("a channel that ends is not ended", "planning.planner", "leaving if number == len(waves) else ()", "()"),
    # ---- expand ---------------------------------------------------------------------------------
    Bug("instances come up in any order", "planning.expand", "waits = _waits(", "waits = () if True else _waits("),
    Bug(
        "the first new instance is forgotten",
        "planning.expand",
        "        operations.append(operation)\n",
        "        operations.extend([operation] if operations else [])\n",
    ),
    Bug("no suite is run on a new release", "planning.expand", "for evaluate in rule.evaluate:", "for evaluate in ():"),
    Bug(
        "more is expanded than there is room for",
        "planning.waves",
        "            if missing and wave:",
        "            missing = ''\n            if missing and wave:",
    ),
    # ---- shift ----------------------------------------------------------------------------------
    Bug(
        "a percentage is off by one",
        "planning.shift",
        "shares = [_share(track, audience, percent, new)]",
        "shares = [_share(track, audience, min(100.0, percent + 1), new)]",
    ),
    Bug(
        "the first step is skipped",
        "planning.shift",
        "for percent in stage.percent:",
        "for percent in stage.percent[-1:]:",
    ),
    Bug(
        "the rest of an audience also gets the new release",
        "planning.shift",
        "round(100 - percent, 3), old)",
        "round(100 - percent, 3), new)",
    ),
    Bug(
        "the old release is listed first, so widening moves people back",
        "planning.shift",
        "    return shares\n",
        "    return shares[::-1]\n",
    ),
    Bug(
        "an audience that is done goes back to the old release",
        "planning.shift",
        "settled += _split(track, stage.audience, stage.percent[-1], old, release)",
        "settled = []",
    ),
    Bug("a step has no gates", "planning.shift", '"gates": tuple(gate.metric for gate in gates),', '"gates": (),'),
    Bug(
        "a step has no shortest bake",
        "planning.shift",
        '"bake_min_s": bake.min if stage else 0.0,',
        '"bake_min_s": 0.0,',
    ),
    Bug(
        "an overdue step advances, whatever is declared",
        "planning.shift",
        '"bake_then": bake.then,\n        "min_sample": (stage',
        '"bake_then": "advance",\n        "min_sample": (stage',
    ),
    Bug("what exists once is overwritten without a drain", "planning.shift", "    if stale:\n", "    if False:\n"),
    Bug(
        "a maintenance pause does not stop the traffic",
        "planning.shift",
        "ended: Serving = dict.fromkeys(step.after, ())",
        "ended: Serving = {}",
    ),
    Bug(
        "a slot that exists once is tagged but not overwritten",
        "planning.shift",
        "    return list(swaps.values())\n",
        "    return []\n",
    ),
    # ---- contract -------------------------------------------------------------------------------
    Bug(
        "a drain is shorter than a request may be",
        "planning.builder",
        "wait_s=self.longest_request_s({*releases, *self.owners(folders)}),",
        "wait_s=self.longest_request_s({*releases, *self.owners(folders)}) / 10,",
    ),
    Bug(
        "instances are retired before the drain",
        "planning.builder",
        "after=tuple(sorted(followers[slot])) or waits,",
        "after=tuple(sorted(followers[slot])),",
    ),
    Bug(
        "upstream is retired before downstream",
        "planning.builder",
        "followers[up].append(ids[down])",
        "followers[down].append(ids[up])",
    ),
    Bug(
        "one old instance is left running",
        "planning.builder",
        "        idle = self.idle()\n",
        "        idle = self.idle()[1:]\n",
    ),
    Bug(
        "an instance that still serves is retired",
        "planning.builder",
        "        idle = self.idle()\n",
        "        idle = list(self.instances)[:1]\n",
    ),
    Bug(
        "the point of no return is not marked",
        "planning.builder",
        "point_of_no_return=True,",
        "point_of_no_return=False,",
    ),
    Bug(
        "a milestone does not wait for all of the one before",
        "planning.builder",
        "op.id not in waited))\n        self.operations.extend(tied)",
        "op.id not in waited))[:1]\n        self.operations.extend(tied)",
    ),
    # ---- the rollback ---------------------------------------------------------------------------
    Bug("the rollback forgets an instance", "planning.rollback", "way.retire(fresh)", "way.retire(fresh[1:])"),
    Bug(
        "the rollback retires before traffic moves",
        "planning.rollback",
        '    if pending:\n        way.shift(pending, "traffic back")\n    way.restore',
        "    way.retire(fresh)\n    fresh = ()\n"
        '    if pending:\n        way.shift(pending, "traffic back")\n    way.restore',
    ),
    Bug(
        "the rollback leaves what was overwritten",
        "planning.rollback",
        '                way.shift(pending, "traffic back")\n                way.overwrite(step)',
        '                way.shift(pending, "traffic back")',
    ),
    Bug(
        "the rollback does not drain",
        "planning.rollback",
        "wait_s=self.builder.longest_request_s(gone | self.builder.owners(folders)), drained",
        "wait_s=0.0, drained",
    ),
    Bug(
        "the rollback has forgotten where the wave began",
        "planning.waves",
        "origin: Serving = {track: builder.serving.get(track, ()) for track in tracks}",
        "origin: Serving = {}",
    ),
    # ---- who is served by what ------------------------------------------------------------------
    Bug(
        "buckets depend on the release",
        "routing.split",
        "bucket = bucket_of(salt, key)",
        "bucket = bucket_of(salt + group.bounds[0][0], key)",
    ),
    Bug(
        "a channel that is not released yet serves nobody",
        "routing.split",
        "                    continue  #",
        "                    return None  #",
    ),
    Bug(
        "the first audience takes everyone",
        "routing.split",
        "if group.rule is None or matches(group.rule, attributes):",
        "if group.bounds:",
    ),
    Bug(
        "channels are tried in the wrong order",
        "routing.split",
        "key=lambda track: track.turn)",
        "key=lambda track: track.route is not None)",
    ),
    # ---- the rollout ----------------------------------------------------------------------------
    Bug(
        "a gate is skipped",
        "rollout.state_machine",
        "looked_s=None, cleared=not bakes,",
        "looked_s=None, cleared=True,",
    ),
    Bug(
        "a stage ends before its shortest bake",
        "rollout.state_machine",
        "elif verdict.verdict is Verdict.ADVANCE and baked_s >= milestone.bake_min_s:",
        "elif verdict.verdict is Verdict.ADVANCE:",
    ),
    Bug(
        "proved harm is not rolled back",
        "rollout.state_machine",
        "        if verdict.verdict is Verdict.ROLL_BACK:\n",
        "        if False:\n",
    ),
    Bug(
        "an overdue stage advances without proof",
        "rollout.state_machine",
        'case "advance" if judged:',
        "case _ if True:",
    ),
    Bug("a paused rollout goes on", "rollout.state_machine", "        if here.paused:\n", "        if False:\n"),
    Bug(
        "a promotion leaves the rollout paused",
        "rollout.state_machine",
        "self._move(cleared=True, held=None, paused=False,",
        "self._move(cleared=True, held=None,",
    ),
    Bug(
        "a step of the rollback is skipped",
        "rollout.state_machine",
        "rollback_step=here.rollback_step + 1",
        "rollback_step=here.rollback_step + 2",
    ),
    Bug(
        "the last step of the rollback is left out",
        "rollout.state_machine",
        "if way is None or step == len(way.milestones):",
        "if way is None or step >= len(way.milestones) - 1:",
    ),
    Bug(
        "a half-done milestone is not undone",
        "rollout.state_machine",
        "        begun = self.position.milestone + 1\n",
        "        begun = self.position.milestone\n",
    ),
    Bug(
        "an abort past the point of no return claims to roll back",
        "rollout.state_machine",
        "if here >= 0 and self.plan.rollback_of(here) is None:",
        "if False:",
    ),
    Bug(
        "a resumed rollout has forgotten its evidence",
        "rollout.state_machine",
        "self.gates.to_json() if self.gates else None",
        "None",
    ),
    Bug(
        "a resumed rollout has forgotten a promotion in full",
        "rollout.state_machine",
        "        if self.position.full:\n",
        "        if False:\n",
    ),
    Bug(
        "no data is a pass",
        "gates.stage",
        '        broken = tuple(guard for guard in failed if guard.name != "min_sample")\n',
        "        failed, broken = (), ()\n",
    ),
    Bug(
        "harm is reported as proof",
        "gates.stage",
        "            return Verdict.ROLL_BACK, harmful",
        "            return Verdict.ADVANCE, harmful",
    ),
    # ---- declarations that must be refused --------------------------------------------------------
    Bug("percentages may fall", "loading.cross_checks", "elif percent <= last:", "elif False:"),
    Bug("a rollout need not reach everyone", "loading.cross_checks", "rollout.percent[-1:] != (100.0,):", "False:"),
    Bug("an artifact need not exist", "loading.cross_checks", "    if reference not in known:\n", "    if False:\n"),
    Bug("a component need not exist", "loading.cross_checks", "    if name not in names:\n", "    if False:\n"),
    Bug("an artifact may be declared twice", "loading.cross_checks", "if artifact.reference in seen:", "if False:"),
    Bug(
        "the data may flow in a circle",
        "loading.cross_checks",
        '    yield Mistake(path, f"{what}: {shown}.", "Remove one of these edges.")',
        "    yield from ()",
    ),
    Bug(
        "a channel may be shadowed by another",
        "loading.cross_checks",
        "elif before and not satisfiable(",
        "elif False and not satisfiable(",
    ),
    Bug(
        "an audience may be impossible",
        "loading.cross_checks",
        "if not satisfiable([(predicate.rule, True)]):",
        "if False:",
    ),
    Bug(
        "contracts may contradict each other",
        "loading.cross_checks",
        "            if str(clash) in seen:\n",
        "            if True:\n",
    ),
    Bug(
        "a release may run outside its regions",
        "loading.cross_checks",
        "if not allowed.issuperset(regions):",
        "if False:",
    ),
    Bug("a release need not fit", "loading.cross_checks", "        if over:\n", "        if False:\n"),
)
