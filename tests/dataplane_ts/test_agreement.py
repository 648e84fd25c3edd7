"""What the TypeScript kit evaluates is what the planner says: any plan's flag, audience, key and content digest."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rollcast.planner.base import keys
from rollcast.planner.base.audiences import matches, parse, targeting
from rollcast.planner.plan.models import Plan
from rollcast.planner.routing.split import Router, flag_key
from rollcast.policies.strategies import plans
from rollcast.stacks.flags import definitions
from rollcast.stacks.flags.definitions import compiled, content_digest
from tests.dataplane.releasing import FLAG, NEW, NO_DEFINITIONS, OLD, PIPELINE, flag, text_of
from tests.planner.test_split import ATTRIBUTES, predicates

Ask = Callable[..., dict[str, Any]]
TEXTS = st.text(st.characters(codec="utf-8"), max_size=6)
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner),
    max_leaves=8,
)  # fmt: skip


@pytest.fixture(scope="module")
def ask(kit: Path) -> Iterator[Ask]:
    """Evaluates a definition in node."""
    words = ["node", str(kit / "dist" / "test" / "apps" / "evaluating.js")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8") as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def asked(text: str, key: Any = "ann", attributes: Any = None, pipeline: str = PIPELINE) -> dict[str, Any]:
            asked_for = {"text": text, "pipeline": pipeline, "key": key, "attributes": attributes or {}}
            process.stdin.write(json.dumps(asked_for, allow_nan=False) + "\n")
            process.stdin.flush()
            found: dict[str, Any] = json.loads(process.stdout.readline())
            return found

        yield asked
        process.stdin.close()


@given(plans(max_slots=2), st.data())
def test_a_flag_of_any_plan_serves_whom_the_router_says(ask: Ask, plan: Plan, data: st.DataObject) -> None:
    serving = data.draw(st.sampled_from([dict(plan.start), *plan.servings()]))
    pipeline = data.draw(st.sampled_from(sorted({line.pipeline for line in plan.lines.values()})))
    made, _ = compiled(pipeline, plan.lines, serving, plan.releases, plan.audiences)
    text = json.dumps({"flags": {flag_key(pipeline): made}})
    router, attributes = Router(pipeline, plan.lines, serving, plan.audiences), data.draw(ATTRIBUTES)
    for key in ("user-1", "user-2", data.draw(st.text(st.characters(codec="utf-8"), min_size=1, max_size=8))):
        found = ask(text, key, attributes, pipeline)
        assert found["content"] == made["metadata"][definitions.CONTENT]
        routed = router.route(key, attributes)
        if routed is None:
            assert found["kind"] == "NoRelease"
        else:
            assert (found.get("release"), found["channel"]) == (routed.release, plan.lines[routed.line].channel)


@example({"tier": [1, True]}, {"tier": True})
@example({"tier": [1]}, {"tier": True})
@example({"tier": [True]}, {"tier": 1})
@example({"tier": [""]}, {})
@given(predicates(), ATTRIBUTES)
def test_an_audience_holds_exactly_when_the_planner_says(ask: Ask, predicate: dict[str, Any], attributes: Any) -> None:
    rule = {"if": [targeting(parse(predicate)), NEW.id, OLD.id]}
    found = ask(text_of({**flag(50), "targeting": rule}), "ann", attributes)
    assert found["release"] == (NEW.id if matches(parse(predicate), attributes) else OLD.id)


@given(JSONS)
def test_content_has_the_same_digest_whatever_is_in_it(ask: Ask, value: Any) -> None:
    made = flag(10)
    made["variants"][NEW.id]["parameters"] = {"value": value}
    for text in (text_of(made), json.dumps({"flags": {FLAG: made}}, indent=1, ensure_ascii=False)):
        assert ask(text)["content"] == content_digest(made)


@pytest.mark.parametrize("number", [
    "1", "1.0", "1.50", "1e2", "1E-7", "-0", "-0.0", "100000000000000000000000", "1e16", "0.0001",
])  # fmt: skip
def test_content_has_the_same_digest_however_a_number_is_written(ask: Ask, number: str) -> None:
    made = flag(10)
    made["variants"][NEW.id]["parameters"] = {"value": "HERE"}
    text = text_of(made).replace('"HERE"', number)
    assert ask(text)["content"] == content_digest(json.loads(text)["flags"][FLAG])


@given(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
       | st.text(max_size=8) | st.lists(st.none()) | st.just("x" * 4096) | st.just("x" * 4097)
       | st.just("\U0001f680" * 4096) | st.just("\ud800"))  # fmt: skip
def test_a_key_is_read_as_the_planner_reads_it(ask: Ask, value: Any) -> None:
    try:
        wanted = keys.key_of(value)
    except keys.UnusableKey:
        assert ask(text_of(flag(50)), value)["kind"] == "RefusedKey"
    else:
        assert ask(text_of(flag(50)), value)["key"] == wanted


@given(st.dictionaries(TEXTS, JSONS, max_size=4))
def test_no_attribute_ends_an_evaluation_with_anything_but_a_release(ask: Ask, attributes: dict[str, Any]) -> None:
    audience = {"if": [{"sem_ver": [{"var": "v"}, ">=", "1.0.0"]}, OLD.id, {"in": [{"var": "region"}, ["eu"]]}, NEW.id]}
    found = ask(text_of({**flag(50), "targeting": audience}), "ann", attributes)
    assert found.get("release") in (OLD.id, NEW.id) or found["kind"] == "NoRelease"


UNKNOWN_OPERATOR = json.dumps({"flags": {FLAG: {**flag(10), "targeting": {"if": [{"telepathy": [1]}, NEW.id]}}}})


@pytest.mark.parametrize("text", [*NO_DEFINITIONS, UNKNOWN_OPERATOR])
def test_what_is_no_whole_definition_is_refused_before_anything_is_evaluated(ask: Ask, text: str) -> None:
    assert ask(text)["kind"] == "BadDefinition"
