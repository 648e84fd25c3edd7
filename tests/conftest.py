"""How tests are run: what Hypothesis draws, which come first, and when a failure is named.

Hypothesis profiles: `check` for the quick loop, `test` for every run, `nightly` for the long one. The first two draw
the same cases each time, so that a run speaks of the change alone; `nightly` draws new ones.

Files that take long are begun first, so that no worker is left with one when the others are done. A file is run by one
worker, for its tests share servers; the small projects of `tests/cases` share nothing and are given out one by one.
"""

from __future__ import annotations

import functools
import os
import sys
from collections import Counter

import httpx._transports.default as httpx_transport
import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

_SLOW_IS_FINE = [HealthCheck.too_slow, HealthCheck.data_too_large]

settings.register_profile(
    "check", max_examples=50, derandomize=True, deadline=None, suppress_health_check=_SLOW_IS_FINE
)
settings.register_profile("test", max_examples=60, derandomize=True, deadline=None, suppress_health_check=_SLOW_IS_FINE)
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


# Each client and each `httpx.get` of a test would read certifi's certificates anew, for 0.1 s of a processor.
httpx_transport.create_ssl_context = functools.cache(httpx_transport.create_ssl_context)

_ONE_BY_ONE = "tests/cases/test_cases.py"
_LONG = 20  # how many quick tests take as long as one that is marked as slow, or drives an engine


def _unit(nodeid: str) -> str:
    """What one worker runs as a whole."""
    file = nodeid.partition("::")[0]
    return nodeid if file == _ONE_BY_ONE else file


class _ByFile(LoadScopeScheduling):
    """Tests by file, in the order of their collection."""

    def _split_scope(self, nodeid: str) -> str:
        return _unit(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    config.option.loadscopereorder = False
    return _ByFile(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    long: Counter[str] = Counter()
    for item in items:
        slow = item.get_closest_marker("engine") or item.get_closest_marker("slow")
        long[_unit(item.nodeid)] += _LONG if slow else 1
    items.sort(key=lambda item: -long[_unit(item.nodeid)])
