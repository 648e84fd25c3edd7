"""One concept has one word: no two public classes of one name, and no word that another one has replaced."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest
import yaml

from tests.architecture.code import ROOT, companions, identifiers, modules, public_classes, texts

TERMS = yaml.safe_load((ROOT / "docs" / "terms.yaml").read_text("utf-8"))
REPLACED = {word: term["term"] for term in TERMS for word in term.get("instead_of", ())}


def test_no_two_public_classes_have_one_name() -> None:
    homes: dict[str, list[str]] = defaultdict(list)
    for name, path in public_classes():
        homes[name].append(str(path))
    assert {name: paths for name, paths in homes.items() if len(paths) > 1} == {}


@cache
def words() -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """(place, name) of every identifier, and (place, text) of every text that is more than one word, a key of JSON."""
    names, sentences = [], []
    for module in (*modules(), *companions()):
        names += [(f"{module.path}:{line}: {name}", name) for name, line in identifiers(module)]
        found = ((f"{module.path}:{line}", text) for text, line in texts(module))
        sentences += [(place, text) for place, text in found if not text.isidentifier()]
    return names, sentences


@pytest.mark.parametrize("word", sorted(REPLACED))
def test_a_replaced_word_is_in_no_identifier_and_in_no_message(word: str) -> None:
    name = re.compile(rf"(^|_){word.replace(' ', '_')}(_|$)", re.IGNORECASE)
    text = re.compile(rf"\b{word}\b", re.IGNORECASE)
    names, sentences = words()
    found = [place for place, said in names if name.search(said)]
    found += [f"{place}: {said[:60]!r}" for place, said in sentences if text.search(said)]
    assert not found, f"say '{REPLACED[word]}' instead of '{word}'"


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: page.name)
def test_a_replaced_word_is_on_no_page(page: Path) -> None:
    text = page.read_text("utf-8")
    found = [word for word in REPLACED if re.search(rf"\b{word}\b", text, re.IGNORECASE)]
    assert not found, f"say {', '.join(REPLACED[word] for word in found)}"


def test_terms_are_sorted_out_once() -> None:
    names = [term["term"] for term in TERMS]
    assert len(names) == len(set(names))
    assert not set(names) & set(REPLACED)
