"""The commands that write reports: where the text goes, how it is made again, and how a wrong file is refused."""

from __future__ import annotations

import json
import os
import re
import shlex
from pathlib import Path

import pytest

from rollcast.cli.main import main
from rollcast.cli.output.plan import text_of
from tests.reports.scenes import EXAMPLE, example_plan, forecast_for, project_copy, rollout_in


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example with an hour of traffic that takes no time to replay."""
    folder = project_copy(tmp_path / "project")
    trace = (EXAMPLE / "traffic" / "AzureLLMInferenceTrace_conv.csv").read_text("utf-8").splitlines(keepends=True)
    (folder / "traffic").mkdir()
    (folder / "traffic" / "a few.csv").write_text("".join(trace[:80]), "utf-8")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0})  # no workers for so few requests
    return folder


def test_the_command_in_a_report_makes_the_same_report_again(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "simulate",
        "--from",
        "released.yaml",
        "--traffic",
        "traffic/a few.csv",
        "--seed",
        "3",
        "--format",
        "markdown",
    ]
    assert main(words) == 0
    text = capsys.readouterr().out
    typed = next(line for line in text.splitlines() if line.startswith("rollcast simulate"))
    assert "--runs 20" in typed
    assert main([*shlex.split(typed)[1:], "--format", "markdown"]) == 0
    assert capsys.readouterr().out == text


@pytest.mark.parametrize(("form", "start"), [("html", "<!doctype html>"), ("markdown", "## ")])
def test_a_report_goes_to_the_file_that_was_named(
    project: Path, capsys: pytest.CaptureFixture[str], form: str, start: str
) -> None:
    assert main(["simulate", "--from", "released.yaml", "--format", form, "--out", "report"]) == 0
    assert capsys.readouterr().out == ""
    assert (project / "report").read_text("utf-8").startswith(start)


def test_a_report_on_paper_is_its_page_printed(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["plan", "--from", "released.yaml", "--out", "plan.json"]) == 0
    assert main(["report", "plan.json", "--format", "pdf", "--out", "report.pdf"]) == 0
    printed = (project / "report.pdf").read_bytes()
    assert printed.startswith(b"%PDF-")
    assert printed.rstrip().endswith(b"%%EOF")
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) > 3
    capsys.readouterr()
    assert main(["report", "plan.json", "--format", "pdf"]) == 1
    assert "A PDF is a file. Say where it goes" in capsys.readouterr().err
    monkeypatch.setenv("PATH", str(project))
    assert main(["report", "plan.json", "--format", "pdf", "--out", "other.pdf"]) == 1
    assert "Install Chromium" in capsys.readouterr().err
    assert not (project / "other.pdf").exists()
    (project / "chromium").write_text("#!/bin/sh\necho 'no fonts' >&2\nexit 3\n", "utf-8")
    (project / "chromium").chmod(0o755)
    assert main(["report", "plan.json", "--format", "pdf", "--out", "other.pdf"]) == 1
    assert "did not print the report (no fonts)" in capsys.readouterr().err


def test_saved_forecasts_are_compared_and_a_rollout_is_laid_over_them(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = example_plan()
    Path("plan.json").write_text(json.dumps(plan.to_json()), "utf-8")
    Path("calm.json").write_text(json.dumps(forecast_for(plan).to_json()), "utf-8")
    Path("busy.json").write_text(json.dumps(forecast_for(plan, promoted=0.4).to_json()), "utf-8")
    assert (
        main(["report", "plan.json", "--forecast", "calm.json", "--forecast", "rush=busy.json", "--format", "markdown"])
        == 0
    )
    text = capsys.readouterr().out
    assert "|  | calm | rush |" in text
    work = rollout_in(project, 5)
    assert main(["report", "--rollout", "last", "--forecast", "calm.json", "--out", "page.html"]) == 0
    page = Path("page.html").read_text("utf-8")
    assert work.id in page
    assert "What really happened, over the forecast" in page


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["report"], "Name a saved plan"),
        (["report", "nowhere.json"], "nowhere.json"),
        (["report", "rollcast.yaml"], "not a saved plan"),
        (["report", "--rollout", "ro-unknown"], "rollcast history"),
        (["report", "plan.json", "--forecast", "rollcast.yaml"], "not a forecast"),
        (
            ["simulate", "--from", "released.yaml", "--format", "html", "--out", "/no/such/folder/x"],
            "Choose another place",
        ),
    ],
)
def test_a_wrong_file_is_refused_in_one_sentence(
    project: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    Path("plan.json").write_text(json.dumps(example_plan().to_json()), "utf-8")
    assert main(words) == 1
    captured = capsys.readouterr()
    assert said in captured.err
    assert "Traceback" not in captured.err


def test_names_can_not_move_the_cursor_of_a_terminal() -> None:
    hostile = "\x1b[2J\x1b]0;owned\x07\u202eevil\r\n"
    plan = example_plan()
    changed = {
        "pipeline": hostile, "environment": hostile, "notes": (hostile,),
        "changes": tuple(c.model_copy(update={"component": hostile, "reason": hostile}) for c in plan.changes),
        "operations": tuple(
            o.model_copy(update={"component": hostile, "artifact": hostile, "why": hostile}) for o in plan.operations
        ),
        "milestones": tuple(m.model_copy(update={"title": hostile, "step": hostile}) for m in plan.milestones),
        "guardrails": ({"policy": hostile, "level": "mandatory", "passed": False, "message": hostile},),
    }  # fmt: skip
    text = text_of(plan.model_copy(update=changed))
    assert not set("\x1b\x07\r\u202e\x9b") & set(text)
