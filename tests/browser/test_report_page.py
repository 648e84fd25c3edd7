"""The report in a real browser: it fetches nothing, works by keyboard, prints, and is accessible in light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import expect

from rollcast.cli.reports.content import report_of
from rollcast.cli.reports.subject import Named, Subject, reality_of
from rollcast.planner.plan.models import Plan
from rollcast.planner.releases.changes import Change
from rollcast.stacks.ledger.rollouts import ledger_of
from rollcast.stacks.project import Project
from tests.browser.conftest import Open
from tests.reports.scenes import example_plan, forecast_for, project_copy, rollout_in

HOSTILE = "\"'><script>window.pwned=1</script><img src=x onerror=window.pwned=1>{{7*7}}</svg></style>\u202e\x1b[2J"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with everything in it: two forecasts, guardrails, and a rollout that has run."""
    folder = tmp_path_factory.mktemp("report")
    project = project_copy(folder / "project")
    plan = example_plan().model_copy(
        update={
            "guardrails": (
                {"policy": "residency", "level": "mandatory", "passed": True},
                {"policy": "small-steps", "level": "advisory", "passed": False, "message": "the first step is 10 %."},
            )
        }
    )
    work = rollout_in(project, len(plan.milestones), "promoted", plan)
    reality = reality_of(ledger_of(Project.open(project)).records(), work.id)
    forecasts = [Named("calm", forecast_for(plan)), Named("busy", forecast_for(plan, promoted=0.6, slower=1.5))]
    path = folder / "report.html"
    path.write_text(report_of(Subject(plan, forecasts, reality, "rollcast report plan.json")), "utf-8")
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_is_accessible_and_fetches_nothing(
    open_page: Open, report: Path, axe: Path, scheme: Literal["light", "dark"]
) -> None:
    seen = open_page(report.as_uri(), scheme)
    seen.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    assert seen.requests == [report.as_uri()]
    assert seen.messages == []
    assert seen.violations(axe) == []


def test_every_part_of_the_report_is_there(open_page: Open, report: Path) -> None:
    page = open_page(report.as_uri()).page
    names = [heading.inner_text() for heading in page.get_by_role("heading", level=2).all()]
    assert names[1:] == [
        "Reality", "What changes", "Now and after", "What if", "Traffic and latency", "Exposure", "Detection power",
        "Guardrails", "Plan", "Capacity", "What it rests on", "Reproduce",
    ]  # fmt: skip
    titles = [heading.inner_text() for heading in page.locator("figure h3").all()]
    wanted = {
        "What really happened, over the forecast", "Traffic and split over time", "Latency by stage",
        "Evidence of the gates, as the forecast expects it", "Exposure over time", "How it ends",
        "Evidence of harm over time", "What the gates see over time", "Split over time, in all runs",
    }  # fmt: skip
    assert wanted <= set(titles)


def test_the_graph_works_by_keyboard(open_page: Open, report: Path) -> None:
    page = open_page(report.as_uri()).page
    boxes = page.locator("svg.graph .box")
    assert boxes.count() == len(example_plan().operations)
    boxes.first.focus()
    page.keyboard.press("ArrowRight")
    focused = page.evaluate("document.activeElement.dataset.key")
    assert focused == boxes.nth(1).get_attribute("data-key")
    assert page.locator("svg.graph .box.here").count() > 1
    expect(page.locator("[data-detail]")).to_contain_text("after")
    page.keyboard.press("Enter")
    row = page.locator("tr:target")
    expect(row).to_be_visible()
    expect(row).to_be_focused()


def test_a_chart_is_read_by_the_arrow_keys(open_page: Open, report: Path) -> None:
    page = open_page(report.as_uri()).page
    figure = page.locator("#latency")
    figure.locator("svg.chart").focus()
    expect(figure.locator(".reading")).to_contain_text("latency_p95_s")
    before = figure.locator(".reading").inner_text()
    page.keyboard.press("ArrowRight")
    assert figure.locator(".reading").inner_text() != before
    page.keyboard.press("Escape")
    expect(figure.locator(".reading")).to_have_count(0)


def test_the_operations_can_be_searched(open_page: Open, report: Path) -> None:
    page = open_page(report.as_uri()).page
    page.get_by_text("Operations", exact=True).first.click()
    page.get_by_role("searchbox").fill("retire")
    expect(page.locator("[data-found]")).to_have_text("6 found")  # five retirements, and the drain before them


def test_the_first_tab_leads_past_the_navigation(open_page: Open, report: Path) -> None:
    page = open_page(report.as_uri()).page
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the report")).to_be_focused()


def test_the_reader_can_choose_the_colours(open_page: Open, report: Path) -> None:
    page = open_page(report.as_uri(), "light").page
    colour = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(colour)
    page.get_by_role("button", name="Switch to dark colours").click()
    assert page.evaluate(colour) != light


def test_a_narrow_screen_never_scrolls_sideways(open_page: Open, report: Path) -> None:
    page = open_page(report.as_uri(), width=360).page
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_paper_shows_what_is_folded_in_dark_ink(open_page: Open, report: Path) -> None:
    page = open_page(report.as_uri(), "dark").page
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert not page.get_by_role("navigation").is_visible()
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open]):visible").count() == 0
    assert page.locator("#plan table tbody tr").first.is_visible()
    assert page.locator(".signatures").is_visible()
    graph, sheet_mm = page.locator("svg.graph").first.bounding_box(), 297 - 16 - 18
    assert graph is not None
    assert graph["height"] < sheet_mm * 96 / 25.4, "a plan is drawn on one sheet"
    page.emulate_media(media="screen")
    assert not page.locator(".signatures").is_visible()


def test_without_a_script_everything_can_be_read(open_page: Open, report: Path, tmp_path: Path) -> None:
    text = report.read_text("utf-8")
    bare = tmp_path / "bare.html"
    bare.write_text(text[: text.rindex("<script>")] + text[text.rindex("</script>") + 9 :], "utf-8")
    page = open_page(bare.as_uri()).page
    assert page.locator("svg.chart").count() > 6
    page.locator("svg.graph .box").first.click()
    expect(page.locator("tr:target")).to_be_visible()


def hostile_plan() -> Plan:
    """A plan whose every free text attacks the page."""
    plan = example_plan()
    changes = [
        Change(line=HOSTILE, component=HOSTILE, action="replace", to=HOSTILE, reason=HOSTILE, **{"from": HOSTILE})
    ]
    operations = tuple(
        o.model_copy(update={"why": HOSTILE, "component": HOSTILE, "id": o.id + HOSTILE}) for o in plan.operations
    )
    milestones = tuple(m.model_copy(update={"title": HOSTILE, "step": HOSTILE}) for m in plan.milestones)
    rule = {"policy": HOSTILE, "level": "mandatory", "passed": False, "message": HOSTILE}
    changed = {"pipeline": HOSTILE, "environment": HOSTILE, "notes": (HOSTILE,), "changes": tuple(changes),
               "operations": operations, "milestones": milestones, "guardrails": (rule,)}  # fmt: skip
    return plan.model_copy(update=changed)


def test_hostile_names_are_only_text(open_page: Open, tmp_path: Path) -> None:
    plan = hostile_plan()
    forecast = forecast_for(plan)
    hostile = forecast.model_copy(
        update={
            "assumptions": (HOSTILE,), "warnings": (HOSTILE,), "traffic": HOSTILE,
            "metrics": tuple(m.model_copy(update={"name": HOSTILE, "audience": HOSTILE}) for m in forecast.metrics),
            "timeline": tuple(m.model_copy(update={"releases": {HOSTILE: 3}}) for m in forecast.timeline),
        }
    )  # fmt: skip
    path = tmp_path / "report.html"
    path.write_text(
        report_of(Subject(plan, [Named(HOSTILE, forecast), Named(HOSTILE, hostile)], None, HOSTILE)), "utf-8"
    )
    seen = open_page(path.as_uri())
    assert seen.page.evaluate("window.pwned") is None
    assert seen.page.locator("img").count() == 0
    assert seen.page.locator("script").count() == 1
    assert seen.messages == []
    assert "\x1b" not in path.read_text("utf-8")
    assert "\u202e" not in path.read_text("utf-8")
    assert "49" not in seen.page.locator("h1").inner_text()


def test_a_script_that_slipped_in_would_not_run(open_page: Open, report: Path, tmp_path: Path) -> None:
    path = tmp_path / "tampered.html"
    foreign = "<script>window.pwned=1</script><b onmouseover='window.pwned=1' id='foreign'>x</b></main>"
    path.write_text(report.read_text("utf-8").replace("</main>", foreign), "utf-8")
    seen = open_page(path.as_uri())
    seen.page.locator("#foreign").hover()
    assert seen.page.evaluate("window.pwned") is None
    assert any("Content Security Policy" in message for message in seen.messages)
