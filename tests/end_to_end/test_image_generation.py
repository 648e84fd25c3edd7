"""The image service as a running system, in short: baked less, both bad releases caught by their own harm.

Its models are kept in build/ between runs, by digest: they are trained once, in about a minute.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.end_to_end.short_demos import short_demo

pytestmark = [pytest.mark.engine, pytest.mark.slow]

SHORTER = {"min: 5s": "min: 1s", "keep_warm: 10s": "keep_warm: 1s"}
DECLARED = ["released.yaml", "rollcast.yaml", "off-style.yaml", "blind.yaml"]


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The example's own demo, with shorter bakes."""
    with short_demo(monkeypatch, "image-generation", DECLARED, SHORTER) as made:
        yield made


def test_a_good_release_is_promoted_and_each_bad_one_is_caught_by_its_own_harm(
    demo: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    demo.python("tools/prepare.py")
    with demo.serving() as endpoint:
        demo.run("apply", "--file", "released.yaml", "--auto-approve", "--no-forecast")
        with demo.load(endpoint, "--seconds", "600"):
            demo.run("apply", "--auto-approve", "--no-forecast")
            for declared in ("off-style.yaml", "blind.yaml"):
                demo.run("apply", "--file", declared, "--auto-approve", "--no-forecast", expect=4)
        counts = demo.check_telemetry()
    summary = demo.finish()
    reasons = [rollout["reason"] for rollout in demo.history() if rollout["outcome"] == "rolled_back"]
    assert [reason.split()[0] for reason in reasons] == ["violation_rate", "persona"], reasons
    assert (summary["promoted"], summary["mixed"], summary["lost"]) == (True, 0, 0), summary
    assert len(counts.replicas) == len(demo.replicas)
    assert "demo: {" in capfd.readouterr().out
