"""The report of a pull request: the verdict first, everything readable as text, never too long, the same bytes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from rollcast.cli.reports.markdown import LIMIT, markdown_of
from rollcast.cli.reports.subject import Named, Subject
from rollcast.planner.plan.models import Plan
from rollcast.policies.strategies import plans
from tests.reports.elsewhere import written_elsewhere
from tests.reports.scenes import example_plan, forecast_for

COMMAND = "rollcast simulate --from released.yaml --runs 200 --seed 7"
FOLDED = [
    "More to know",
    "Now and after", "What this rollout would catch", "Who is exposed when", "Order of operations", "Guardrails",
    "Cost and capacity", "What the forecast rests on", "How to reproduce",
]  # fmt: skip
MOST_LINES = 60  # that a reviewer sees before anything is unfolded
RULES = (
    {"policy": "residency", "level": "mandatory", "passed": True},
    {"policy": "approved", "level": "mandatory", "passed": False, "message": "index stdlib@2 has no approval."},
    {"policy": "small-steps", "level": "advisory", "passed": False, "message": "the first step is 10 %."},
)


def whole_subject() -> Subject:
    plan = example_plan().model_copy(update={"guardrails": RULES})
    return Subject(plan, [Named("forecast", forecast_for(plan))], command=COMMAND)


def folded(text: str) -> list[str]:
    """The titles of what is folded, up to the figure in them."""
    return [title.partition(":")[0] for title in re.findall(r"<summary>(.*?)</summary>", text)]


def unfolded(text: str) -> list[str]:
    return re.sub(r"<details>.*?</details>\n", "", text, flags=re.DOTALL).splitlines()


def test_the_verdict_comes_first_and_every_part_is_there() -> None:
    text = markdown_of(whole_subject())
    assert text.startswith("## ❌ Blocked by a guardrail: approved\n")
    assert folded(text) == FOLDED
    assert COMMAND in text
    assert "seed 7" in text.splitlines()[-1]


@pytest.mark.parametrize(
    ("promoted", "start"),
    [
        (0.97, "## ✅ Goes through after about 52 min, 194 of 200 runs"),
        (0.7, "## ⚠️ Goes through after about 52 min, 140 of 200 runs"),
        (0.1, "## ❌ Is rolled back after about"),
    ],
)
def test_the_verdict_follows_the_forecast(promoted: float, start: str) -> None:
    plan = example_plan()
    assert markdown_of(Subject(plan, [Named("f", forecast_for(plan, promoted=promoted))])).startswith(start)


def test_without_a_forecast_the_report_says_that_nothing_is_known() -> None:
    text = markdown_of(Subject(example_plan()))
    assert text.startswith("## ⚠️ Not simulated")
    assert "rollcast simulate" in text


def test_an_overridden_guardrail_is_shown_as_failing_and_does_not_block() -> None:
    rule = {**RULES[1], "override": {"policy": "approved", "reason": "agreed", "expires": "2026-12-31"}}
    plan = example_plan().model_copy(update={"guardrails": (rule,)})
    text = markdown_of(Subject(plan, [Named("f", forecast_for(plan))]))
    assert text.startswith("## ✅")
    assert "fails, overridden" in text


def test_everything_is_readable_with_no_picture_loaded() -> None:
    text = markdown_of(whole_subject())
    assert "![" not in text
    assert "<img" not in text
    without_diagram = re.sub(r"```mermaid.*?```", "", text, flags=re.DOTALL)
    for change in example_plan().changes:
        assert change.component in without_diagram


def test_the_markdown_is_what_it_looks_like() -> None:
    rendered = MarkdownIt("gfm-like", {"html": True, "linkify": True}).render(markdown_of(whole_subject()))
    known = {"h2", "p", "ul", "li", "table", "thead", "tbody", "tr", "th", "td", "code", "details", "summary",
             "pre", "sub"}  # fmt: skip
    assert set(re.findall(r"<(\w+)", rendered)) == known
    assert rendered.count("<details>") == rendered.count("</details>")


@given(plans())
def test_a_reviewer_sees_one_screen_and_no_more(plan: Plan) -> None:
    noisy = plan.model_copy(update={"guardrails": RULES, "notes": ("a note",) * 9})
    text = markdown_of(Subject(noisy, [Named("f", forecast_for(noisy))], command=COMMAND))
    assert len(unfolded(text)) <= MOST_LINES


def test_the_reports_of_the_examples_are_one_screen() -> None:
    for path in (Path(__file__).parent / "golden").glob("*.md"):
        assert len(unfolded(path.read_text("utf-8"))) <= MOST_LINES, path.name


def test_another_process_writes_the_same_bytes() -> None:
    made = written_elsewhere(__name__, "markdown_of(whole_subject())")
    assert made == {markdown_of(whole_subject()).encode()}


@settings(max_examples=20, suppress_health_check=list(HealthCheck))
@given(plans(), st.text(max_size=400))
def test_no_plan_and_no_message_makes_it_too_long_or_breaks_it(plan: Plan, hostile: str) -> None:
    rules = tuple(
        {"policy": f"rule-{i}", "level": "mandatory", "passed": False, "message": hostile * 5} for i in range(200)
    )
    noisy = plan.model_copy(update={"guardrails": rules, "notes": (hostile,) * 50})
    text = markdown_of(Subject(noisy, [Named(hostile, forecast_for(noisy))] * 2, command=hostile))
    assert len(text) < LIMIT
    assert len(text.encode()) < LIMIT
    assert text.startswith("## ")


def test_a_report_full_of_markup_still_fits() -> None:
    rule = {"policy": "r", "level": "mandatory", "passed": False, "message": "<" * 300}
    plan = example_plan().model_copy(update={"guardrails": (rule,) * 900, "notes": ("|" * 300,) * 60})
    text = markdown_of(Subject(plan, [Named("f", forecast_for(plan))]))
    assert len(text.encode()) < LIMIT
    assert text.startswith("## ❌ Blocked")


def test_a_report_that_was_cut_says_how_much() -> None:
    rules = tuple(
        {"policy": f"rule-{i}", "level": "advisory", "passed": False, "message": "m" * 300} for i in range(900)
    )
    text = markdown_of(Subject(example_plan().model_copy(update={"guardrails": rules})))
    assert "… and 840 more" in text
