"""`rollcast plan`: its forms, saved plans, drift, exit codes."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import pytest

from rollcast.cli.main import main
from rollcast.cli.output.plan_formats.dot import dot_of
from rollcast.cli.output.plan_formats.markdown import markdown_of
from rollcast.cli.reports.diagram import MOST_BOXES
from rollcast.cli.reports.graph import frames_of
from rollcast.planner.plan.models import Plan

EXAMPLES = Path(__file__).parents[2] / "examples"
SUPPORT = ["-C", str(EXAMPLES / "customer-support"), "plan", "--from", "released.yaml"]


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) in (0, 2)
    return capsys.readouterr().out


def test_json_has_every_field_of_the_contract(capsys: pytest.CaptureFixture[str]) -> None:
    data = json.loads(printed(capsys, *SUPPORT, "--format", "json"))
    wanted = {
        "format_version", "pipeline", "environment", "from_release", "to_release", "live_state_digest", "changes",
        "groups", "operations", "milestones", "rollback", "guardrails",
    }  # fmt: skip
    assert wanted <= set(data)
    assert {"component", "action", "from", "to", "reason"} <= set(data["changes"][0])
    assert {"id", "kind", "component", "artifact", "milestone", "after", "why"} <= set(data["operations"][0])
    assert {"index", "title", "serving", "gates"} <= set(data["milestones"][0])
    assert {"audience", "percent", "release"} <= set(data["milestones"][0]["serving"][0])
    ids = {operation["id"] for way in data["rollback"] for operation in way["steps"]}
    assert {name for way in data["rollback"] for name in way["operations"]} == ids
    binding = data["binding"]
    assert all(binding[key] for key in ("declaration_digest", "policy_digest", "tool_version"))


def test_the_same_command_prints_the_same_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, *SUPPORT, "--format", "json") == printed(capsys, *SUPPORT, "--format", "json")


def test_markdown_says_what_changes_why_and_the_way_back(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, *SUPPORT, "--format", "markdown")
    for part in ("## Release plan", "### Changes", "### Order", "### Milestones", "### Rollback", "point of no return"):
        assert part in text
    assert "which sources verified-sources" in text


def test_mermaid_and_dot_draw_every_operation(capsys: pytest.CaptureFixture[str]) -> None:
    data = json.loads(printed(capsys, *SUPPORT, "--format", "json"))
    dot = printed(capsys, *SUPPORT, "--format", "dot")
    assert dot.startswith("digraph")
    assert dot.count("{") == dot.count("}")
    assert all(f'"{operation["id"]}"' in dot for operation in data["operations"])
    assert dot.count(" -> ") == sum(len(operation["after"]) for operation in data["operations"])


def test_mermaid_draws_every_box_and_every_arrow_of_every_frame(
    capsys: pytest.CaptureFixture[str],
) -> None:
    frames = frames_of(Plan.from_json(json.loads(printed(capsys, *SUPPORT, "--format", "json"))))
    drawn = printed(capsys, *SUPPORT, "--format", "mermaid")
    boxes = [box for frame in frames for rank in frame.ranks for box in rank]
    assert drawn.startswith("flowchart TB\n")
    assert len(re.findall(r"^\s*subgraph ", drawn, re.MULTILINE)) == len(frames)
    assert len(boxes) <= MOST_BOXES, "more would be drawn as an outline"
    known = {box.key for box in boxes}
    assert drawn.count(" --> ") == sum(before in known for box in boxes for before in box.after)
    labels = re.findall(r'^\s*n\d+\["(\w+) .*:::(\w+)$', drawn, re.MULTILINE)
    assert labels == [(box.kind, box.kind) for box in boxes]


def test_names_can_not_break_out_of_markdown_or_dot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = Plan.from_json(json.loads(printed(capsys, *SUPPORT, "--format", "json")))
    evil = 'x"]; } | `<script>` @everyone\n# heading'
    changed = plan.model_copy(
        update={
            "notes": (evil,),
            "operations": tuple(o.model_copy(update={"why": evil}) for o in plan.operations),
            "changes": tuple(c.model_copy(update={"reason": evil}) for c in plan.changes),
        }
    )
    text = markdown_of(changed)
    assert "<script>" not in text
    assert "\n# heading" not in text
    assert "@everyone" not in text
    assert '\\"];' in dot_of(changed)


def test_a_saved_plan_is_shown_again_and_only_its_owner_may_read_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "plan.json"
    first = printed(capsys, *SUPPORT, "--out", str(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert printed(capsys, "plan", str(file)) == first
    assert json.loads(printed(capsys, "plan", str(file), "--format", "json")) == json.loads(file.read_text("utf-8"))


def test_a_saved_plan_may_be_larger_than_a_declaration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "plan.json"
    first = printed(capsys, *SUPPORT, "--out", str(file))
    monkeypatch.setattr("rollcast.stacks.project.MOST_BYTES", 1000)
    assert printed(capsys, "plan", str(file)) == first
    monkeypatch.setattr("rollcast.stacks.project.MOST_SAVED_BYTES", 1000)
    assert main(["plan", str(file)]) == 1
    assert "more than rollcast can have saved there" in capsys.readouterr().err


def test_something_else_is_no_saved_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("{}", "[]", "not json", '{"format_version": "1.0"}'):
        (tmp_path / "plan.json").write_text(text, "utf-8")
        assert main(["plan", str(tmp_path / "plan.json")]) == 1
        assert "is not a saved plan" in capsys.readouterr().err


def test_detailed_exitcode_tells_changes_from_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SUPPORT, "--detailed-exitcode"]) == 2
    assert main([*SUPPORT]) == 0
    same = ["-C", str(EXAMPLES / "customer-support"), "plan", "--from", "rollcast.yaml", "--detailed-exitcode"]
    assert main(same) == 0
    assert "No changes" in capsys.readouterr().out


def test_refresh_only_says_that_nothing_drifted_and_plans_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", str(tmp_path / "new")]) == 0
    capsys.readouterr()
    command = ["-C", str(tmp_path / "new"), "plan", "--refresh-only", "--detailed-exitcode"]
    assert main(command) == 0
    assert "no drift" in capsys.readouterr().out
    assert json.loads(printed(capsys, *command, "--format", "json"))["drift"] == []


def test_refresh_only_sees_a_flag_that_was_edited_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", str(tmp_path)]) == 0
    flags = tmp_path / ".rollcast" / "live" / "flags.json"
    flags.parent.mkdir(parents=True)
    edited = {"state": "ENABLED", "variants": {"a": {}}, "defaultVariant": "a", "targeting": {}}
    flags.write_text(json.dumps({"flags": {"rollcast-my-pipeline": edited}}), "utf-8")
    capsys.readouterr()
    assert main(["-C", str(tmp_path), "plan", "--refresh-only", "--detailed-exitcode"]) == 2
    assert "was not written by rollcast" in capsys.readouterr().out
