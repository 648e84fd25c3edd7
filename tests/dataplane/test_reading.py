"""What is read: keys, headers and definitions, by the rules of the planner and the vectors of the specification."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcast.planner.base import buckets, keys
from rollcast.planner.plan.models import Plan
from rollcast.planner.routing.split import Router, flag_key
from rollcast.policies.strategies import plans
from rollcast.stacks.flags import definitions
from rollcast.stacks.flags.definitions import compiled
from rollcast_dataplane.definitions import BUCKETING, Definition, content_digest
from rollcast_dataplane.errors import BadDefinition, NoRelease, RefusedKey, UnknownRelease
from rollcast_dataplane.keys import chosen, key_of
from rollcast_dataplane.propagation import BAGGAGE, HEADER, LONGEST_BAGGAGE, added, incoming, members_of, outgoing
from tests.dataplane.releasing import NEW, NO_DEFINITIONS, OLD, PIPELINE, flag, text_of
from tests.planner.test_split import ATTRIBUTES

SPEC = Path(__file__).parents[2] / "spec"
TEXTS = st.text(st.characters(codec="utf-8") | st.characters(categories=["Cs"]), max_size=12)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.integers(10**399, 10**400 - 1)
ANYTHING = SCALARS | st.lists(SCALARS, max_size=2) | st.just("x" * 5000)
PROPAGATION = json.loads((SPEC / "vectors" / "propagation.json").read_text("utf-8"))


@given(ANYTHING)
def test_a_key_is_read_as_the_planner_reads_it(value: Any) -> None:
    try:
        wanted = keys.key_of(value)
    except keys.UnusableKey:
        with pytest.raises(RefusedKey):
            key_of(value)
    else:
        assert key_of(value) == wanted


@given(SCALARS, SCALARS, SCALARS)
def test_anonymous_requests_have_a_key_of_their_own_that_is_no_users(user: Any, session: Any, device: Any) -> None:
    try:
        key, kind = chosen(user, session, device, "r1")
        names = [key_of(each) for each in (user, session, device)]
    except RefusedKey:
        return
    first = next((place for place, name in enumerate(names) if name), 3)
    assert kind == ("user", "session", "device", "request")[first]
    assert key == (names[0] if first == 0 else f"{kind}:{[*names, 'r1'][first]}")


@pytest.mark.parametrize("case", PROPAGATION["cases"], ids=lambda case: f"{case['point']} {case['name']}")
def test_headers_travel_as_the_vectors_say(case: dict[str, Any]) -> None:
    known = set(PROPAGATION["known"])
    try:
        given_release, others = incoming(case["in"].get(HEADER, ""), case["in"].get(BAGGAGE, ""), case["trusted"])
        if given_release is not None and given_release not in known:
            raise UnknownRelease(given_release)
    except UnknownRelease:
        assert case["status"] == 503
        return
    served = given_release or case["resolves_to"]
    assert case["status"] == 200
    assert served == case["served"]
    assert outgoing(served, others) == case["out"]


@given(st.text(max_size=60), st.text(max_size=60), st.booleans())
def test_no_header_breaks_the_reader_and_none_from_outside_chooses(header: str, baggage: str, trusted: bool) -> None:
    try:
        found, others = incoming(header, baggage, trusted)
    except UnknownRelease:
        assert trusted
        return
    assert trusted or found is None
    assert not members_of(",".join(others))[0]


@given(st.lists(st.from_regex(r"[a-z]{1,8}=[!-+\--:<-~]{0,400}", fullmatch=True), max_size=60))
def test_baggage_never_grows_too_long_and_never_loses_the_release(others: list[str]) -> None:
    found = outgoing("rel-1", others)[BAGGAGE]
    assert len(found) <= LONGEST_BAGGAGE
    assert members_of(found)[0] == ["rel-1"]
    assert members_of(added("rel-2", others, found)[BAGGAGE])[0] == ["rel-2"]


def test_the_evaluator_puts_every_key_of_the_vectors_where_they_say() -> None:
    path = SPEC / "vectors" / "bucketing-flagd-murmur3-32-1.jsonl.gz"
    rows = [row for row in map(json.loads, gzip.decompress(path.read_bytes()).decode().splitlines()) if "key" in row]
    for salt in dict.fromkeys(row["salt"] for row in rows):
        made = flag(25)
        fraction = [{"cat": [salt, {"var": "targetingKey"}]}, [NEW.id, 25_000], [OLD.id, 75_000]]
        found = Definition(text_of({**made, "targeting": {"fractional": fraction}}), PIPELINE)
        for row in rows:
            if row["salt"] == salt:
                assert (found.evaluate(row["key"], {}).id == NEW.id) == (row["bucket"] < 25_000)


@given(plans(max_slots=2), st.data())
def test_a_flag_of_any_plan_serves_whom_the_router_says(plan: Plan, data: st.DataObject) -> None:
    serving = data.draw(st.sampled_from([dict(plan.start), *plan.servings()]))
    pipeline = data.draw(st.sampled_from(sorted({line.pipeline for line in plan.lines.values()})))
    made, _ = compiled(pipeline, plan.lines, serving, plan.releases, plan.audiences)
    found = Definition(json.dumps({"flags": {flag_key(pipeline): made}}), pipeline)
    router, attributes = Router(pipeline, plan.lines, serving, plan.audiences), data.draw(ATTRIBUTES)
    assert found.content == made["metadata"][definitions.CONTENT]
    for number in range(20):
        routed = router.route(f"user-{number}", attributes)
        if routed is None:
            with pytest.raises(NoRelease):
                found.evaluate(f"user-{number}", attributes)
            continue
        served = found.evaluate(f"user-{number}", attributes)
        assert (served.id, served.channel) == (routed.release, plan.lines[routed.line].channel)
        assert served.variant == plan.releases[routed.release].variant(served.channel)
        assert found.known(served.id, served.channel) is served


@given(
    st.dictionaries(st.text(max_size=5), st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3)), max_size=4)
)
def test_no_attribute_ends_an_evaluation_with_anything_but_a_release_or_a_refusal(attributes: dict[str, Any]) -> None:
    audience = {"if": [{"sem_ver": [{"var": "v"}, ">=", "1.0.0"]}, OLD.id, {"in": [{"var": "region"}, ["eu"]]}]}
    found = Definition(text_of({**flag(50), "targeting": audience}), PIPELINE)
    with suppress(NoRelease):
        assert found.evaluate("ann", {**attributes, "v": attributes.get("v", 1)}).id in (OLD.id, NEW.id)


@pytest.mark.parametrize("text", [*NO_DEFINITIONS, '{"flags": ' + "[" * 100_000])
def test_what_is_no_whole_definition_is_refused_before_anything_is_evaluated(text: str) -> None:
    with pytest.raises(BadDefinition):
        Definition(text, PIPELINE)


def test_the_kit_speaks_of_the_same_hash_and_the_same_content_as_the_planner() -> None:
    assert buckets.BUCKETING == BUCKETING
    assert keys.LONGEST == 4096
    assert content_digest(flag(10)) == definitions.content_digest(flag(10))


def test_importing_the_kit_brings_nothing_heavy() -> None:
    """How long it takes is measured by `make bench`; what takes long is what it would bring."""
    code = (
        "import sys; before = len(sys.modules); import rollcast_dataplane, rollcast_dataplane.asgi, "
        "rollcast_dataplane.wsgi, rollcast_dataplane.clients, rollcast_dataplane.course, rollcast_dataplane.caching; "
        "heavy = ('grpc', 'httpx', 'pydantic', 'rollcast', 'starlette', 'sqlite3', 'numpy'); "
        "print(len(sys.modules) - before, [name for name in heavy if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules, brought = found.stdout.split(" ", 1)
    assert brought.strip() == "[]"
    assert int(modules) < 260, "221 of Python's own and the kit's take 0.19 s"
