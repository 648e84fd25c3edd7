"""Commit statuses: what became of a commit, beside it at its code host.

GitHub: docs.github.com/en/rest/commits/statuses. GitLab: docs.gitlab.com/api/commits. A token goes to the host of the
repository and to no other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, urlsplit

from rollcast.cli.commenting.calls import Api, github_address, github_api
from rollcast.cli.commenting.hosts import HostName

StatusState = Literal["pending", "success", "failure"]
_LONGEST = 140  # of a description at GitHub
_SCP = re.compile(r"(?:[^@/]+@)?(?P<host>[^:/@]+):(?P<path>[^/].*)")


@dataclass(frozen=True)
class CommitStatuses:
    """Where the statuses of a repository are."""

    host: HostName
    api: Api
    repository: str

    def post(self, commit: str, name: str, state: StatusState, text: str) -> None:
        """The status of this name, in the place of the one before. Raises CommentError."""
        said = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
        if self.host == "github":
            body = {"state": state, "context": name, "description": said}
            self.api.send("POST", f"/repos/{self.repository}/statuses/{commit}", body)
            return
        gitlab = {"pending": "running", "failure": "failed"}.get(state, state)
        body = {"state": gitlab, "name": name, "description": said}
        self.api.send("POST", f"/projects/{quote(self.repository, safe='')}/statuses/{commit}", body)


def statuses_of(url: str, environment: Mapping[str, str]) -> CommitStatuses | None:
    """The statuses of a repository by its address; None where its host is not known, or there is no token for it."""
    host, repository = _parts(url)
    if not repository:
        return None
    token = environment.get("ROLLCAST_GITHUB_TOKEN") or environment.get("GITHUB_TOKEN")
    if token and host in ("github.com", urlsplit(github_address(environment)).hostname):
        return CommitStatuses("github", github_api(environment, token, "commit statuses"), repository)
    gitlab = environment.get("CI_API_V4_URL") or "https://gitlab.com/api/v4"
    token = environment.get("ROLLCAST_GITLAB_TOKEN") or environment.get("GITLAB_TOKEN")
    if token and host in ("gitlab.com", urlsplit(gitlab).hostname):
        return CommitStatuses("gitlab", Api(gitlab, {"private-token": token}, "commit statuses"), repository)
    return None


def _parts(url: str) -> tuple[str, str]:
    """Host and path of a repository's address; nothing of a path of this machine."""
    if "://" in url:
        found = urlsplit(url)
        host, path = (found.hostname or "", found.path) if found.scheme in ("https", "http", "ssh") else ("", "")
    else:
        scp = _SCP.fullmatch(url)
        host, path = (scp["host"], scp["path"]) if scp else ("", "")
    return host.lower(), path.strip("/").removesuffix(".git")


__all__ = ["CommitStatuses", "StatusState", "statuses_of"]
