"""Every guardrail of the library: what it refuses, what it lets pass, and that it points at the right line."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollcast.planner.declaration.models import Environment, FlagsSettings
from rollcast.planner.plan.models import Serving, SuiteFinding
from rollcast.policies import Judgement, Policy, PolicyError, Review, evaluate, library
from rollcast.policies.strategies import plans
from rollcast.simulator.forecast.models import Detection, Duration, Exposure, Forecast, MetricForecast, OutcomeForecast
from tests.policies.reviews import DECLARED, RELEASED, TODAY, review_of

PRIVACY = """\
channels:
  privacy: {route: {domain: medical}, allowed_regions: [eu], components: {OWN}}
environments:
  prod: {regions: {eu: {labels: [gdpr]}, us: {}}}
""".replace("OWN", "generator: {regions: [eu]}, safety: {regions: [eu]}")


def judged(one: Policy, review: Review) -> Judgement:
    (judgement,) = evaluate(review, [one])
    assert not judgement.broken, judgement.message
    return judgement


def refused(one: Policy, review: Review, *expected: str) -> Judgement:
    judgement = judged(one, review)
    assert not judgement.passed
    assert judgement.findings
    for text in expected:
        assert text in judgement.message
    return judgement


def passes(one: Policy, review: Review) -> None:
    judgement = judged(one, review)
    assert judgement.passed, judgement.message


# ---- how traffic moves --------------------------------------------------------------------------


def rollout(text: str) -> str:
    return DECLARED.replace("  percent: [1, 25, 100]\n", text)


def test_all_at_once_is_refused_outside_development_and_only_there() -> None:
    sudden = rollout("  strategy: all-at-once\n")
    judgement = refused(library.all_at_once(), review_of(sudden), "rollcast.yaml:12:3", "Use 'canary' or 'staged'")
    assert judgement.blocks("plan")
    passes(library.all_at_once(), review_of(sudden + "environments: {local: {development: true}}\n"))
    passes(library.all_at_once(), review_of(sudden, None))
    passes(library.all_at_once(), review_of())
    passes(library.all_at_once(), review_of(rollout("  strategy: blue-green\n")))


def test_a_canary_of_one_step_is_all_at_once_under_another_name() -> None:
    refused(library.all_at_once(), review_of(rollout("  percent: [100]\n")), "serves all of channel default at once")


def test_an_in_place_change_is_not_all_at_once_by_choice() -> None:
    in_place = DECLARED.replace("{artifact: writer@2}", "{artifact: writer@2, in_place: true}")
    released = RELEASED.replace("{artifact: writer@1}", "{artifact: writer@1, in_place: true}")
    passes(library.all_at_once(), review_of(in_place, released))


def test_exposure_of_an_unproved_release_is_limited_but_not_that_of_a_proved_one() -> None:
    passes(library.max_exposure(1), review_of())
    judgement = refused(library.max_exposure(0.5), review_of(), "1 % of everyone", "rollcast.yaml:11:1")
    assert len(judgement.findings) == 1
    assert 'milestone 2 of 5, "1 % of everyone: generator"' in judgement.message


def test_trusted_audiences_may_get_what_is_unproved() -> None:
    staged = rollout(
        "  strategy: staged\n  stages:\n    - {audience: staff, percent: [100]}\n"
        "    - {audience: everyone, percent: [1, 100]}\n"
    ) + "audiences: {staff: {segment: staff}}\n"  # fmt: skip
    refused(library.max_exposure(1), review_of(staged), "100 % of staff")
    passes(library.max_exposure(1, trusted=["staff"]), review_of(staged))


def test_steps_with_gates_bake_as_long_as_required() -> None:
    passes(library.min_bake(60), review_of())
    refused(library.min_bake(3600), review_of(), "bakes for 60 s", "rollcast.yaml:11:1")


def test_a_plan_cut_into_waves_by_capacity_has_a_point_of_no_return_too_early() -> None:
    both = DECLARED.replace("guard@1, up", "guard@2, up").replace("writer@2}", "writer@2, needs: {accelerators: 1}}")
    both = both.replace("upstream: [generator]}", "upstream: [generator], needs: {accelerators: 1}}")
    released = both.replace("writer@2,", "writer@1,").replace("guard@2,", "guard@1,")
    narrow = "environments: {prod: {capacity: {accelerators: 3}}}\n"
    refused(library.rollback_possible(), review_of(both + narrow, released), "there is no rollback", "rollcast.yaml")
    passes(library.rollback_possible(), review_of(both, released))


@settings(max_examples=40)
@given(plans())
def test_no_plan_of_the_planner_has_two_changes_under_analysis(plan: object) -> None:
    passes(library.one_cadence(), replace(review_of(), plan=plan))


def test_two_lines_under_analysis_at_once_are_refused() -> None:
    review = review_of()
    shift = next(m for m in review.plan.milestones if m.percent == 25)
    split = {"default": shift.serving["default"], "other": shift.serving["default"]}
    milestones = [m.model_copy(update={"serving": split}) if m is shift else m for m in review.plan.milestones]
    plan = review.plan.model_copy(update={"milestones": tuple(milestones)})
    refused(library.one_cadence(), replace(review, plan=plan), "default, other")


# ---- where requests go --------------------------------------------------------------------------


def without_line(review: Review, track: str) -> Review:
    """The review of the same plan had it never given the track a release of its own."""
    plan = review.plan
    milestones = [m.model_copy(update={"serving": _less(m.serving, track)}) for m in plan.milestones]
    return replace(
        review, plan=plan.model_copy(update={"milestones": tuple(milestones), "start": _less(plan.start, track)})
    )


def _less(serving: Serving, track: str) -> Serving:
    return {name: shares for name, shares in serving.items() if name != track}


def test_a_channel_that_is_not_released_yet_is_judged_by_what_its_requests_reach_meanwhile() -> None:
    own = PRIVACY
    everywhere = "{artifact: writer@2, regions: [us]}"
    review = review_of(DECLARED.replace("{artifact: writer@2}", everywhere) + own, RELEASED + own)
    passes(library.residency(), review)
    refused(library.residency(), without_line(review, "privacy"), "channel privacy", "outside eu")


def test_a_regulatory_domain_holds_whichever_line_takes_the_request() -> None:
    rule = library.regulatory_domain("domain", "medical", labels=["gdpr"])
    passes(rule, review_of(DECLARED + PRIVACY))
    forgot = (DECLARED + PRIVACY).replace("domain: medical", "domain: banking").replace(", allowed_regions: [eu]", "")
    elsewhere = forgot.replace("{artifact: writer@2}", "{artifact: writer@2, regions: [us]}")
    refused(rule, review_of(elsewhere), "domain=medical may reach channel default", "rollcast.yaml:9:15")


def test_an_index_serves_beside_the_embedder_that_made_it_or_one_declared_compatible() -> None:
    behind = RELEASED.replace("artifacts:\n", "artifacts:\n" + "".join(
        f"  - {{kind: embedding-model, name: e, version: '{v}', provides: {{space: s}}}}\n" for v in "12")
        + "  - {kind: retrieval-index, name: kb, version: '1', derived_from: [e@1]}\n")  # fmt: skip
    behind = behind.replace(
        "components:\n", "components:\n  e: {artifact: e@1}\n  kb: {artifact: kb@1, upstream: [e]}\n"
    )
    changed = behind.replace("artifact: e@1}", "artifact: e@2}")
    rule = library.index_with_its_embedder()
    passes(rule, review_of(behind, changed))
    refused(rule, review_of(changed, behind), "kb@1 was derived from e@1", "e@2 embeds")
    passes(rule, review_of(*(text.replace("[e@1]}", "[e@1], requires: {space: s}}") for text in (changed, behind))))


def test_who_was_served_under_a_safety_policy_is_never_served_without_one() -> None:
    rule = library.safety_policy_kept()
    passes(rule, review_of())
    bare, bare_before = (re.sub(r"\n  safety: \{[^\n]*", "", text) for text in (DECLARED, RELEASED))
    judgement = refused(rule, review_of(bare), "would serve channel default without a safety policy; guard@1 guards it")
    assert judgement.blocks("plan")
    passes(rule, review_of(bare, bare_before))
    renamed = DECLARED.replace("  safety: {", "  filter: {")
    passes(rule, review_of(renamed))


def test_requests_that_go_to_another_line_keep_a_safety_policy() -> None:
    """The channel that takes them has none, whether it is new or only takes more requests than before."""
    rule = library.safety_policy_kept()

    def with_channel(text: str, domains: str) -> str:
        none = "channels:\n  lab: {route: {domain: [DOMAINS]}, components: {safety: {artifact: writer@1}}}\n"
        return text + none.replace("DOMAINS", domains)

    new = review_of(with_channel(DECLARED, "physics"), RELEASED)
    refused(rule, new, "channel lab without a safety policy")
    wider = review_of(with_channel(RELEASED, "physics, medical"), with_channel(RELEASED, "physics"))
    refused(rule, wider, "requests of channel default would go to lab", "guard@1 guards them today")
    passes(rule, review_of(with_channel(RELEASED, "physics"), with_channel(RELEASED, "physics")))


def test_whoever_goes_to_another_line_goes_by_stages() -> None:
    rule = library.moved_by_stages()
    review = review_of(RELEASED + PRIVACY.replace("medical", "[medical, legal]"), RELEASED + PRIVACY)
    refused(rule, review, "requests of default", "all at once", "privacy does not allow where they are served")
    passes(rule, review_of(RELEASED + PRIVACY, RELEASED + PRIVACY))


def test_the_privacy_channel_reaches_nothing_experimental_though_others_may() -> None:
    rule = library.privacy_never_experimental()
    trial = DECLARED.replace('"2", provides: {format: "1"}}', '"2", provides: {format: "1"}, experimental: true}')
    passes(rule, review_of(trial))
    refused(rule, review_of(trial + PRIVACY, RELEASED + PRIVACY), "channel privacy", "writer@2")
    spared = PRIVACY.replace("generator: {", "generator: {artifact: writer@1, ")
    review = review_of(trial + spared, RELEASED + PRIVACY)
    passes(rule, review)
    refused(rule, without_line(review, "privacy"), "channel privacy", "writer@2")


# ---- what a release is made of ------------------------------------------------------------------

BOTH = DECLARED.replace("guard@1, up", "guard@2, up")


def test_a_capability_does_not_ship_before_the_safety_policy_that_was_written_for_it() -> None:
    judgement = refused(library.safety_before_capability(), review_of(BOTH), "writer@2 would serve 1 % of everyone")
    assert judgement.findings[0].place == "rollcast.yaml:9:15"
    passes(
        library.safety_before_capability(),
        review_of(BOTH.replace("rollout:\n", "rollout:\n  ship_together: [[generator, safety]]\n")),
    )
    stricter = BOTH.replace(
        '"2", requires: {format: ">=1"}}', '"2", requires: {format: ">=1"}, provides: {strict: "2"}}'
    )
    required = stricter.replace(
        '"2", provides: {format: "1"}}', '"2", provides: {format: "1"}, requires: {strict: {value: ">=2", of: safety}}}'
    )
    passes(library.safety_before_capability(), review_of(required))
    passes(library.safety_before_capability(), review_of())


def evaluated(measured: str) -> str:
    counts = f"evaluations: {{error_rate: {{failures: 1, total: 90, measured: '{measured}'}}}}"
    return DECLARED.replace('"2", provides: {format: "1"}}', f'"2", provides: {{format: "1"}}, {counts}}}')


@given(st.integers(-5, 200))
def test_an_evaluation_is_fresh_for_as_long_as_required_and_never_from_the_future(age: int) -> None:
    review = review_of(evaluated((TODAY - timedelta(days=age)).isoformat()))
    assert judged(library.evaluation_fresh(90), review).passed is (0 <= age <= 90)


def test_an_evaluation_must_be_there_dated_and_of_the_metrics_required() -> None:
    refused(library.evaluation_fresh(), review_of(), "writer@2 has no evaluation", "rollcast.yaml:5:5")
    refused(
        library.evaluation_fresh(metrics=["violation_rate"]), review_of(evaluated("2026-11-20")), "of violation_rate"
    )
    refused(library.evaluation_fresh(), review_of(evaluated("2026-02-31")), "a date of error_rate that is none")
    suite = 'artifacts:\n  - {kind: evaluation-suite, name: cases, version: "1"}\n'
    run = DECLARED.replace("artifacts:\n", suite) + "  evaluate: [{suite: cases@1, thresholds: {accuracy: 0.9}}]\n"
    passes(library.evaluation_fresh(), review_of(run))


def test_lineage_goes_down_to_a_dataset_that_can_be_found() -> None:
    rule = library.lineage_complete(["model-weights"])
    refused(rule, review_of(), "writer@2: no dataset is among its ancestors", "rollcast.yaml:5:5")
    derived = DECLARED.replace(
        '"2", provides: {format: "1"}}', '"2", provides: {format: "1"}, derived_from: [texts@1]}'
    )
    bare = derived.replace("artifacts:\n", 'artifacts:\n  - {kind: dataset, name: texts, version: "1"}\n')
    refused(rule, review_of(bare), "texts@1 has neither source, build nor digest")
    passes(rule, review_of(bare.replace("name: texts,", "name: texts, source: 'file:texts',")))


def test_what_serves_is_pinned_and_pinned_alike() -> None:
    rule = library.pinned_digests()
    locked = {"writer@2": "sha256:" + "1" * 64, "guard@1": "sha256:" + "2" * 64}
    refused(rule, review_of(), "writer@2 is not pinned", "rollcast lock")
    passes(rule, replace(review_of(), digests=locked))
    other = DECLARED.replace(
        '"2", provides: {format: "1"}}', f'"2", provides: {{format: "1"}}, digest: "sha256:{"3" * 64}"}}'
    )
    passes(rule, replace(review_of(other), digests={"guard@1": locked["guard@1"]}))


def test_what_was_typed_is_no_evaluation_of_this_content() -> None:
    rule = library.evaluated_on_this_content()
    typed = DECLARED.replace(
        '"2", provides: {format: "1"}}', '"2", provides: {format: "1"}, evaluations: {e: {failures: 0, total: 9}}}'
    )
    review = review_of(typed)
    refused(rule, review, "writer@2 changes in", "no suite was run on it", "rollcast evaluate")
    [release] = review.plan.to_release.values()
    found = SuiteFinding(release=release, suite="s@1", measured="2026-11-01", cases=9)
    passes(rule, replace(review, plan=review.plan.model_copy(update={"evaluations": (found,)})))
    stale = found.model_copy(update={"stale": "its dataset has changed"})
    refused(
        rule, replace(review, plan=review.plan.model_copy(update={"evaluations": (stale,)})), "its dataset has changed"
    )


def test_licences_are_those_of_what_serves_and_of_what_made_it() -> None:
    rule = library.licences(["Apache-2.0", "MIT"], kinds=["model-weights", "dataset"])
    refused(rule, review_of(), "writer@2 declares no licence", "rollcast.yaml:5:5")
    own = DECLARED.replace(
        '"2", provides: {format: "1"}}', '"2", provides: {format: "1"}, license: MIT, derived_from: [t@1]}'
    )
    made = own.replace(
        "artifacts:\n", 'artifacts:\n  - {kind: dataset, name: t, version: "1", license: CC-BY-NC-4.0}\n'
    )
    refused(rule, review_of(made), "t@1 has the licence CC-BY-NC-4.0")
    passes(rule, review_of(made.replace("CC-BY-NC-4.0", "Apache-2.0")))


def test_owners_approve_what_is_theirs() -> None:
    rule = library.owner_approval(["model-weights"], owners=["ada"])
    refused(rule, review_of(), "writer@2 has no approval", "rollcast.yaml:5:5")
    by = '"2", provides: {format: "1"}, approved_by: %s}'
    refused(
        rule,
        review_of(DECLARED.replace('"2", provides: {format: "1"}}', by % "bob")),
        "approved by bob",
        "Ask one of ada",
    )
    passes(rule, review_of(DECLARED.replace('"2", provides: {format: "1"}}', by % "ada")))


_RULES = """schema: rollcast/v1
pipeline: chat
artifacts:
  - {kind: model-weights, name: bot, version: "1"}
  - {kind: safety-policy, name: rules, version: "1", approved_by: ada}
components:
  generator: {artifact: bot@1}
  safety: {artifact: rules@1, upstream: [generator]}
"""
_PART = "  safety: {artifact: rules@1, upstream: [generator]}\n"


def test_a_removal_needs_somebody_who_decides_it_and_a_renamed_component_is_none() -> None:
    rule = library.owner_approval(owners=["ada"])
    without = _RULES.replace(_PART, "")
    gone = without.replace('  - {kind: safety-policy, name: rules, version: "1", approved_by: ada}\n', "")
    for declared in (without, gone):
        refused(rule, review_of(declared, _RULES), "rules@1 is removed from channel", "one of ada")
    passes(rule, review_of(_RULES.replace("  safety:", "  guard:"), _RULES))


def test_a_removal_is_seen_on_a_channel_that_ends_with_it() -> None:
    rules = '  - {kind: safety-policy, name: rules, version: "1", approved_by: ada}\n'
    strict = rules.replace("rules", "strict")
    channel = "channels:\n  careful: {route: {segment: careful}, components: {safety: {artifact: strict@1}}}\n"
    before = _RULES.replace(rules, rules + strict) + channel
    after = _RULES.replace(_PART, "").replace(rules, "")
    judgement = refused(library.owner_approval(owners=["ada"]), review_of(after, before), "rules@1 is removed")
    assert any("strict@1 is removed from channel careful" in finding.message for finding in judgement.findings)


# ---- when ---------------------------------------------------------------------------------------


@given(st.dates(date(2026, 12, 1), date(2027, 1, 31)))
def test_a_freeze_lasts_from_its_first_to_its_last_day(today: date) -> None:
    rule = library.change_freeze([("2026-12-20", "2027-01-02")])
    frozen = date(2026, 12, 20) <= today <= date(2027, 1, 2)
    assert judged(rule, replace(review_of(), today=today)).passed is not frozen


def test_nothing_changes_on_a_frozen_weekday_unless_nothing_changes() -> None:
    rule = library.change_freeze(weekdays=["tuesday"])
    refused(rule, review_of(), "Tuesday")
    passes(rule, review_of(DECLARED, DECLARED))
    passes(rule, review_of(DECLARED + "environments: {local: {development: true}}\n"))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"windows": [("2026-12-20", "soon")]}, "write YYYY-MM-DD"),
        ({"windows": [("2027-01-02", "2026-12-20")]}, "exchange the two"),
        ({"weekdays": ["freitag"]}, "Did you mean 'friday'"),
    ],
)
def test_a_freeze_that_can_never_hold_is_refused_when_it_is_configured(
    options: dict[str, object], expected: str
) -> None:
    with pytest.raises(PolicyError, match=expected):
        library.change_freeze(**options)  # type: ignore[arg-type]


# ---- the whole library --------------------------------------------------------------------------


def factories() -> list[str]:
    return [name for name in library.__all__ if name != "defaults"]


@pytest.mark.parametrize("name", factories())
def test_every_guardrail_says_why_it_is_there(name: str) -> None:
    assert "Why:" in (inspect.getdoc(getattr(library, name)) or "")


@settings(max_examples=40)
@given(plans())
def test_the_default_guardrails_judge_every_plan_without_breaking(plan: object) -> None:
    for judgement in evaluate(replace(review_of(), plan=plan), library.defaults()):
        assert not judgement.broken, judgement.message


def test_calling_a_guardrail_replaces_the_default_one_of_its_name() -> None:
    assert {one.name for one in library.defaults()} >= {"all-at-once", "max-exposure", "residency"}
    assert library.max_exposure().name == "max-exposure"


# ---- the forecast -------------------------------------------------------------------------------


def forecast_of(review: Review, *metrics: MetricForecast, detection: Sequence[Detection] = ()) -> Review:
    """The review with a forecast of its plan."""
    forecast = Forecast(
        plan_digest=review.plan.digest, seed=1, runs=1, engine="simpy", metrics=metrics, detection=tuple(detection),
        outcome=OutcomeForecast(promoted=1, rolled_back=0, held=0), duration_s=Duration(p50=1, p95=1), requests=1,
        exposure=Exposure(requests=1, users=1),
    )  # fmt: skip
    return replace(review, forecast=forecast)


def metric(name: str, rollout: float | None, upper: float = 0.0, ok: bool = True) -> MetricForecast:
    return MetricForecast(
        name=name, audience="everyone", baseline=1.0, rollout=rollout, difference=0.0, interval=(0.0, upper), ok=ok
    )


def caught(regression: float, probability: float) -> Detection:
    return Detection(metric="error_rate", regression=regression, probability=probability, seconds=1, requests_exposed=1)


NEED_A_FORECAST = (
    library.forecast_within_limits(),
    library.latency_budget(most_s=1),
    library.cost_budget(most_usd=1),
    library.detection_power(),
)


@pytest.mark.parametrize("rule", NEED_A_FORECAST, ids=lambda rule: rule.name)
def test_without_a_forecast_of_this_plan_nothing_is_judged_and_apply_is_forbidden(rule: Policy) -> None:
    other = replace(forecast_of(review_of()), plan=review_of(BOTH).plan)
    for review in (review_of(), other):
        judgement = judged(rule, review)
        assert not judgement.judged
        assert not judgement.passed
        assert judgement.message.startswith("not judged: ")
        assert [judgement.blocks(command) for command in ("plan", "simulate", "apply")] == [False, False, True]


def test_what_is_forecast_beyond_its_limit_is_refused() -> None:
    rule = library.forecast_within_limits()
    passes(rule, forecast_of(review_of(), metric("error_rate", 1.0)))
    refused(rule, forecast_of(review_of(), metric("error_rate", 1.5, ok=False)), "error_rate of everyone", "1.5")


def test_a_budget_holds_for_the_upper_end_of_the_interval_and_for_a_metric_that_is_there() -> None:
    rule = library.latency_budget(most_s=1.5)
    passes(rule, forecast_of(review_of(), metric("latency_p95_s", 1.2, upper=0.4)))
    refused(rule, forecast_of(review_of(), metric("latency_p95_s", 1.2, upper=0.6)), "up to 1.6 s")
    refused(rule, forecast_of(review_of(), metric("cost_usd", 1.0)), "has no latency_p95_s", "cost_usd")
    refused(rule, forecast_of(review_of(), metric("latency_p95_s", None)), "has no value")
    refused(library.cost_budget(most_usd=0.5), forecast_of(review_of(), metric("cost_usd", 1.0)), "0.5 is the budget")


def test_a_rollout_that_would_not_see_a_regression_is_refused() -> None:
    known = [caught(0.01, 0.4), caught(0.05, 0.95)]
    passes(library.detection_power(), forecast_of(review_of(), detection=known))
    refused(library.detection_power(regression=0.01), forecast_of(review_of(), detection=known), "by 0.01", "0.40")
    refused(library.detection_power(regression=0.1), forecast_of(review_of(), detection=known), "as large as 0.1")
    refused(
        library.detection_power(metrics=["satisfaction"]), forecast_of(review_of(), detection=known), "satisfaction"
    )


def test_requests_that_vanish_are_counted_by_something() -> None:
    rule = library.completeness_judged()
    refused(rule, review_of(), "Completeness can't be judged", "'endpoint' of every replica")
    counted = review_of()
    target = counted.plan.settings.target.model_copy(update={"endpoint": ("http://127.0.0.1:9",)})
    settings = counted.plan.settings.model_copy(update={"target": target})
    passes(rule, replace(counted, plan=counted.plan.model_copy(update={"settings": settings})))
    split = Environment(flags=FlagsSettings(endpoint=("http://127.0.0.1:9",)))
    passes(rule, replace(counted, plan=counted.plan.model_copy(update={"settings": split})))
    ungated = counted.plan.model_copy(
        update={"milestones": tuple(each.model_copy(update={"gates": ()}) for each in counted.plan.milestones)}
    )
    passes(rule, replace(counted, plan=ungated))
