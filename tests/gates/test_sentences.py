"""Verdicts as an on-call engineer reads them: compared with the committed text."""

from __future__ import annotations

import json
import math
import os
import pickle
from pathlib import Path

import numpy as np

from rollcast.planner.gates.outcomes import Evidence, Outcomes
from rollcast.planner.gates.stage import StageGates
from tests.gates.streams import EVERY_KIND, draw

GOLDEN = Path(__file__).with_name("sentences.txt")


def stage(n: int, worse: bool, started_s: float = 0.0) -> StageGates:
    gates = StageGates.start(EVERY_KIND, alpha=0.05, split=0.5, started_s=started_s, advance_alpha=0.05)
    if n:
        batch = draw(n, seed=1, violation=(0.07, 0.02) if worse else (0.02, 0.02), slower=1.5 if worse else 1.0)
        values = dict(batch.values)
        if worse:
            values["satisfaction"] = np.where(batch.candidate, values["satisfaction"] * 0.8, values["satisfaction"])
            values["cost_usd"] = np.where(batch.candidate, values["cost_usd"] * 1.6, values["cost_usd"])
        gates.observe(Outcomes(batch.time_s, batch.unit, batch.candidate, values))
    return gates


def sentences() -> str:
    lines = []
    for title, n, worse in (
        ("nothing yet", 0, False),
        ("a little", 300, False),
        ("as good", 12_000, False),
        ("worse", 6000, True),
    ):
        verdict = stage(n, worse).look(n * 0.1 + 5)
        lines += [f"# {title}: {verdict.verdict}", *(e.sentence for e in verdict.evidences)]
        lines += [f"  guard {guard.name}: {guard.sentence}" for guard in verdict.guards]
    return "\n".join(lines) + "\n"


def test_sentences_are_as_committed() -> None:
    found = sentences()
    if os.environ.get("ROLLCAST_UPDATE_GOLDEN"):
        GOLDEN.write_text(found)
    assert found == GOLDEN.read_text()


def test_the_verdict_of_a_stage_names_only_what_decides() -> None:
    verdict = stage(6000, worse=True).look(605.0)
    assert all(part.sentence in verdict.sentence for part in verdict.evidences if part.verdict == "roll_back")
    assert "is proved worse than the baseline" in verdict.sentence
    assert "inconclusive" not in verdict.sentence


def test_evidence_as_json_holds_only_what_json_can_hold() -> None:
    for n in (0, 5, 300):
        text = json.dumps(stage(n, worse=False).look(40.0).to_json(), allow_nan=False)
        assert json.loads(text)["gates"][0]["metric"] == "violation_rate"


def test_a_verdict_can_be_sent_to_another_process() -> None:
    for n in (0, 5, 300):
        verdict = stage(n, worse=False).look(40.0)
        sent = pickle.loads(pickle.dumps(verdict))
        assert sent.to_json() == verdict.to_json()


def test_an_interval_speaks_of_the_moment_of_its_look() -> None:
    gates = stage(300, worse=False)
    early = gates.look(31.0)
    before = [evidence.interval for evidence in stage(300, worse=False).look(31.0).evidences]
    gates.observe(draw(5000, seed=8, start_s=31.0, violation=(0.5, 0.0)))
    after: list[Evidence] = list(early.evidences)
    assert [evidence.interval for evidence in after] == before
    assert all(evidence.interval is not None and not math.isnan(evidence.interval[0]) for evidence in after)
