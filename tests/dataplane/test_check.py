"""`rollcast dataplane check`: services on the kit keep every point, and each lie of a service is found."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from xml.etree import ElementTree

import pytest

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.conformance.checking import check, points
from rollcast.stacks.conformance.counting import STATE
from rollcast.stacks.conformance.points import PointVerdict
from rollcast.stacks.conformance.probe import filled, pointed, read_probe
from tests.dataplane.probing import probe_in
from tests.dataplane.releasing import both
from tests.dataplane.running import KINDS, Running, running
from tests.spec.test_schemas import SCHEMAS, SPEC
from tests.stacks.site import free_port

ROLLCAST = [sys.executable, "-c", "from rollcast.cli.main import script; script()", "dataplane", "check"]


def probe(service: Running, trusted: bool = False) -> Path:
    """All that a test needs to know of the services of these tests."""
    return probe_in(service.folder, trusted, onward="/call" if service.kind in KINDS and not service.lying else "/chat")


def broken(service: Running, trusted: bool = False, only: Collection[str] = ()) -> dict[str, str]:
    """The points of a service, or `only` these, that do not hold, with what was seen."""
    before = service.definition.read_text("utf-8")
    found = {
        finding.point.id: finding.detail
        for finding in check([service.url], read_probe(probe(service, trusted)), only)
        if finding.verdict is PointVerdict.BROKEN
    }
    assert service.definition.read_text("utf-8") == before
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_service_on_the_kit_keeps_every_point(kind: str, tmp_path: Path) -> None:
    with running(tmp_path, kind, flag=both(0)) as service:
        (tmp_path / "ready").touch()
        junit = tmp_path / "junit.xml"
        words = [*ROLLCAST, service.url, "--probe", str(probe(service)), "--junit", str(junit)]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=200)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "BROKEN" not in done.stdout
        assert re.search(r"30 points: 25 hold, 0 are broken \(0 of them MUST\), 5 were not judged\.", done.stdout)
        suite = ElementTree.parse(junit).getroot()
        assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("30", "0", "5")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_hop_on_the_kit_keeps_every_point(kind: str, tmp_path: Path) -> None:
    token = {"ROLLCAST_ENDPOINT_TOKEN": "t"}
    with running(tmp_path, kind, flag=both(0), trust=True) as service:
        (tmp_path / "ready").touch()
        assert broken(service, trusted=True) == {}
    with running(tmp_path, kind, flag=both(0), environment=token) as service:
        words = [*ROLLCAST, service.url, "--probe", str(probe(service))]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=200)
        assert done.returncode == 1
        assert "BROKEN" in done.stdout
        assert "401" in done.stdout


@pytest.mark.slow
def test_a_service_by_hand_that_keeps_the_protocol_passes(tmp_path: Path) -> None:
    with running(tmp_path, flag=both(0), lying=True) as service:
        assert broken(service) == {}
    with running(tmp_path, flag=both(0), lying=True, trust=True) as service:
        assert broken(service, trusted=True) == {}


LIES = {
    "resolves twice": {"R1"},
    "forgets the header": {"C1"},
    "caches across releases": {"K1"},
    "lies about in-flight": {"A2"},
    "ends streams at their beginning": {"A2"},
    "never ends": {"A2"},
    "changes streams": {"P2"},
    "counts twice": {"A3"},
    "has one anonymous user": {"R5"},
    "has a default": {"R3"},
    "hashes otherwise": {"R2"},
    "trusts everybody": {"C4"},
    "forgets sessions": {"P1"},
    "leaves outcomes out": {"T1"},
    "tags what it wishes": {"T2"},
    "hides that it is degraded": {"D2"},
    "forgets what it knew": {"D1"},
    "is many": {"A4"},
    "tells no time": {"A1"},
}


@pytest.mark.slow
@pytest.mark.parametrize("lie", LIES)
def test_every_lie_is_found(lie: str, tmp_path: Path) -> None:
    with running(tmp_path, flag=both(0), lying=True, lie=lie) as service:
        assert LIES[lie] <= set(broken(service, only=LIES[lie]))


def test_lies_of_a_hop_are_found(tmp_path: Path) -> None:
    for lie, point in (("forgets the header", "C2"), ("serves the unknown", "C3")):
        with running(tmp_path / point, flag=both(0), lying=True, lie=lie, trust=True) as service:
            assert point in broken(service, trusted=True, only=[point])


def test_two_addresses_of_one_replica_and_one_that_is_silent_are_broken(tmp_path: Path) -> None:
    with running(tmp_path, flag=both(0)) as service:
        found = {
            finding.point.id: finding.detail
            for finding in check([service.url, service.url], read_probe(probe(service)), ["A4"])
        }
        assert "one replica" in found["A4"]
        url = f"http://127.0.0.1:{free_port()}"
        silent = list(check([url], read_probe(probe(service)), ["A1", "A4", "C7", "R2"]))
        assert all(finding.verdict is not PointVerdict.HOLDS for finding in silent)
        assert any("does not answer" in finding.detail for finding in silent)


def test_every_point_is_one_of_the_specification_with_its_force() -> None:
    text = (SPEC / "README.md").read_text("utf-8")
    said = dict(re.findall(r"^- \*\*([A-Z]\d+)\*\* (.*?)(?=^- \*\*|^\n|\Z)", text, re.MULTILINE | re.DOTALL))
    for each in points():
        assert each.id in said
        assert ("MUST" if each.must else "SHOULD") in said[each.id]
    assert len({each.id for each in points()}) == len(points())
    assert set(said) - {each.id for each in points()} == {"A7", "P3", "P5", "T3", "V2", "V3", "V4"}
    assert set(STATE) == set(SCHEMAS["replica-state"]["properties"])


@pytest.mark.parametrize(("text", "error"), [
    (None, "is not there"),
    ("{", "can't be read"),
    ("[]", "Correct the probe"),
    ("pipeline: p", "request: Field required"),
    ("{pipeline: p, request: {path: /}, more: 1}", "more: Extra inputs"),
    ("{pipeline: p, request: {path: /}, answer: {release: x}}", "answer.release"),
    ("{pipeline: p, request: {path: /}, definition: flags.json}", "can't be read as a flag definition"),
    ("{pipeline: p, request: {path: /}, definition: empty.json}", "Apply a first release"),
])  # fmt: skip
def test_a_probe_that_can_not_be_used_is_one_clear_error(text: str | None, error: str, tmp_path: Path) -> None:
    (tmp_path / "empty.json").write_text('{"flags": {}}')
    if text is not None:
        (tmp_path / "probe.yaml").write_text(text)
    with pytest.raises(StackError, match=error):
        list(check(["http://127.0.0.1:9"], read_probe(tmp_path / "probe.yaml")))


def test_a_point_that_there_is_not_is_refused(tmp_path: Path) -> None:
    (tmp_path / "probe.yaml").write_text("{pipeline: p, request: {path: /}}")
    with pytest.raises(StackError, match=r"No check is called R99\. There are R1"):
        list(check(["http://127.0.0.1:9"], read_probe(tmp_path / "probe.yaml"), ["R99"]))


def test_placeholders_and_pointers() -> None:
    values = {"key": 7, "session": "s"}
    assert filled({"a": ["${key}", "k-${key}-${session}", 1]}, values) == {"a": [7, "k-7-s", 1]}
    document = {"a/b": [{"c": 1}]}
    assert pointed(document, "/a~1b/0/c") == 1
    assert pointed(document, "/a~1b/1/c") is None
