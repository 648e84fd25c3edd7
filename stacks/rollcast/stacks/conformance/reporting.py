"""Findings as text for a person, and as JUnit XML for CI."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from rollcast.stacks.conformance.points import PointFinding, PointVerdict


def line_of(finding: PointFinding) -> str:
    """One finding, as it comes."""
    force = "MUST" if finding.point.must else "SHOULD"
    head = f"{finding.verdict.value.upper() if finding.verdict is PointVerdict.BROKEN else finding.verdict.value:<11}"
    return f"{head} {finding.point.id:<3} {force:<6} {finding.point.title}: {finding.detail}"


def summary(findings: Sequence[PointFinding]) -> str:
    """How many hold, are broken, and were not judged."""
    found = Counter(finding.verdict for finding in findings)
    broken = sum(finding.failed for finding in findings)
    return (
        f"{len(findings)} points: {found[PointVerdict.HOLDS]} hold, {found[PointVerdict.BROKEN]} are broken "
        f"({broken} of them MUST), {found[PointVerdict.NOT_JUDGED]} were not judged."
    )


def write_junit(findings: Sequence[PointFinding], path: Path, urls: Sequence[str]) -> None:
    """A test case for each finding; what was not judged is skipped, a broken SHOULD is said and passes."""
    suite = ElementTree.Element("testsuite", {
        "name": f"data plane {' '.join(urls)}", "tests": str(len(findings)),
        "failures": str(sum(finding.failed for finding in findings)), "errors": "0",
        "skipped": str(sum(finding.verdict is PointVerdict.NOT_JUDGED for finding in findings)),
        "time": f"{sum(finding.seconds for finding in findings):.3f}",
    })  # fmt: skip
    for finding in findings:
        name = f"{finding.point.id} {finding.point.title}"
        case = ElementTree.SubElement(suite, "testcase", {
            "classname": "rollcast.dataplane", "name": name, "time": f"{finding.seconds:.3f}",
        })  # fmt: skip
        text = _plain(finding.detail)
        if finding.failed:
            ElementTree.SubElement(case, "failure", {"message": text})
        elif finding.verdict is PointVerdict.NOT_JUDGED:
            ElementTree.SubElement(case, "skipped", {"message": text})
        else:
            ElementTree.SubElement(case, "system-out").text = text
    path.parent.mkdir(parents=True, exist_ok=True)
    ElementTree.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)


def _plain(text: str) -> str:
    """Text that XML can hold."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
