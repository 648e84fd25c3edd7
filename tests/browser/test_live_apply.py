"""The live page beside a real `apply`: the stage moves, the real curve grows over the forecast's band, and it ends."""

from __future__ import annotations

import subprocess

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open
from tests.browser.test_live_page import serving
from tests.commands import ROLLCAST
from tests.end_to_end.conftest import System
from tests.end_to_end.conftest import system as system  # a fixture

pytestmark = [pytest.mark.engine, pytest.mark.slow]
SPEEDUP, RUNS = 30, 40
TRACE = "traffic/AzureLLMInferenceTrace_conv.csv"


@pytest.fixture
def planned(system: System) -> System:
    """The example with its first release, the saved plan of a stricter safety policy, and a forecast of that plan."""
    released = system.folder / "released.yaml"
    (system.folder / "stricter.yaml").write_text(released.read_text("utf-8").replace("execution@1", "execution@2"))
    recorded = (system.folder / TRACE).read_text("utf-8").splitlines(keepends=True)
    (system.folder / "short.csv").write_text("".join(recorded[:2000]), "utf-8")
    for words in (
        "apply --file released.yaml --auto-approve --no-forecast",
        "plan --file stricter.yaml --out release.plan",
        f"simulate release.plan --traffic short.csv --warp 0s={SPEEDUP} --runs {RUNS} --seed 7 --out forecast.json",
    ):
        done = system.rollcast(*words.split())
        assert done.returncode == 0, done.stderr
    return system


def test_a_rollout_is_watched_from_its_first_stage_to_its_end(open_page: Open, planned: System) -> None:
    words = ["apply", "release.plan", "--file", "stricter.yaml", "--auto-approve", "--no-forecast"]
    with planned.load(SPEEDUP), serving(planned.folder, "--forecast", "forecast.json") as served:
        seen = open_page(served.address)
        page, verdict, real = seen.page, seen.page.locator("#verdict"), seen.page.locator("#real-progress")
        expect(verdict).to_contain_text("Promoted: no rollout is under way")
        points = real.locator("svg .dot-on.c1")
        apply = subprocess.Popen([ROLLCAST, *words], cwd=planned.folder, stdout=subprocess.PIPE, text=True)
        try:
            expect(verdict).to_contain_text("10 % of everyone: safety", timeout=60_000)
            expect(real.locator(".legend")).to_contain_text("95 % of runs")
            expect(real.locator("svg path.band")).to_have_count(1)
            expect(points).to_have_count(2)
            serving_now = page.locator("#serving tbody").first
            expect(serving_now).to_contain_text("safety no-code-execution@2")
            expect(serving_now).to_contain_text("10 %")
            at_last_look = page.get_by_role("table", name="The stage under way, at the last look")
            expect(at_last_look).to_contain_text("violation_rate", timeout=30_000)
            expect(verdict).to_contain_text("100 % of everyone: safety", timeout=240_000)
            printed, _ = apply.communicate(timeout=120)
        finally:
            apply.kill()
            apply.wait()
        assert apply.returncode == 0, printed
        expect(verdict).to_contain_text("Promoted: no rollout is under way", timeout=30_000)
        expect(points).to_have_count(4)
        expect(page.locator("#past tbody tr")).to_have_count(2)
        expect(page.locator("#serving tbody tr").first).to_contain_text("100 %")
        page.locator("#past a").first.click()
        expect(page.locator("#verdict")).to_contain_text("Promoted, after")
        expect(page.locator("#real-progress svg path.band")).to_have_count(1)
        assert seen.messages == []
