"""JUnit XML as counts: every test case passes or fails, and a segment is what its property `segment` names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from pydantic import Field

from rollcast.plugins.settings import Settings
from rollcast.stacks.base.errors import StackError

FAILURES, PASSES = "failure_rate", "pass_rate"


class CaseSettings(Settings):
    """What failed test cases count for, and who judged them."""

    metric: str = Field(FAILURES, description="the metric that a failed test case counts for")
    judge: str = Field("", description="who judges the answers, with a version; another one is another result")

    def judged(self, found: Mapping[str, Any]) -> Mapping[str, Any]:
        """A result with its judge, where one is named."""
        return {**found, "judge": self.judge} if self.judge else found


def counts_of_junit(text: str, metric: str = FAILURES) -> Mapping[str, Any]:
    """Cases, the rate that passes, and failures of all, overall and by segment. Skipped cases are none.

    Raises StackError: it is no JUnit XML, or holds no case.
    """
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise StackError("The results define entities of their own, which no test runner writes. Correct the suite.")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise StackError(f"The results are no JUnit XML ({error}). Correct the suite.") from None
    failures = total = 0
    segments: dict[str, dict[str, int]] = {}
    for case in root.iter("testcase"):
        if case.find("skipped") is not None:
            continue
        failed = case.find("failure") is not None or case.find("error") is not None
        total, failures = total + 1, failures + failed
        for found in case.iter("property"):
            if found.get("name") == "segment":
                segment = segments.setdefault(str(found.get("value")), {"failures": 0, "total": 0})
                segment["total"] += 1
                segment["failures"] += failed
    if not total:
        raise StackError("The suite ran no case, which proves nothing. Correct it.")
    counts = {metric: {"failures": failures, "total": total, "segments": segments}}
    return {"cases": total, "metrics": {PASSES: 1 - failures / total}, "counts": counts}


__all__ = ["CaseSettings", "counts_of_junit"]
