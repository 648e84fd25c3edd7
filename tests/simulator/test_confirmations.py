"""A forecast goes through milestones that must be confirmed, and says that it does not know how long that takes."""

from __future__ import annotations

from pathlib import Path

from rollcast.simulator.forecast.simulate import simulate
from rollcast.simulator.traffic.recording import read_traffic
from tests.planner.test_confirmations import planned


def test_the_same_plan_is_replayed_and_waiting_for_people_is_a_stated_assumption(tmp_path: Path) -> None:
    rows = "".join(f"2026-11-16 18:15:{at / 2:09.6f},100,20\n" for at in range(100))
    (tmp_path / "requests.csv").write_text(f"TIMESTAMP,ContextTokens,GeneratedTokens\n{rows}", "utf-8")
    traffic = read_traffic([tmp_path / "requests.csv"])
    asks = simulate(planned("[{percent: 25, by: [ana, bo]}]"), traffic)
    free = simulate(planned("[]"), traffic)
    said = [text for text in asks.assumptions if "confirmed at once" in text]
    (text,) = said
    assert "confirmed at once is taken to be 30 % of everyone: answer (by ana or bo): no time here" in text
    assert [text for text in asks.assumptions if text not in said] == list(free.assumptions)
    assert (asks.outcome, asks.duration_s) == (free.outcome, free.duration_s)
