"""GitHub and GitLab: where their comments are, and what a job's environment says of the request that it runs for.

GitHub: docs.github.com/en/rest/issues/comments. GitLab: docs.gitlab.com/api/notes (merge request notes).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol
from urllib.parse import quote

from rollcast.cli.commenting.calls import Api, github_api
from rollcast.cli.commenting.errors import CommentError

HostName = Literal["github", "gitlab"]


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment that is there."""

    id: int
    author: str
    body: str


class Host(Protocol):
    """Where a request's comments are kept."""

    def me(self) -> str:
        """The login that this token's comments carry."""

    def comments(self) -> Iterator[Comment]:
        """Every comment, oldest first."""

    def create(self, body: str) -> str:
        """A new comment; gives its address."""

    def update(self, comment: Comment, body: str) -> str:
        """Changes a comment; gives its address."""


@dataclass(frozen=True)
class GitHub:
    """The comments of a pull request."""

    api: Api
    repository: str
    number: int

    def me(self) -> str:
        # The token of a workflow has no user that it may ask for; its comments are those of this app.
        found = self.api.may_get("/user")
        return str(found["login"]) if found else "github-actions[bot]"

    def comments(self) -> Iterator[Comment]:
        for item in self.api.pages(f"/repos/{self.repository}/issues/{self.number}/comments?per_page=100"):
            yield Comment(int(item["id"]), str((item.get("user") or {}).get("login")), str(item.get("body") or ""))

    def create(self, body: str) -> str:
        path = f"/repos/{self.repository}/issues/{self.number}/comments"
        return str(self.api.send("POST", path, {"body": body})["html_url"])

    def update(self, comment: Comment, body: str) -> str:
        path = f"/repos/{self.repository}/issues/comments/{comment.id}"
        return str(self.api.send("PATCH", path, {"body": body})["html_url"])


@dataclass(frozen=True)
class GitLab:
    """The notes of a merge request."""

    api: Api
    project: str
    number: int

    @property
    def _notes(self) -> str:
        return f"/projects/{quote(self.project, safe='')}/merge_requests/{self.number}/notes"

    def me(self) -> str:
        return str(self.api.get("/user")["username"])

    def comments(self) -> Iterator[Comment]:
        for item in self.api.pages(f"{self._notes}?per_page=100&sort=asc&order_by=created_at"):
            yield Comment(int(item["id"]), str((item.get("author") or {}).get("username")), str(item.get("body") or ""))

    def create(self, body: str) -> str:
        return f"{self._notes}/{self.api.send('POST', self._notes, {'body': body})['id']}"

    def update(self, comment: Comment, body: str) -> str:
        self.api.send("PUT", f"{self._notes}/{comment.id}", {"body": body})
        return f"{self._notes}/{comment.id}"


def host_of(name: HostName, environment: Mapping[str, str]) -> Host:
    """The host of the request that this job runs for. Raises CommentError naming what is missing."""
    if name == "github":
        api = github_api(environment, _wanted(environment, "GITHUB_TOKEN"))
        return GitHub(api, _wanted(environment, "GITHUB_REPOSITORY"), _pull_request(environment))
    token = environment.get("ROLLCAST_GITLAB_TOKEN") or _wanted(environment, "GITLAB_TOKEN")
    api = Api(_wanted(environment, "CI_API_V4_URL"), {"private-token": token})
    return GitLab(api, _wanted(environment, "CI_PROJECT_ID"), int(_wanted(environment, "CI_MERGE_REQUEST_IID")))


def named_by(environment: Mapping[str, str]) -> HostName | None:
    """The host whose job this is; None elsewhere, and where the job is of no request."""
    if environment.get("GITHUB_ACTIONS") == "true":
        return "github" if environment.get("GITHUB_EVENT_NAME", "").startswith("pull_request") else None
    if environment.get("GITLAB_CI") == "true":
        return "gitlab" if environment.get("CI_MERGE_REQUEST_IID") else None
    return None


def _wanted(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name)
    if not value:
        raise CommentError(f"{name} is not set. Run this in a job of a pull or merge request, with a token.")
    return value


def _pull_request(environment: Mapping[str, str]) -> int:
    """The number of the pull request, from the event that started the workflow."""
    path = Path(_wanted(environment, "GITHUB_EVENT_PATH"))
    try:
        return int(json.loads(path.read_text("utf-8"))["pull_request"]["number"])
    except (OSError, ValueError, KeyError, TypeError):
        raise CommentError(f"{path} names no pull request. Run the workflow on 'pull_request'.") from None
