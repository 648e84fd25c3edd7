"""The page as bytes: the same for the same input, small for a large plan, and its drawings sound for any numbers."""

from __future__ import annotations

import math
import re
from html.parser import HTMLParser

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.reports import large_plan
from rollcast.cli.reports.amounts import amount, duration, percent
from rollcast.cli.reports.charts import Chart, Limit, Point, Ranges, Series, chart_svg, ranges_svg, thin
from rollcast.cli.reports.content import report_of
from rollcast.cli.reports.graph import MOST, boxes_of, frames_of
from rollcast.cli.reports.markdown import markdown_of
from rollcast.cli.reports.subject import Named, Subject
from rollcast.cli.reports.ticks import Scale
from rollcast.planner.plan.models import Plan
from rollcast.policies.strategies import plans
from tests.reports.elsewhere import written_elsewhere
from tests.reports.scenes import example_plan, forecast_for

FINITE = st.floats(min_value=-1e9, max_value=1e9, allow_nan=False)
VOID = {"meta", "link", "input", "br", "img"}


def whole_subject() -> Subject:
    plan = example_plan()
    forecasts = [Named("calm", forecast_for(plan)), Named("busy", forecast_for(plan, promoted=0.5))]
    return Subject(plan, forecasts, command="rollcast report plan.json")


class Balanced(HTMLParser):
    """Fails on an element that is not closed where it must be, and on an id that is there twice."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id" and value is not None:
                assert value not in self.ids, value
                self.ids.add(value)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        return

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def well_formed(page: str) -> None:
    parser = Balanced()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    assert not re.search(r'="[^"]*\b(?:nan|inf)\b', page)


def test_another_process_writes_the_same_page() -> None:
    made = written_elsewhere(__name__, "report_of(whole_subject())")
    assert made == {report_of(whole_subject()).encode()}


@settings(max_examples=15, suppress_health_check=list(HealthCheck))
@given(plans(), st.floats(0, 1))
def test_the_page_of_any_plan_is_well_formed(plan: Plan, promoted: float) -> None:
    well_formed(report_of(Subject(plan)))
    well_formed(report_of(Subject(plan, [Named("forecast", forecast_for(plan, promoted=promoted))])))


@settings(max_examples=15, suppress_health_check=list(HealthCheck))
@given(plans())
def test_every_operation_of_a_small_plan_is_a_box(plan: Plan) -> None:
    frames = frames_of(plan)
    if all(len(plan.operations_of(m.index)) <= MOST // 4 for m in plan.milestones) and len(plan.operations) <= MOST:
        assert sorted(box.key for box in boxes_of(frames)) == sorted(operation.id for operation in plan.operations)


@pytest.mark.slow
def test_the_report_of_ten_thousand_instances_stays_small() -> None:
    plan = large_plan(10_000)
    assert sum(1 for operation in plan.operations if operation.kind == "provision") == 10_000
    page = report_of(Subject(plan))
    assert len(page) < 1_000_000
    well_formed(page)
    assert len(markdown_of(Subject(plan)).encode()) < 65_536


def test_the_report_of_some_hundred_instances_is_no_larger_than_that_of_more() -> None:
    small, large = (len(report_of(Subject(large_plan(count)))) for count in (400, 800))
    assert large < 1.1 * small


@given(st.lists(st.tuples(FINITE, st.floats(0, 1e9)), min_size=1, max_size=60))
def test_a_chart_stays_inside_its_frame(points: list[tuple[float, float]]) -> None:
    ordered = sorted(points)
    band = [(y * 0.5, y * 1.5) for _, y in ordered]
    chart = Chart("t", "s", "x", "y", str, str, [Series("a", ordered, 0, band)], limits=[Limit(1.0, "limit")])
    drawn = str(chart_svg(chart, "c"))
    numbers = [float(n) for path in re.findall(r' d="([^"]*)"', drawn) for n in re.findall(r"-?\d+\.?\d*", path)]
    assert all(-1 <= number <= 761 for number in numbers)


@given(st.lists(st.tuples(FINITE, FINITE, FINITE), min_size=1, max_size=12))
def test_ranges_stay_inside_their_frame(values: list[tuple[float, float, float]]) -> None:
    points = [Point(0, middle, low, high) for low, middle, high in map(sorted, values)]
    drawn = str(ranges_svg(Ranges("t", "s", "x", str, ["a"], [("row", points)], zero=True), "r"))
    assert all(-1 <= float(x) <= 761 for x in re.findall(r'(?:cx|x1|x2)="([^"]+)"', drawn))


def test_an_unbounded_interval_is_drawn_to_the_edge() -> None:
    points = [Point(0, 1.0, -math.inf, math.inf)]
    assert "nan" not in str(ranges_svg(Ranges("t", "s", "x", str, ["a"], [("row", points)]), "r"))


@given(st.lists(st.floats(0, 1e6), min_size=400, max_size=600))
def test_thinning_keeps_the_ends_and_every_extreme(values: list[float]) -> None:
    points = [(float(i), value) for i, value in enumerate(values)]
    kept = thin(points)
    assert len(kept) <= 242
    assert kept[0] == points[0]
    assert kept[-1] == points[-1]
    assert max(y for _, y in kept) == max(values)
    assert min(y for _, y in kept) == min(values)


@given(FINITE, st.floats(1e-6, 1e9), st.booleans())
def test_ticks_are_inside_the_scale_and_not_too_many(low: float, length: float, of_time: bool) -> None:
    scale = Scale(low, low + length, 0, 100)
    if scale.high > scale.low:
        ticks = list(scale.ticks(5, of_time=of_time))
        assert len(ticks) <= 8
        assert all(
            low - 1e-6 * abs(low) - length * 1e-6 <= tick <= scale.high + abs(scale.high) * 1e-6 for tick in ticks
        )


@given(st.floats(0, 1))
def test_a_chance_is_never_rounded_to_certainty(share: float) -> None:
    text = percent(share)
    assert (text == "0 %") == (share == 0)
    assert (text == "100 %") == (share == 1)


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("latency_p95_s", 2.314, "2.31 s"), ("latency_p95_s", 0.42, "420 ms"), ("ttft_p50_s", 0.0018, "1.80 ms"),
        ("violation_rate", 0.0049, "0.49 %"), ("slo_attainment", 0.99, "99.00 %"), ("cost_usd", 0.0034, "0.0034 USD"),
        ("satisfaction", 0.8123, "0.8123"), ("error_rate", None, "–"), ("error_rate", float("inf"), "unbounded"),
    ],
)  # fmt: skip
def test_an_amount_has_the_unit_of_its_name(metric: str, value: float | None, text: str) -> None:
    assert amount(metric, value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (7.25, "7.25 s"), (59.6, "1 min"), (754, "12 min 34 s"), (12000, "3 h 20 min"), (190000, "2 d 4 h")],
)
def test_a_duration_is_said_in_its_two_largest_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text
