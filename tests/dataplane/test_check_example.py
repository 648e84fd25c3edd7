"""The retrieval example's service, released by the real engine, keeps every point that it is asked about."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollcast.stacks.conformance.checking import check
from rollcast.stacks.conformance.points import PointVerdict
from rollcast.stacks.conformance.probe import read_probe
from tests.stacks.site import first_released

pytestmark = [pytest.mark.engine, pytest.mark.slow]

PROBE = """
pipeline: rag-search
definition: .rollcast/live/flags.json
telemetry: .rollcast/live/telemetry
request: {path: /query, json: {key: "${key}", query: how to open and read a csv file}}
answer: {body_release: /release, components: /components}
"""


def test_the_example_keeps_the_protocol(tmp_path: Path) -> None:
    with first_released(tmp_path / "project") as site:
        (site.folder / "probe.yaml").write_text(PROBE)
        findings = list(check([site.endpoint], read_probe(site.folder / "probe.yaml")))
        broken = {each.point.id: each.detail for each in findings if each.verdict is PointVerdict.BROKEN}
        assert broken == {}
        unjudged = {each.point.id for each in findings if each.verdict is PointVerdict.NOT_JUDGED}
        assert unjudged == {"A2", "A5", "C1", "C2", "C3", "C5", "C6", "D3", "P1", "P2", "P4", "R5"}
        assert site.components()["safety"] == "no-code-execution@1"
