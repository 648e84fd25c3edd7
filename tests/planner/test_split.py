"""One decision, two readers: the router decides for every request exactly as flagd's own evaluator does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext

from rollcast.planner.base.audiences import matches, parse, satisfiable
from rollcast.planner.base.buckets import bucket_of, buckets_of, weight_of
from rollcast.planner.plan.models import Plan
from rollcast.planner.routing.split import PAUSED, Router, flag_key, flag_of
from rollcast.policies.strategies import plans

SEGMENTS = ("internal", "beta", "power", "consumer")
ATTRIBUTES = st.fixed_dictionaries(
    {},
    optional={
        "segment": st.sampled_from(SEGMENTS),
        "region": st.sampled_from(("eu", "us", "nz")),
        "regulatory_domain": st.sampled_from(("medical", "none")),
        "request_family": st.sampled_from(("experiments", "chat")),
        "snr_db": st.integers(-5, 40) | st.floats(0, 40, allow_nan=False),
        "editor_version": st.sampled_from(("1.79.3", "1.80.0", "2.0.0", "old")),
    },
)
KEYS = st.text(min_size=1, max_size=12)


def predicates() -> st.SearchStrategy[dict[str, Any]]:
    """Predicates of every operator, nested."""
    text = st.sampled_from(("segment", "region"))
    leaf = st.one_of(
        st.dictionaries(text, st.sampled_from((*SEGMENTS, "eu", "us")), min_size=1, max_size=2),
        st.dictionaries(text, st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=2), min_size=1, max_size=1),
        st.builds(lambda v: {"segment": {"not_in": [v]}}, st.sampled_from(SEGMENTS)),
        st.builds(lambda v: {"region": {"starts_with": v}}, st.sampled_from(("e", "eu", "n"))),
        st.builds(lambda v: {"segment": {"ends_with": v}}, st.sampled_from(("al", "a", "er"))),
        st.builds(lambda v: {"snr_db": {"at_least": v}}, st.integers(0, 30)),
        st.builds(lambda v: {"snr_db": {"below": v}}, st.integers(0, 30)),
        st.just({"editor_version": {"min_version": "1.80.0"}}),
    )
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=3).map(lambda found: {"all": found}),
            st.lists(inner, min_size=1, max_size=3).map(lambda found: {"any": found}),
            inner.map(lambda found: {"not": found}),
        ),
        max_leaves=4,
    )


def evaluated(flag: Mapping[str, Any], key: str, attributes: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """(release, channel) that flagd gives a request; (None, None) during a pause."""
    core = FlagdCore()
    core.set_flags(json.dumps({"flags": {"f": dict(flag)}}))
    context = EvaluationContext(targeting_key=key, attributes=dict(attributes))
    found = core.resolve_object_value("f", {}, context)
    if found.variant == PAUSED:
        return None, None
    assert isinstance(found.value, dict)
    return str(found.value["release"]), str(found.value["channel"])


@given(plans(max_slots=2), st.data())
def test_the_flag_sends_every_request_where_the_router_sends_it(plan: Plan, data: st.DataObject) -> None:
    every = [dict(plan.start), *plan.servings()]
    split = [found for found in every if any(len(shares) > 1 for shares in found.values())]
    serving = data.draw(st.sampled_from(split or every))
    pipeline = data.draw(st.sampled_from(sorted({track.pipeline for track in plan.lines.values()})))
    flag = flag_of(pipeline, plan.lines, serving, plan.releases, plan.audiences)
    router = Router(pipeline, plan.lines, serving, plan.audiences)
    attributes = data.draw(ATTRIBUTES)
    for key in [data.draw(KEYS), *(f"user-{number}" for number in range(20))]:
        routed = router.route(key, attributes)
        release, channel = evaluated(flag, key, attributes)
        assert release == (routed.release if routed else None)
        assert channel == (plan.lines[routed.line].channel if routed else None)


@given(predicates(), ATTRIBUTES)
def test_a_predicate_holds_in_flagd_exactly_when_it_holds_here(predicate: dict[str, Any], attributes: dict) -> None:
    from rollcast.planner.base.audiences import targeting

    flag = {
        "state": "ENABLED",
        "variants": {"yes": {"release": "yes", "channel": "c"}, "no": {"release": "no", "channel": "c"}},
        "defaultVariant": "no",
        "targeting": {"if": [targeting(parse(predicate)), "yes", "no"]},
    }
    assert evaluated(flag, "key", attributes)[0] == ("yes" if matches(parse(predicate), attributes) else "no")


@given(predicates(), ATTRIBUTES)
def test_what_matches_a_request_is_never_called_impossible(predicate: dict[str, Any], attributes: dict) -> None:
    rule = parse(predicate)
    assert satisfiable([(rule, matches(rule, attributes))])


@given(st.lists(KEYS, max_size=50), st.text(max_size=8))
def test_buckets_of_many_keys_are_the_buckets_of_each(keys: list[str], salt: str) -> None:
    assert buckets_of(salt, keys).tolist() == [bucket_of(salt, key) for key in keys]


@given(plans(max_slots=2), KEYS, ATTRIBUTES)
def test_nobody_is_moved_back_while_a_group_advances(plan: Plan, key: str, attributes: dict) -> None:
    """Within the stages of one group, whoever is served by the new release keeps it."""
    for track in plan.lines.values():
        reached: dict[str, set[str]] = {}
        for milestone, serving in zip(plan.milestones, plan.servings(), strict=True):
            routed = Router(track.pipeline, plan.lines, serving, plan.audiences).route(key, attributes)
            if (
                routed is None
                or track.id not in milestone.lines
                or milestone.audience is None
                or routed.line != track.id
            ):
                continue
            new = next(o.release for o in plan.operations_of(milestone.index) if o.line == track.id)
            if new in reached.setdefault(milestone.step, set()):
                assert routed.release == new, "moved back"
            if routed.release == new:
                reached[milestone.step].add(str(new))


def test_a_thousandth_of_a_percent_is_the_finest_weight() -> None:
    assert weight_of(0.001) == 1
    assert weight_of(100) == 100_000


def test_the_key_of_a_flag_is_that_of_its_pipeline() -> None:
    assert flag_key("support") == "rollcast-support"
