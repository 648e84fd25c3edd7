"""The team's demo in short, and its receiver of news, which takes nothing that nobody signed."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from rollcast.stacks.notifying.signing import headers_of
from tests.notifying.test_posting import KEY

EXAMPLES = Path(__file__).parents[2] / "examples"
EVENT = {
    "id": "ab12", "source": "/rollcast/help-desk/staging", "type": "dev.cdevents.service.upgraded.0.3.0",
    "data": {"customData": {"releases": {"default": "rel-2"}, "text": "everybody is on rel-2", "reason": ""}},
}  # fmt: skip


@pytest.mark.engine
@pytest.mark.slow
def test_a_first_release_goes_from_merge_to_production_by_itself_and_two_people(tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "team/run.py"), "--short", "--folder", str(tmp_path / "team")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    table = done.stdout.partition("=== What held")[2].splitlines()[2:]
    assert len(table) == 6, done.stdout
    assert all(line.startswith("  yes ") for line in table), done.stdout


@pytest.fixture
def news(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(EXAMPLES)
    return importlib.import_module("team.news")


def sent(url: str, body: bytes, headers: dict[str, str]) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_news_is_taken_once_and_only_where_it_is_signed(news: Any) -> None:
    body = json.dumps(EVENT).encode()
    now_s = int(news.time.time())
    signed = headers_of("ab12", now_s, body, KEY)
    with news.News(KEY) as found:
        assert sent(found.url, body, {}) == 401
        assert sent(found.url, body + b" ", signed) == 401
        assert sent(found.url, body, headers_of("ab12", now_s - 3600, body, KEY)) == 401
        assert found.items == []
        assert [sent(found.url, body, signed) for _ in range(2)] == [204, 204]
    (item,) = found.items
    assert (item.environment, item.what, item.release, found.refused) == ("staging", "deployed", "rel-2", 3)
