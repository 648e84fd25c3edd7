"""Debian's Chromium, driven for real: a fresh profile for each test, and a record of all that a page asks for."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
OPTIONS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
AXE_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@dataclass
class Seen:
    """A page, and what it did: requests, messages of its console, errors of its scripts."""

    page: Page
    requests: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    def violations(self, axe: Path) -> list[str]:
        """What axe-core finds wrong, as one line each."""
        self.page.evaluate(axe.read_text("utf-8"))
        found: dict[str, Any] = self.page.evaluate(
            "rules => axe.run(document, {runOnly: {type: 'tag', values: rules}})", AXE_RULES
        )
        return [
            f"{rule['id']}: {rule['help']}: {node['html'][:200]} {json.dumps(node.get('any', [])[:1])[:300]}"
            for rule in found["violations"]
            for node in rule["nodes"][:3]
        ]


Open = Callable[..., Seen]


@pytest.fixture(scope="session")
def modules() -> Path:
    """The folder with axe-core and mermaid, installed by the lock file."""
    script = Path(__file__).with_name("setup.sh")
    done = subprocess.run(["sh", str(script)], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{script} failed; it needs npm: {done.stderr}"
    return Path(done.stdout.strip()) / "node_modules"


@pytest.fixture(scope="session")
def axe(modules: Path) -> Path:
    return modules / "axe-core" / "axe.min.js"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, for one file: as long as Playwright is open, its event loop counts as running in this thread.

    A test elsewhere, in the same worker, could start none.
    """
    if not Path(CHROMIUM).exists():
        pytest.skip("Chromium is not installed; 'make servers' installs it")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=list(OPTIONS))
        yield launched
        launched.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Opens an address in a profile of its own."""
    contexts = []

    def opened(address: str, scheme: Literal["light", "dark"] = "light", width: int = 1100) -> Seen:
        context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
        contexts.append(context)
        seen = Seen(context.new_page())
        seen.page.on("request", lambda request: seen.requests.append(request.url))
        seen.page.on("console", lambda message: seen.messages.append(f"{message.type}: {message.text}"))
        seen.page.on("pageerror", lambda error: seen.messages.append(f"error: {error}"))
        seen.page.goto(address)
        return seen

    yield opened
    for context in contexts:
        context.close()
