"""`rollcast serve` in a real browser: what the ledger says appears by itself; an order needs the token."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import expect

from rollcast.stacks.ledger.records import Record
from rollcast.stacks.ledger.rollouts import ledger_of
from rollcast.stacks.project import Project
from tests.browser.conftest import Open
from tests.commands import ROLLCAST
from tests.reports.scenes import example_plan, forecast_for, project_copy, rollout_in

TOKEN = "a-token-of-this-test"


@dataclass(frozen=True)
class Served:
    """A running `rollcast serve`."""

    address: str
    folder: Path

    def records(self) -> list[Record]:
        return ledger_of(Project.open(self.folder)).records()

    def ask(self, path: str, method: str = "GET", **headers: str) -> int:
        """The status of one request."""
        request = urllib.request.Request(self.address + path, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code


@contextmanager
def serving(folder: Path, *words: str) -> Iterator[Served]:
    """Runs the command as a user would; it ends by Ctrl-C and leaves nothing behind."""
    command = [ROLLCAST, "serve", "--port", "0", *words]
    environment = {**os.environ, "ROLLCAST_SERVE_TOKEN": TOKEN}
    process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        found = re.search(r"http://127\.0\.0\.1:\d+/", process.stderr.readline())
        assert found, process.stderr.read()
        yield Served(found[0], folder)
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(10) in (0, 130, -signal.SIGINT)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A project with one rollout that was promoted and one under way, and a forecast of it."""
    folder = project_copy(tmp_path / "project")
    rollout_in(folder, 14, "promoted")
    rollout_in(folder, 6)
    (tmp_path / "forecast.json").write_text(json.dumps(forecast_for(example_plan()).to_json()), "utf-8")
    with serving(folder, "--forecast", str(tmp_path / "forecast.json")) as found:
        yield found


def test_the_page_is_accessible_and_asks_only_its_own_server(open_page: Open, served: Served, axe: Path) -> None:
    for scheme in ("light", "dark"):
        seen = open_page(served.address, scheme)
        expect(seen.page.locator("#connection")).to_have_text("Live")
        assert all(request.startswith(served.address) for request in seen.requests)
        assert seen.messages == []
        assert seen.violations(axe) == []


def test_what_the_ledger_says_appears_over_the_forecast_by_itself(open_page: Open, served: Served) -> None:
    page = open_page(served.address).page
    expect(page.locator("#verdict")).to_contain_text("Under way: milestone 5 of 13")
    expect(page.locator("#real-progress .legend")).to_contain_text("95 % of runs")
    rows = page.locator("[data-part=past] tbody tr")
    expect(rows).to_have_count(2)
    page.locator("summary", has_text="Values: What really happened").click()
    rollout_in(served.folder, 14, "rolled_back")
    expect(page.locator("#verdict")).to_contain_text("Rolled back", timeout=10_000)
    expect(rows).to_have_count(3)
    expect(page.locator("#real-progress-values")).to_be_visible()


def test_a_past_rollout_leads_to_its_report(open_page: Open, served: Served) -> None:
    seen = open_page(served.address)
    seen.page.locator("[data-part=past] a").last.click()
    expect(seen.page.get_by_role("heading", name="Reality")).to_be_visible()
    expect(seen.page.locator("svg.graph .box").first).to_be_visible()
    assert seen.messages == []


def test_an_order_needs_the_token_and_a_yes(open_page: Open, served: Served) -> None:
    page = open_page(served.address).page
    said = page.locator("#ordered")
    page.get_by_label("Token").fill("guessed")
    page.get_by_role("button", name="Pause").click()
    expect(said).to_contain_text("The token is wrong")
    assert all(record.kind != "order" for record in served.records())

    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Pause").click()
    expect(said).to_contain_text("Ordered: pause")
    assert served.records()[-1].body["order"] == "pause"

    page.once("dialog", lambda dialog: dialog.dismiss())
    page.get_by_role("button", name="Abort").click()
    assert served.records()[-1].body["order"] == "pause"
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Abort").click()
    expect(said).to_contain_text("Ordered: abort")
    assert served.records()[-1].body["order"] == "abort"


def test_other_sites_get_nothing_and_order_nothing(served: Served) -> None:
    assert served.ask("") == 200
    assert served.ask("", Host="evil.example") == 400
    assert served.ask("orders/abort", "POST") == 401
    assert served.ask("orders/abort", "POST", Authorization="Bearer ") == 401
    assert served.ask("orders/abort", "GET") == 405
    assert served.ask("orders/everything", "POST", Authorization=f"Bearer {TOKEN}") == 404
    assert served.ask("rollouts/ro-unknown") == 404
    assert served.ask("assets/..%2f..%2fmain.py") == 404
    assert all(record.kind != "order" for record in served.records())


def test_a_read_only_view_takes_no_orders(tmp_path: Path) -> None:
    folder = project_copy(tmp_path / "project")
    rollout_in(folder, 3)
    with serving(folder, "--read-only") as served:
        assert served.ask("orders/pause", "POST", Authorization=f"Bearer {TOKEN}") == 403


def test_a_project_without_a_rollout_says_so(open_page: Open, tmp_path: Path) -> None:
    with serving(project_copy(tmp_path / "project")) as served:
        expect(open_page(served.address).page.locator("#verdict")).to_contain_text("No rollout yet")
