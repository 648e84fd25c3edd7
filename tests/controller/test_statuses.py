"""What became of a commit is told to its own code host, in that host's words, and hinders nothing."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from rollcast.cli.commenting.statuses import statuses_of
from rollcast.cli.following.statuses import StatusReports
from rollcast.stacks.following.schedule import RolloutState

COMMIT = "a" * 40


class CodeHost:
    """A server that takes statuses as GitHub and GitLab do, and keeps what came."""

    def __init__(self) -> None:
        self.came: list[tuple[str, str, dict[str, Any]]] = []
        self.answers = 201
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                token = self.headers.get("authorization") or self.headers.get("private-token") or ""
                host.came.append((self.path, token, body))
                self.send_response(host.answers)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *words: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def host() -> Iterator[CodeHost]:
    made = CodeHost()
    yield made
    made.close()


def report(url: str, environment: dict[str, str], *outcomes: tuple[str, RolloutState | None, str]) -> list[str]:
    """Reports outcomes of one commit; what was said of it."""
    said: list[str] = []

    async def run() -> None:
        reports = StatusReports(statuses_of(url, environment), said.append)
        for name, state, text in outcomes:
            reports.put(COMMIT, name, state, text)
        await reports.end()

    asyncio.run(run())
    return said


def test_github_hears_the_last_of_each_environment(host: CodeHost) -> None:
    environment = {"ROLLCAST_GITHUB_TOKEN": "secret", "GITHUB_API_URL": host.address}
    said = report(
        "git@github.com:team/releases.git", environment,
        ("alpha/dev", RolloutState.UNDER_WAY, "more evidence"), ("alpha/prod", RolloutState.ROLLED_BACK, "x" * 400),
        ("alpha/dev", RolloutState.DECLARED, "every milestone is reached"), ("beta", None, "no such prompt"),
    )  # fmt: skip
    assert said == []
    assert {(path, token) for path, token, _ in host.came} == {
        (f"/repos/team/releases/statuses/{COMMIT}", "Bearer secret")
    }
    found = {body["context"]: (body["state"], body["description"]) for _, _, body in host.came}
    assert found["rollcast/alpha/dev"] == ("success", "every milestone is reached")
    assert found["rollcast/beta"] == ("failure", "no such prompt")
    state, text = found["rollcast/alpha/prod"]
    assert (state, len(text)) == ("failure", 140)


def test_gitlab_hears_it_in_its_own_words(host: CodeHost) -> None:
    environment = {"ROLLCAST_GITLAB_TOKEN": "secret", "CI_API_V4_URL": host.address}
    report("https://gitlab.com/a/b/c.git", environment, ("alpha/dev", RolloutState.WAITING, "not eligible yet"))
    report("https://gitlab.com/a/b/c.git", environment, ("alpha/dev", RolloutState.BLOCKED, "by a guardrail"))
    assert [(path, token, body["state"]) for path, token, body in host.came] == [
        (f"/projects/a%2Fb%2Fc/statuses/{COMMIT}", "secret", "running"),
        (f"/projects/a%2Fb%2Fc/statuses/{COMMIT}", "secret", "failed"),
    ]


def test_a_refusal_is_said_and_is_no_error_of_the_controller(host: CodeHost) -> None:
    host.answers = 403
    environment = {"GITHUB_TOKEN": "secret", "GITHUB_API_URL": host.address}
    (said,) = report("https://github.com/a/b", environment, ("alpha/dev", RolloutState.DECLARED, "done"))
    assert "commit statuses" in said
    assert "secret" not in said


@pytest.mark.parametrize("url", [
    "https://git.example/a/b", "git@gitea.example:a/b.git", "/srv/git/a.git", "file:///srv/a.git", "https://github.com/",
    "https://github.com.evil.example/a/b", "", "https://notgitlab.com/a/b",
])  # fmt: skip
def test_a_token_goes_to_no_other_host(url: str) -> None:
    assert statuses_of(url, {"ROLLCAST_GITHUB_TOKEN": "a", "ROLLCAST_GITLAB_TOKEN": "b"}) is None


def test_without_a_token_nothing_is_told() -> None:
    assert statuses_of("https://github.com/a/b", {}) is None
