"""Random search for a declaration that the planner can't take to the next one safely, or refuses though it could.

Pairs of valid declarations of every kind that `rollcast.policies.strategies.rewirings` draws: planned, and then every
state that the plan can reach (each order of its operations, a rollback from each of them) is judged by brute force,
which knows nothing of how the planner decides.
"""

from __future__ import annotations

import contextlib
import itertools
import textwrap
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from rollcast.planner.base.errors import NoSafeOrder, PlannerError
from rollcast.planner.base.keys import key_of
from rollcast.planner.declaration.models import Declaration
from rollcast.planner.loading.cross_checks import check
from rollcast.planner.plan.models import Plan
from rollcast.planner.planning.planner import live_as_declared, make_plan
from rollcast.planner.releases.releases import releases_of, tracks_of
from rollcast.planner.routing.split import Router
from rollcast.policies.strategies import Transition, rewirings
from tests.planner.every_state import Oracle
from validation.safe_orders import an_order_is_safe

_CORES = 2
_PARTS = 8  # of a kind, each with a seed of its own
# The same user, as two kinds of records write the key.
KEYS: tuple[tuple[Any, Any], ...] = (
    ("user-1", "user-1"), (7, "7"), (7.0, 7), (-0.5, "-0.5"), (True, "true"), (None, ""), ("k" * 4_000, "k" * 4_000),
    ("\N{GRINNING FACE}", "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16")),
)  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """Pairs of one kind: its words, how many at full scale, the limits of `rewirings`, and what may refuse them."""

    name: str
    pairs: int
    limits: Mapping[str, Any]
    refusable: bool = False


KINDS = (
    Kind("side by side, up to 4 components", 1200, {"max_slots": 4}),
    Kind("channels added and removed", 800, {"max_slots": 3, "channels": True}),
    Kind("channels and residency", 800, {"max_slots": 3, "channels": True, "residency": True}),
    Kind("two pipelines, one target", 600, {"max_slots": 3, "max_pipelines": 2}),
    Kind("components that exist once", 1200, {"max_slots": 3, "in_place": True}, refusable=True),
)


@dataclass
class Tally:
    """What was found among some pairs."""

    pairs: int = 0
    states: int = 0
    planned: int = 0
    impossible: int = 0
    refused: int = 0
    undecided: int = 0
    violations: list[str] = field(default_factory=list)
    wrongly: list[str] = field(default_factory=list)
    changes: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        for name in ("pairs", "states", "planned", "impossible", "refused", "undecided"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.violations += other.violations
        self.wrongly += other.wrongly
        self.changes += other.changes


def judge(pair: Transition, kind: Kind) -> Tally:
    """One pair, planned and judged."""
    found = Tally(pairs=1, changes=Counter(changes_of(pair)))
    mistakes = [str(mistake) for side in (pair.released, pair.declared) for mistake in check(side)]
    assert not mistakes, f"an invalid declaration was drawn: {mistakes}"
    try:
        plan = make_plan(pair.declared, live_as_declared(pair.released))
    except NoSafeOrder as error:
        if leaves_region(pair):
            found.impossible = 1
        elif not kind.refusable or "can't run twice" not in str(error):
            found.wrongly.append(str(error))
        elif not an_order_is_safe(pair):
            found.impossible = 1
        else:
            found.refused = 1
        return found
    except (PlannerError, KeyError, AssertionError) as error:
        found.wrongly.append(f"{type(error).__name__}: {error}")
        return found
    oracle = Oracle(plan)
    found.planned = 1
    found.violations += sorted({*oracle.run(), *misrouted(plan)})
    found.states = oracle.states
    return found


def leaves_region(pair: Transition) -> bool:
    """Whether a removed channel's users would have to reach what runs where their track does not allow: no way is safe.

    Their rule is the channel's until it ends, and after it they are served by the pipeline's default channel, which is
    at no moment within that rule: every way there breaks residency.
    """
    released, declared = dict(_rules(pair.released)), dict(_rules(pair.declared))
    everywhere = set(pair.declared.environment(None)[1].regions)
    releases = releases_of(pair.declared)
    for track in released.keys() - declared.keys():
        heir = f"{track.rpartition('/')[0]}/default".lstrip("/")
        slots = releases[heir].slots.values() if heir in releases else ()
        if released[track] and any((set(slot.regions) or everywhere) - released[track] for slot in slots):
            return True
    return False


def _rules(side: Declaration) -> Iterator[tuple[str, set[str]]]:
    for name, track in tracks_of(side).items():
        yield name, set(track.allowed_regions)


def misrouted(plan: Plan) -> Iterator[str]:
    """Keys of any type: a user is one user however the key is written, and is served by what serves."""
    for serving in plan.servings():
        for pipeline in sorted({track.pipeline for track in plan.lines.values()}):
            router = Router(pipeline, plan.lines, serving, plan.audiences)
            for key, other in KEYS:
                routed, again = router.route(key_of(key), {}), router.route(key_of(other), {})
                if routed != again:
                    yield f"keys: {key!r} and {other!r} are routed as two users"
                if routed and routed.release not in {share.release for share in serving.get(routed.line, ())}:
                    yield f"keys: {key!r} is sent to what does not serve"


def changes_of(pair: Transition) -> Iterator[str]:
    """The kinds of change that a pair holds, as the table names them."""
    old, new = _pipelines(pair.released), _pipelines(pair.declared)
    for name in old.keys() | new.keys():
        before, after = old.get(name), new.get(name)
        if before is None or after is None:
            continue
        was, now = before.components, after.components
        gone, come = was.keys() - now.keys(), now.keys() - was.keys()
        kept = was.keys() & now.keys()
        if gone and come:
            yield "renamed"
        if gone and len(come) > len(gone):
            yield "split"
        if come and len(gone) > len(come):
            yield "merged"
        if any(set(was[slot].upstream) & kept != set(now[slot].upstream) & kept for slot in kept):
            yield "re-wired"
        if any(a in was[b].upstream and b in now[a].upstream for a, b in itertools.permutations(kept, 2)):
            yield "turned round"
        if before.channels.keys() - after.channels.keys():
            yield "channel removed"
        if any(was[slot].timeout != now[slot].timeout for slot in kept):
            yield "timeout changed"
        if any(was[slot].artifact != now[slot].artifact for slot in kept):
            yield "other artifact"
    yield from _contracts(pair)


def _contracts(pair: Transition) -> Iterator[str]:
    old, new = ({c for a in side.artifacts for c in a.requires} for side in (pair.released, pair.declared))
    if old - new:
        yield "contract dropped" if not new - old else "contract moved"


def _pipelines(side: Declaration) -> dict[str, Any]:
    return dict(side.pipelines) or {"": side}


class _Enough(Exception):
    """As many pairs as are wanted have been judged."""


def search(kind: Kind, pairs: int, start: int) -> Tally:
    """So many different pairs of a kind, drawn from one seed."""
    found, seen = Tally(), set[str]()

    @seed(start)
    @settings(
        max_examples=pairs * 10, deadline=None, database=None, phases=[Phase.generate], report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(rewirings(readable=True, **kind.limits))
    def run(pair: Transition) -> None:
        if found.pairs >= pairs:
            raise _Enough
        text = pair.released.model_dump_json() + pair.declared.model_dump_json()
        if text in seen:
            return
        seen.add(text)
        found.add(judge(pair, kind))

    with contextlib.suppress(_Enough):
        run()
    return found


def _part(given_: tuple[int, int, int]) -> Tally:
    kind, pairs, start = given_
    return search(KINDS[kind], pairs, start)


def measured(scale: float, cores: int = _CORES) -> list[Tally]:
    """A tally for each kind; parts of all of them run on this many processes."""
    split = _PARTS if cores > 1 else 1
    parts = [
        (number, max(1, round(kind.pairs * scale / split)), 1000 * number + part)
        for number, kind in enumerate(KINDS)
        for part in range(split)
    ]
    tallies = [Tally() for _ in KINDS]
    if cores == 1:
        results = [_part(part) for part in parts]
    else:
        with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
            results = list(pool.map(_part, parts))
    for (number, _, _), result in zip(parts, results, strict=True):
        tallies[number].add(result)
    return tallies


def section(scale: float) -> str:
    """The part of the validation page."""
    started = time.monotonic()
    tallies = measured(scale, 1 if scale < 0.1 else _CORES)
    total = Tally()
    for tally in tallies:
        total.add(tally)
    rows = [
        f"| {name} | {t.pairs:,} | {t.states:,} | {len(t.violations)} | {t.planned:,} | {t.impossible} "
        f"| {len(t.wrongly) + t.refused} |"
        for name, t in [*((kind.name, t) for kind, t in zip(KINDS, tallies, strict=True)), ("all", total)]
    ]
    changes = ", ".join(f"{name} {count:,}" for name, count in sorted(total.changes.items()))
    changes = textwrap.fill(f"Changes in these pairs: {changes}.", 120)
    problems = "".join(f"\n- {_track(text)}" for text in [*total.violations, *total.wrongly][:10])
    return _TEXT.format(
        pairs=total.pairs, minutes=(time.monotonic() - started) / 60, rows="\n".join(rows), changes=changes,
        problems=f"\n\nFound:\n{problems}" if problems else "",
    )  # fmt: skip


def _track(text: str) -> str:
    return " ".join(text.split())


_TEXT = """## Random declarations that are renamed, split, merged and re-wired

{pairs:,} different pairs of valid declarations, of which one serves and the other is declared, from fixed seeds
(about {minutes:.0f} min on two cores). Each pair is planned; of each plan every state is reached by brute force: every
order of its operations, a rollback from each of them, and requests in flight as slow as drains allow. A violation is a
state that serves a broken mix, a third wiring, a region that a line does not allow, more than there is room for, or a
rollback that ends elsewhere; or a key of any type (text, number, truth value, none, 4,000 characters) that is two
users or is sent to what does not serve.

| pairs | declarations | states | violations | planned | no order is safe | refused, though one is |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
{rows}

"No order is safe" is decided apart from the planner: of components that exist once by a search through all states
(`validation/safe_orders.py`), and of a channel that ends where its default one will run outside what the channel
allows by that rule itself.

{changes}{problems}
"""
