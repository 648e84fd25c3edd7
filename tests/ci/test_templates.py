"""The GitHub action and the GitLab template: valid by the hosts' schemas, and run here step by step as they are."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ci.conftest import as_github, as_gitlab
from tests.ci.recorded_api import playing

ROOT = Path(__file__).parents[2]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
GITLAB: dict[str, Any] = yaml.safe_load((ROOT / "ci" / "gitlab.yml").read_text("utf-8"))["rollcast-review"]
BIN = Path(sys.executable).parent
STEPS = [step for step in ACTION["runs"]["steps"] if "run" in step]
REVIEW, COMMENT = (next(step for step in STEPS if word in step["run"]) for word in ("rollcast review", "(comment"))


@pytest.mark.parametrize(
    "words",
    [
        ["--builtin-schema", "vendor.github-actions", "action.yml"],
        ["--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci", "ci/gitlab.yml"],
    ],
)
def test_a_template_is_valid_by_its_hosts_schema(words: list[str]) -> None:
    subprocess.run([str(BIN / "check-jsonschema"), *words], cwd=ROOT, check=True, capture_output=True)


def test_nothing_that_a_request_names_is_part_of_a_script() -> None:
    """An expression in a script is code; in `env` it is a value."""
    for step in ACTION["runs"]["steps"]:
        assert "${{" not in step.get("run", "")
        assert "run" not in step or step["shell"] == "bash"
    assert not any("${{" in line for line in GITLAB["script"])


def test_every_action_of_others_is_pinned_by_commit() -> None:
    used = re.findall(r"uses: (\S+)", (ROOT / "action.yml").read_text("utf-8"))
    assert used
    assert all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", one) for one in used), used


def test_no_step_that_runs_the_change_has_a_token() -> None:
    assert "TOKEN" not in yaml.safe_dump(REVIEW)
    assert "TOKEN" in yaml.safe_dump(COMMENT["env"])
    (reviewing,) = [line for line in GITLAB["script"] if "rollcast review" in line]
    assert "env -u ROLLCAST_GITLAB_TOKEN -u GITLAB_TOKEN rollcast review" in reviewing


def test_every_option_that_a_template_uses_is_one_of_the_command() -> None:
    words = [[str(BIN / "rollcast"), name, "--help"] for name in ("review", "comment")]
    said = "".join(subprocess.run(one, capture_output=True, text=True, check=True).stdout for one in words)
    shared = ["-C", "--file", "--env"]
    for script in (REVIEW["run"], COMMENT["run"], "\n".join(GITLAB["script"])):
        used = re.findall(
            r"(?<![\w-])(--[a-z-]+)",
            "\n".join(line for line in script.splitlines() if "git " not in line and "pip" not in line),
        )
        assert used
        assert all(option in said or option in shared for option in used)


def run(script: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A step, as the host's runner starts it."""
    path = f"{BIN}:{os.environ['PATH']}"
    command = ["taskset", "--cpu-list", "0", "bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def inputs(step: dict[str, Any], **given: str) -> dict[str, str]:
    """The environment of a step of the action, its inputs at their defaults but for those given."""
    values = {name: str(about["default"]) for name, about in ACTION["inputs"].items()} | given
    return {
        name: re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda m: values[m[1]], text)
        for name, text in step["env"].items()
    }


def origin(project: Path) -> None:
    """The clone's origin, as a checkout has it."""
    subprocess.run(["git", "remote", "add", "origin", str(project)], cwd=project, check=True)


def test_the_actions_step_updates_the_comment_and_reports_the_exit_code(
    project: Path, mark: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    origin(project)
    with playing("github-update", mark) as api:
        as_github(monkeypatch, api, project.parent)
        monkeypatch.delenv("GITHUB_TOKEN")
        given = {"base": "main", "runs": "1", "token": "a-token", "traffic": "traffic/short.csv\n", "directory": "."}
        out = {"RUNNER_TEMP": str(tmp_path), "GITHUB_OUTPUT": str(tmp_path / "output")}
        done = run(REVIEW["run"], project, {**inputs(REVIEW, **given), **out})
        assert done.returncode == 0, done.stderr
        assert api.tokens == set()
        done = run(COMMENT["run"], project, {**inputs(COMMENT, **given), **out})
    assert done.returncode == 0, done.stderr
    assert api.exchanges == []
    assert api.tokens == {"Bearer a-token"}
    assert (tmp_path / "output").read_text("utf-8") == f"exit-code=0\nreport={tmp_path}/rollcast-report.html\n"
    assert (tmp_path / "rollcast-report.html").exists()


def test_the_actions_dry_run_writes_nothing_and_a_blocked_plan_fails_the_step(
    project: Path, mark: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    origin(project)
    (project / "policies").mkdir(exist_ok=True)
    rule = (
        "from rollcast.policies import policy\n\n\n@policy(level='mandatory')\ndef never(review):\n    return ['no']\n"
    )
    (project / "policies" / "days.py").write_text(rule, "utf-8")
    with playing("github-update", mark) as api:
        as_github(monkeypatch, api, project.parent)
        given = {"base": "main", "runs": "1", "token": "a-token", "dry-run": "true"}
        out = {"RUNNER_TEMP": str(tmp_path), "GITHUB_OUTPUT": str(tmp_path / "output")}
        done = run(REVIEW["run"], project, {**inputs(REVIEW, **given), **out})
        assert run(COMMENT["run"], project, {**inputs(COMMENT, **given), **out}).returncode == 0
    assert done.returncode == 3
    assert api.bodies == []
    assert "exit-code=3" in (tmp_path / "output").read_text("utf-8")


@pytest.mark.parametrize("hostile", ["$(touch pwned)", "main; touch pwned", "--upload-pack=touch pwned"])
def test_a_hostile_branch_name_is_only_a_name(project: Path, tmp_path: Path, hostile: str) -> None:
    origin(project)
    given = inputs(REVIEW, base=hostile, runs="1", token="", comment="none")
    out = {"RUNNER_TEMP": str(tmp_path), "GITHUB_OUTPUT": str(tmp_path / "output")}
    assert run(REVIEW["run"], project, {**given, **out}).returncode != 0
    assert not (project / "pwned").exists()


def test_the_merge_requests_job_updates_its_note(project: Path, mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    origin(project)
    with playing("gitlab-update", mark) as api:
        as_gitlab(monkeypatch, api)
        script = "\n".join(line for line in GITLAB["script"] if "pip install" not in line)
        variables = {name: str(value) for name, value in GITLAB["variables"].items()}
        job = {**variables, "ROLLCAST_RUNS": "1", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main"}
        done = run(script, project, job)
    assert done.returncode == 0, done.stderr
    assert api.exchanges == []
    for path in GITLAB["artifacts"]["paths"]:
        assert (project / path).exists()
