"""Diagrams drawn by the real Mermaid, as a code host draws them: labels are text, and only our boxes are there."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollcast.cli.reports.diagram import mermaid_of
from rollcast.cli.reports.escaping import one_line
from rollcast.cli.reports.graph import frames_of
from rollcast.cli.reports.mermaid import Edge, MermaidNode, flowchart
from tests.browser.conftest import Open, Seen
from tests.reports.scenes import example_plan

ATTACKS = [
    'x"] --> evil["y',
    "end",
    "<img src=x onerror=window.pwned=1>",
    "`**markdown**`",
    'a;b\nclick n0 href "javascript:1"',
    "%%{init: {'securityLevel': 'loose'}}%%",
    "#quot;#35;",
    "}}))]]",
    "A & B <br/> | \\ ~ ^ $x$ :::evil",
]


@pytest.fixture
def blank(open_page: Open, tmp_path: Path, modules: Path) -> Seen:
    """An empty page with Mermaid in it, set up as strictly as code hosts do."""
    (tmp_path / "blank.html").write_text("<!doctype html><title>x</title><body></body>", "utf-8")
    seen = open_page((tmp_path / "blank.html").as_uri())
    seen.page.add_script_tag(path=modules / "mermaid" / "dist" / "mermaid.min.js")
    seen.page.evaluate("mermaid.initialize({startOnLoad: false, securityLevel: 'strict'})")
    return seen


def draw(seen: Seen, source: str) -> list[str]:
    """The labels of the boxes that Mermaid draws. Raises where it can't read the source."""
    script = """async source => {
      const {svg} = await mermaid.render('drawn', source);
      document.body.innerHTML = svg;
      return [...document.querySelectorAll('.node')].map(node => node.textContent.trim());
    }"""
    labels: list[str] = seen.page.evaluate(script, source)
    return labels


def test_the_plan_of_the_example_is_drawn_whole(blank: Seen) -> None:
    plan = example_plan()
    assert len(draw(blank, mermaid_of(frames_of(plan)))) == len(plan.operations)


def test_hostile_labels_are_drawn_as_text(blank: Seen) -> None:
    nodes = [MermaidNode(str(i), [attack]) for i, attack in enumerate(ATTACKS)]
    edges = [Edge(str(i), str(i + 1), attack) for i, attack in enumerate(ATTACKS[:-1])]
    labels = draw(blank, flowchart(nodes, edges))
    assert labels == [one_line(attack, 80) for attack in ATTACKS]
    assert blank.page.evaluate("window.pwned") is None
    assert blank.page.locator("img, a, script[src]").count() == 0
