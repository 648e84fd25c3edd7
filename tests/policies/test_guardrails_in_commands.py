"""plan, simulate and apply are judged: what is shown, what is saved, and the exit codes that scripts branch on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rollcast.cli.inputs.plans import plan_of
from rollcast.cli.main import main
from rollcast.policies import discover
from rollcast.stacks.ledger.rollouts import begin, ledger_of, load, under_way
from rollcast.stacks.project import Project
from rollcast.stacks.rollout.start import holding
from rollcast.stacks.state.live import read, target_at
from tests.policies.reviews import DECLARED, RELEASED

NEVER = """\
from rollcast.policies import policy

@policy(level="mandatory")
def never(review):
    return ["never"]
"""
NEEDS_FORECAST = "from rollcast.policies.library import latency_budget\nlatency_budget(most_s=1)\n"
BROKEN = NEVER.replace('return ["never"]', "return review.nothing")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "rollcast.yaml").write_text(DECLARED)
    (tmp_path / "released.yaml").write_text(RELEASED)
    (tmp_path / "policies").mkdir()
    return tmp_path


def rule(project: Path, text: str) -> None:
    (project / "policies" / "rules.py").write_text(text)


def run(project: Path, *words: str) -> int:
    return main(["-C", str(project), *words])


def test_a_blocked_plan_is_shown_and_exits_3(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(project, "plan", "--from", "released.yaml", "--detailed-exitcode") == 2
    rule(project, NEVER)
    capsys.readouterr()
    assert run(project, "plan", "--from", "released.yaml", "--detailed-exitcode") == 3
    shown = capsys.readouterr()
    assert "blocks never: never" in shown.out
    assert "Guardrail 'never' blocks: never" in shown.err
    assert "override" in shown.err


def test_the_plan_names_every_judgement_and_the_policies_that_judged(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rule(project, NEVER)
    assert run(project, "plan", "--from", "released.yaml", "--format", "json") == 3
    plan = json.loads(capsys.readouterr().out)
    found = {entry["policy"]: (entry["level"], entry["passed"], entry["message"]) for entry in plan["guardrails"]}
    assert found["never"] == ("mandatory", False, "never")
    assert found["residency"] == ("mandatory", True, "")
    assert plan["binding"]["policy_digest"].startswith("sha256:")


def test_an_override_lets_it_through_and_stays_in_the_plan(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rule(project, NEVER)
    override = "overrides: [{policy: never, reason: signed off by Ada, expires: '9999-12-31'}]\n"
    (project / "rollcast.yaml").write_text(DECLARED + override)
    assert run(project, "plan", "--from", "released.yaml", "--format", "json") == 0
    guardrails = json.loads(capsys.readouterr().out)["guardrails"]
    entry = next(entry for entry in guardrails if entry["policy"] == "never")
    assert entry["passed"] is False
    assert entry["override"] == {"policy": "never", "reason": "signed off by Ada", "expires": "9999-12-31"}


def test_apply_changes_nothing_where_a_guardrail_blocks(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rule(project, NEVER)
    assert run(project, "apply", "--auto-approve") == 3
    assert "Guardrail 'never' blocks" in capsys.readouterr().err
    assert not (project / ".rollcast" / "live").exists()


def test_a_broken_rule_blocks_with_a_clear_error(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rule(project, BROKEN)
    assert run(project, "plan", "--from", "released.yaml") == 3
    shown = capsys.readouterr().err
    assert "it raised AttributeError" in shown
    assert "rules.py:5" in shown
    assert "Traceback" not in shown
    rule(project, "import nothing_like_it")
    assert run(project, "plan", "--from", "released.yaml") == 1
    assert "ModuleNotFoundError" in capsys.readouterr().err


def test_a_mandatory_rule_that_needs_a_forecast_forbids_apply_but_not_plan(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rule(project, NEEDS_FORECAST)
    assert run(project, "plan", "--from", "released.yaml") == 0
    assert "blocks apply latency-budget-latency-p95-s: no forecast" in capsys.readouterr().out
    assert run(project, "apply", "--auto-approve") == 3
    assert "no forecast" in capsys.readouterr().err


def test_a_saved_plan_is_stale_once_the_policies_changed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = str(project / "saved.json")
    assert run(project, "plan", "--from", "released.yaml", "--out", saved) == 0
    rule(project, NEEDS_FORECAST)
    assert run(project, "apply", saved, "--auto-approve") == 6
    assert "policies have changed" in capsys.readouterr().err


def test_simulate_is_judged_by_its_forecast(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"2026-11-24 10:{s // 60:02}:{s % 60:02}.0000000,10,10\n" for s in range(400))
    (project / "traffic").mkdir()
    (project / "traffic" / "recorded.csv").write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n" + rows)
    rule(project, "from rollcast.policies.library import latency_budget\nlatency_budget(most_s=-1)\n")
    assert run(project, "simulate", "--from", "released.yaml") == 3
    shown = capsys.readouterr()
    assert "Guardrail 'latency-budget-latency-p95-s' blocks" in shown.err
    rule(project, "from rollcast.policies.library import latency_budget\nlatency_budget(most_s=1e9)\n")
    assert run(project, "simulate", "--from", "released.yaml") == 0


def test_the_ledger_keeps_what_was_judged_overridden_and_by_which_policies(project: Path) -> None:
    rule(project, NEVER)
    override = "overrides: [{policy: never, reason: signed off by Ada, expires: '9999-12-31'}]\n"
    (project / "rollcast.yaml").write_text(DECLARED + override)
    opened = Project.open(project)
    made = plan_of(opened).plan
    ledger = ledger_of(opened)
    with holding(ledger, take_over=True) as held:
        live = read(target_at(project, made.settings), opened.declaration.each_pipeline())
        begin(ledger, held.lease, made, opened.declaration, opened.digests, live.routing, {})
    started = under_way(ledger)
    assert started is not None
    kept = load(ledger, started).plan
    entry = next(entry for entry in kept.guardrails if entry["policy"] == "never")
    assert entry["override"] == {"policy": "never", "reason": "signed off by Ada", "expires": "9999-12-31"}
    assert started.body["binding"]["policy_digest"] == discover(project).digest
