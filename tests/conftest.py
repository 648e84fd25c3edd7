"""Hypothesis profiles: `check` for the quick loop, `test` for every run, `nightly` for the long one.

The first two draw the same cases each time, so that a run speaks of the change alone; `nightly` draws new ones.
"""

from __future__ import annotations

import os
import sys

import pytest
from hypothesis import HealthCheck, settings

_SLOW_IS_FINE = [HealthCheck.too_slow, HealthCheck.data_too_large]

settings.register_profile(
    "check", max_examples=50, derandomize=True, deadline=None, suppress_health_check=_SLOW_IS_FINE
)
settings.register_profile(
    "test", max_examples=100, derandomize=True, deadline=None, suppress_health_check=_SLOW_IS_FINE
)
settings.register_profile("nightly", max_examples=10_000, deadline=None, suppress_health_check=_SLOW_IS_FINE)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "test"))
if os.environ.get("HYPOTHESIS_PROFILE") == "nightly":
    os.environ.setdefault("PYTEST_TIMEOUT", "0")  # 10,000 cases of one property take longer than any test may


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A failure is named as soon as it is known: a run that is cut short says at least that."""
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        lines = [line for line in report.longreprtext.splitlines() if line.strip()]
        first = f"\nFAILED {report.nodeid} ({report.when}, {report.duration:.0f} s)"
        sys.stderr.write("\n  ".join([first, *lines[-25:]]) + "\n")
