"""`rollcast review` as a job runs it: one comment kept up to date, the exit code as result, against recorded APIs."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollcast.cli.main import main
from rollcast.cli.reports.markdown import LIMIT
from tests.ci.conftest import TOKEN, as_github, as_gitlab
from tests.ci.recorded_api import playing

QUICK = ("--runs", "1", "--detect", "0")
HELD_BACK = """
from rollcast.policies import policy


@policy(level="mandatory")
def never_on_a_tuesday(review):
    return ["it is always Tuesday here"]
"""


def test_the_own_comment_is_updated_in_place_and_a_forged_one_is_left_alone(
    project: Path, mark: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with playing("github-update", mark) as api:
        as_github(monkeypatch, api, project.parent)
        assert main(["review", "--base", "main", *QUICK, "--html", "report.html"]) == 0
    assert api.exchanges == []
    assert api.tokens == {f"Bearer {TOKEN}"}
    (body,) = api.bodies
    assert body["body"].startswith(f"{mark}\n## ")
    assert "rollcast review --base main --runs 1 --seed 0 --detect 0" in body["body"]
    assert len(body["body"]) < LIMIT
    assert "issuecomment-13" in capsys.readouterr().err
    assert (project / "report.html").read_text("utf-8").startswith("<!doctype html>")


def test_a_first_comment_is_written_after_a_failure_of_the_host_and_no_page_is_followed_elsewhere(
    project: Path, mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with playing("github-create", mark) as api:
        as_github(monkeypatch, api, project.parent)
        assert main(["review", "--base", "main", *QUICK]) == 0
    assert api.exchanges == []


def test_a_dry_run_reads_and_writes_nothing(
    project: Path, mark: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with playing("github-update", mark) as api:
        as_github(monkeypatch, api, project.parent)
        assert main(["review", "--base", "main", *QUICK, "--dry-run"]) == 0
    assert all(request.startswith("GET ") for request in api.requests)
    assert "would update comment 13" in capsys.readouterr().err


def test_a_token_of_a_fork_that_may_not_write_does_not_fail_the_check(
    project: Path, mark: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = project.parent / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    with playing("github-fork", mark) as api:
        as_github(monkeypatch, api, project.parent)
        assert main(["review", "--base", "main", *QUICK]) == 0
    assert "no comment was written" in capsys.readouterr().err
    assert summary.read_text("utf-8").startswith("## ")


@pytest.mark.parametrize(("name", "written"), [("gitlab-update", "PUT"), ("gitlab-create", "POST")])
def test_a_merge_request_has_one_note(
    project: Path, mark: str, monkeypatch: pytest.MonkeyPatch, name: str, written: str
) -> None:
    with playing(name, mark) as api:
        as_gitlab(monkeypatch, api)
        assert main(["review", "--base", "main", *QUICK]) == 0
    assert api.exchanges == []
    assert api.tokens == {TOKEN}
    assert [request.split()[0] for request in api.requests if not request.startswith("GET")] == [written]


def test_the_same_report_is_not_written_twice(
    project: Path, mark: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["review", "--base", "main", *QUICK, "--markdown", "report.md"]) == 0
    written = f"{mark}\n{(project / 'report.md').read_text('utf-8')}".replace("\n", "\r\n")
    with playing("github-update", mark) as api:
        as_github(monkeypatch, api, project.parent)
        api.exchanges[1]["body"][1]["body"] = written
        assert main(["review", "--base", "main", *QUICK]) == 0
    assert "Comment 13 is up to date" in capsys.readouterr().err
    assert api.bodies == []


def test_a_mandatory_guardrail_fails_the_check_and_the_comment_says_why(
    project: Path, mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "policies").mkdir(exist_ok=True)
    (project / "policies" / "days.py").write_text(HELD_BACK, "utf-8")
    with playing("github-update", mark) as api:
        as_github(monkeypatch, api, project.parent)
        assert main(["review", "--base", "main", *QUICK]) == 3
    assert "## ❌ Blocked by a guardrail: never-on-a-tuesday" in api.bodies[0]["body"]
    assert "it is always Tuesday here" in api.bodies[0]["body"]


def test_a_declaration_that_is_wrong_replaces_the_old_verdict(
    project: Path, mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "rollcast.yaml").write_text("schema: rollcast/v1\npipeline: '<b>x</b>'\n", "utf-8")
    with playing("github-update", mark) as api:
        as_github(monkeypatch, api, project.parent)
        assert main(["review", "--base", "main", *QUICK]) == 1
    assert "This can't be planned" in api.bodies[0]["body"]
    assert "<b>" not in api.bodies[0]["body"]


def test_outside_a_job_the_report_is_the_output(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["review", "--base", "main", *QUICK]) == 0
    assert capsys.readouterr().out.startswith("## ")


@pytest.mark.parametrize("revision", ["nowhere", "--output=/tmp/x", "main:rollcast.yaml"])
def test_a_revision_that_is_none_is_an_error(project: Path, capsys: pytest.CaptureFixture[str], revision: str) -> None:
    assert main(["review", f"--base={revision}", *QUICK]) == 1
    assert "git" in capsys.readouterr().err
