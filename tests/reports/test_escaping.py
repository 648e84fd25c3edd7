"""Names are hostile until escaped: whatever they hold, a reader sees it as text, and nothing else happens."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from rollcast.cli.reports.escaping import ZERO_WIDTH_SPACE, code, dot, markdown, mermaid, one_line
from rollcast.cli.terminal import clean

PUNCTUATION = st.text(st.sampled_from(list("`*_[](){}<>#|~$&\"'\\!@:/.-+=^; \n\tabwGH0123")), max_size=40)
HOSTILE = st.one_of(PUNCTUATION, st.text(max_size=40))
COMMONMARK = MarkdownIt("gfm-like", {"html": True, "linkify": True})

ATTACKS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "![x](https://evil.example/pixel.png)",
    "https://evil.example and www.evil.example and a@evil.example",
    "@everyone @org/team #12 !34 GH-12 ~label %milestone :tada:",
    "a | b |\n|---|---|\n| c",
    "```\n# heading\n```",
    "text\n\n# heading\n- list\n/close\n> quote",
    "``code`` `x` &lt; &amp; &#60;script&#62;",
    "$\\alpha$ $$x$$ $`y`$",
    "</details></td></tr></table>",
    "<!-- rollcast -->",
    "_a_ *b* **c** ~~d~~ a_b_c",
    "__0__ ___b___ a__b__c",
]


def text_of(source: str) -> tuple[str, set[str]]:
    """What a renderer makes of one paragraph: its text, and the kinds of things in it."""
    tokens = COMMONMARK.parse(f"before {source} after")
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    children = tokens[1].children or []
    links = [place for place, token in enumerate(children) if token.type == "link_open"]
    bare = {place for place in links if _is_bare(children[place + 1])}
    kept = [token for place, token in enumerate(children) if not {place, place - 2} & bare]
    return "".join(token.content for token in kept), {token.type for token in kept}


def _is_bare(text: Token) -> bool:
    """Whether a link was made of a bare name such as `0.al`, which the parser here does and the code hosts do not.

    They make links of `www.`, of schemes and of addresses (GitHub Flavored Markdown, section 6.9).
    """
    return not re.search(r"www\.|://|@", text.content, re.IGNORECASE)


def seen(text: str) -> str:
    """What a reader must see: the text without invisible breaks."""
    return one_line(text).replace(ZERO_WIDTH_SPACE, "")


@given(HOSTILE)
@example("a_b_c")
@example("x" * 500)
@example("0.AL")
def test_markdown_shows_the_text_and_is_nothing_but_text(text: str) -> None:
    shown, kinds = text_of(markdown(text))
    assert kinds <= {"text", "text_special"}
    assert shown.replace(ZERO_WIDTH_SPACE, "") == f"before {seen(text)} after"


@given(HOSTILE)
def test_a_name_in_code_shows_the_text(text: str) -> None:
    shown, kinds = text_of(code(text))
    assert kinds <= {"text", "text_special", "code_inline", "html_inline"}
    plain = re.sub(r"</?code>", "", shown).replace(ZERO_WIDTH_SPACE, "")
    assert " ".join(plain.split()) == f"before {seen(text)} after".replace("  ", " ")


@given(HOSTILE, HOSTILE)
def test_a_cell_stays_one_cell(first: str, second: str) -> None:
    source = f"| a | b |\n| --- | --- |\n| {markdown(first)} | {code(second)} |\n"
    tokens = COMMONMARK.parse(source)
    assert sum(1 for token in tokens if token.type == "td_open") == 2
    assert {token.type for token in tokens if token.level == 0} == {"table_open", "table_close"}


@pytest.mark.parametrize("attack", ATTACKS)
def test_known_attacks_make_no_markup_link_image_or_mention(attack: str) -> None:
    rendered = COMMONMARK.render(
        f"{markdown(attack)}\n\n- {markdown(attack)}\n\n| a |\n| --- |\n| {markdown(attack)} |\n"
    )
    assert set(re.findall(r"<(\w+)", rendered)) <= {"p", "ul", "li", "table", "thead", "tbody", "tr", "th", "td"}
    # A code host looks for mentions and references in the rendered text.
    assert not re.search(r"(?<![\w`])[@#!~%](?=\w)|\bGH-\d|\bwww\.|\w://", html.unescape(rendered))
    assert not any(line.startswith("/") for line in markdown(attack).splitlines())


@given(HOSTILE)
def test_a_mermaid_label_can_not_end_its_quotes(text: str) -> None:
    label = mermaid(text)
    assert not set('"`\n\r<>{}[]|\\%$&~^') & set(label)
    assert re.sub(r"#(\d+);", lambda found: chr(int(found[1])), label) == one_line(text, 80)


@given(HOSTILE)
def test_a_dot_string_can_not_end_its_quotes(text: str) -> None:
    quoted = dot(text)
    assert quoted[0] == quoted[-1] == '"'
    assert "\n" not in quoted
    assert re.fullmatch(r'(?:[^"\\]|\\.)*', quoted[1:-1])


@given(st.text())
@example("\x1b[2J\x1b]0;title\x07 \u202egnp.exe \x9b31m \x00")
def test_nothing_that_moves_the_cursor_reaches_a_terminal(text: str) -> None:
    cleaned = clean(text)
    assert all(c.isprintable() or c in "\n\t" for c in cleaned)
    assert len(cleaned) == len(text)
