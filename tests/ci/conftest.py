"""A pull request in a clone of its own, and the environments of the jobs that run for it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from rollcast.cli.commenting.calls import Api as Calls
from rollcast.cli.commenting.sticky import mark_of
from tests.ci.recorded_api import Api
from tests.reports.scenes import EXAMPLE, project_copy

TOKEN = "a-token-of-this-job"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git clone with the example: the release of today on `main`, the change of a pull request in the work tree."""
    folder = project_copy(tmp_path / "project")
    trace = (EXAMPLE / "traffic" / "AzureLLMInferenceTrace_conv.csv").read_text("utf-8").splitlines(keepends=True)
    (folder / "traffic").mkdir()
    (folder / "traffic" / "short.csv").write_text("".join(trace[:120]), "utf-8")
    declared = (folder / "rollcast.yaml").read_text("utf-8")
    (folder / "rollcast.yaml").write_text((folder / "released.yaml").read_text("utf-8"), "utf-8")
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "released"]):
        subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@t", *words], cwd=folder, check=True)
    (folder / "rollcast.yaml").write_text(declared, "utf-8")
    for name in ("GITHUB_ACTIONS", "GITLAB_CI", "GITHUB_STEP_SUMMARY", "GITHUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(Calls, "_pause_s", 0.0)
    # One core: for so few requests, starting workers would cost more than they do. Results are the same.
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0})
    return folder


@pytest.fixture
def mark() -> str:
    return mark_of(".", "rollcast.yaml", "")


def as_github(monkeypatch: pytest.MonkeyPatch, api: Api, folder: Path) -> None:
    """The environment of a workflow's job."""
    event = folder / "event.json"
    event.write_text(json.dumps({"pull_request": {"number": 7}}), "utf-8")
    for name, value in {
        "GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": "pull_request", "GITHUB_EVENT_PATH": str(event),
        "GITHUB_API_URL": api.address, "GITHUB_REPOSITORY": "acme/site", "GITHUB_TOKEN": TOKEN,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)


def as_gitlab(monkeypatch: pytest.MonkeyPatch, api: Api) -> None:
    """The environment of a merge request's job."""
    for name, value in {
        "GITLAB_CI": "true", "CI_API_V4_URL": api.address, "CI_PROJECT_ID": "42", "CI_MERGE_REQUEST_IID": "7",
        "ROLLCAST_GITLAB_TOKEN": TOKEN,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
