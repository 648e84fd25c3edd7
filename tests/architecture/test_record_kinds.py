"""Whoever looks for a kind of record looks for one that somebody writes: else it finds none, and nobody notices."""

from __future__ import annotations

import re

from tests.architecture.code import ROOT

WRITTEN = re.compile(r'(?:append|_save)\(\s*"([a-z_ ]+)"')
NAMED = re.compile(r'^(?:[A-Z_]+, )*[A-Z_]+ = ((?:"[a-z_ ]+"(?:, )?)+)', re.MULTILINE)
LOOKED_FOR = re.compile(r'\b(?:r|record|each)\.kind (?:==|in|not in|!=) (\([^)]*\)|"[^"]*")')


def test_every_kind_of_record_that_is_looked_for_is_written() -> None:
    texts = [
        path.read_text("utf-8")
        for part in ("stacks/rollcast/stacks/ledger", "stacks/rollcast/stacks/rollout", "cli/rollcast/cli")
        for path in (ROOT / part).rglob("*.py")
    ]
    written = {kind for text in texts for kind in WRITTEN.findall(text)}
    written |= {kind for text in texts for said in NAMED.findall(text) for kind in re.findall(r'"([^"]+)"', said)}
    wanted = {kind for text in texts for said in LOOKED_FOR.findall(text) for kind in re.findall(r'"([^"]+)"', said)}
    assert "order" in wanted, "else nothing is compared here"
    assert not wanted - written
