"""What changes inside artifacts: words of prompts, calls of tools, variables of templates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcast.cli.main import main
from rollcast.cli.reports.contents import in_markdown
from rollcast.planner.plan.models import ContentChange
from rollcast.stacks.artifacts.tool_schemas import breaks_of, tools_of
from rollcast.stacks.artifacts.words import variables_of, word_diff

texts = st.text(st.sampled_from("ab .\n{}"), max_size=60)


@given(texts, texts)
def test_what_is_kept_and_taken_out_is_the_old_text_and_what_is_kept_and_put_in_the_new_one(old: str, new: str) -> None:
    found = word_diff(old, new)
    assert "".join(text for sign, text in found if sign != "+") == old
    assert "".join(text for sign, text in found if sign != "-") == new
    if old == new:
        assert all(sign == "=" for sign, _ in found)


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("Answer {question} for {user}.", {"question", "user"}),
        ('Answer {question} as {"answer": 1} or {{literal}}.', {"question"}),
        (
            "Answer {{ question }} in {{ user.language }}. {% for c in cues %}{{ c }}{% endfor %}",
            {"question", "user", "cues"},
        ),
        ("Answer ${question}.", {"question"}),
        ("{{ broken", {"broken"}),
        ("{% if x %} {{ y", {"y"}),
        ("No variable, { } and {} and { a b }.", set()),
    ],
)
def test_variables_are_those_of_the_form_that_a_template_has(text: str, variables: set[str]) -> None:
    assert variables_of(text) == variables


@given(st.text(max_size=80))
def test_no_text_is_a_crash(text: str) -> None:
    variables_of(text)


# ---- tools --------------------------------------------------------------------------------------


def tool(properties: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    return {"search": {"type": "object", "properties": properties, "required": required or []}}


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (tool({"q": {}}), {}, ["tool 'search' is removed"]),
        (tool({"q": {}, "n": {}}), tool({"q": {}}), ["'search': argument 'n' is removed"]),
        (tool({"q": {}}), tool({"q": {}}, ["q"]), ["'search': argument 'q' is required now"]),
        (tool({"q": {}}), tool({"q": {}, "n": {}}, ["n"]), ["'search': argument 'n' is required now"]),
        (tool({"q": {}}), tool({"q": {}, "n": {}}), []),
        (tool({"n": {"type": "integer"}}), tool({"n": {"type": "number"}}), []),
        (
            tool({"n": {"type": "number"}}), tool({"n": {"type": "integer"}}),
            ["'search': argument 'n' was of type integer or number, and is of type integer"],
        ),
        (
            tool({"s": {"enum": ["a", "b"]}}), tool({"s": {"enum": ["b", "c"]}}),
            ["'search': argument 's' no longer takes \"a\""],
        ),
        (
            tool({"o": {"properties": {"deep": {}}}}), tool({"o": {"properties": {}}}),
            ["'search': argument 'o.deep' is removed"],
        ),
    ],
)  # fmt: skip
def test_what_refuses_a_call_that_was_right_is_a_break_and_nothing_else(
    before: dict[str, Any], after: dict[str, Any], said: list[str]
) -> None:
    assert breaks_of(before, after) == said


names = st.sampled_from(["q", "n", "s"])
schemas = st.fixed_dictionaries({}, optional={"type": st.sampled_from(["string", "integer", "number"])})


@st.composite
def tools(draw: st.DrawFn) -> dict[str, Any]:
    properties = draw(st.dictionaries(names, schemas))
    required = draw(st.lists(names, unique=True))
    return {
        "search": {"type": "object", "properties": properties, "required": [r for r in required if r in properties]}
    }


@given(tools(), tools(), st.dictionaries(names, st.sampled_from(["text", 3, 2.5])))
def test_a_change_without_a_break_takes_every_call_that_was_right(
    before: dict[str, Any], after: dict[str, Any], call: dict[str, Any]
) -> None:
    from jsonschema import Draft202012Validator

    def strict(one: dict[str, Any]) -> Draft202012Validator:
        return Draft202012Validator({**one["search"], "additionalProperties": False})

    if strict(before).is_valid(call) and not breaks_of(before, after):
        assert strict(after).is_valid(call)


@pytest.mark.parametrize(
    "form",
    [
        [{"type": "function", "function": {"name": "search", "parameters": {"properties": {"q": {}}}}}],
        [{"name": "search", "input_schema": {"properties": {"q": {}}}}],
        {"tools": [{"name": "search", "inputSchema": {"properties": {"q": {}}}}]},
        {"search": {"properties": {"q": {}}}},
    ],
)
def test_the_forms_of_vendors_are_one(form: Any) -> None:
    assert tools_of(json.dumps(form)) == {"search": {"properties": {"q": {}}}}


@pytest.mark.parametrize("text", ["[]x", "3", '[{"no": "name"}]', '{"a": 1}'])
def test_what_is_no_tool_schema_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        tools_of(text)


# ---- in a project -------------------------------------------------------------------------------

RELEASED = """\
schema: rollcast/v1
pipeline: chat
artifacts:
  - {kind: model-weights, name: bot, version: "1", source: "file:bot"}
  - {kind: prompt-template, name: answer, version: "7", source: "file:answer-7.txt"}
  - {kind: prompt-template, name: answer, version: "8", source: "file:answer-8.txt"}
  - {kind: tool-schema, name: tools, version: "1", source: "file:tools-1.json", provides: {tool-api: "1"}}
  - {kind: tool-schema, name: tools, version: "2", source: "file:tools-2.json", provides: {tool-api: "1"}}
components:
  generator: {artifact: bot@1, prompt: answer@7, tools: tools@1, variables: [question]}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "bot").write_text("bot", "utf-8")
    (tmp_path / "answer-7.txt").write_text("Answer the {question} briefly and kindly.\n", "utf-8")
    (tmp_path / "answer-8.txt").write_text("Answer the {question} at length and kindly.\n", "utf-8")
    (tmp_path / "tools-1.json").write_text(json.dumps(tool({"q": {}, "n": {}})), "utf-8")
    (tmp_path / "tools-2.json").write_text(json.dumps(tool({"q": {}}, ["q"])), "utf-8")
    (tmp_path / "released.yaml").write_text(RELEASED, "utf-8")
    (tmp_path / "rollcast.yaml").write_text(
        RELEASED.replace("answer@7, tools: tools@1", "answer@8, tools: tools@2"), "utf-8"
    )
    assert main(["-C", str(tmp_path), "lock"]) == 0
    return tmp_path


def test_two_prompts_word_by_word(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["-C", str(project), "diff", "answer@7", "answer@8"]) == 0
    assert "Answer the {question} [-briefly-]{+at length+} and kindly." in capsys.readouterr().out
    assert main(["-C", str(project), "diff", "answer@7", "answer@7"]) == 0
    assert "have the same content" in capsys.readouterr().out
    assert main(["-C", str(project), "diff", "answer@7", "tools@1"]) == 1
    assert "Compare two of one kind" in capsys.readouterr().err
    assert main(["-C", str(project), "diff", "answer", "answer@7"]) == 1
    assert "names no version" in capsys.readouterr().err


def test_a_plan_shows_the_words_and_refuses_a_break_that_no_contract_says(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["-C", str(project), "plan", "--from", "released.yaml"]) == 3
    said = capsys.readouterr()
    assert "[-briefly-]{+at length+}" in said.out
    assert "breaks: 'search': argument 'n' is removed" in said.out
    assert "tools@2 breaks calls that tools@1 took" in said.err
    assert main(["-C", str(project), "plan", "--from", "released.yaml", "--format", "markdown"]) == 3
    assert "~~briefly~~**at length**" in capsys.readouterr().out
    assert main(["-C", str(project), "plan", "--from", "released.yaml", "--out", str(project / "p.json")]) == 3
    assert main(["-C", str(project), "report", str(project / "p.json"), "--out", str(project / "r.html")]) == 0
    assert "<del>briefly</del><ins>at length</ins>" in (project / "r.html").read_text("utf-8")
    text = (project / "rollcast.yaml").read_text("utf-8")
    other = text.replace('tools-2.json", provides: {tool-api: "1"}', 'tools-2.json", provides: {tool-api: "2"}')
    (project / "rollcast.yaml").write_text(other, "utf-8")
    capsys.readouterr()
    main(["-C", str(project), "plan", "--from", "released.yaml"])
    assert "tools@2 breaks calls" not in capsys.readouterr().err


def test_a_template_that_wants_what_its_component_does_not_give_is_refused_with_its_place(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "answer-8.txt").write_text("Answer the {questions} for {user}.\n", "utf-8")
    assert main(["-C", str(project), "lock"]) == 0
    capsys.readouterr()
    assert main(["-C", str(project), "validate"]) == 1
    said = capsys.readouterr().err
    assert "rollcast.yaml:10:" in said
    assert "answer@8 is to be filled with 'questions', and generator gives question. Did you mean 'question'?" in said
    assert "answer@8 is to be filled with 'user'" in said


words = st.lists(
    st.tuples(st.sampled_from("=-+"), st.text(st.characters(blacklist_categories=["Cs"]), max_size=300)), max_size=30
)


@given(words)
def test_no_text_opens_a_mark_that_a_comment_does_not_close(words: list[tuple[str, str]]) -> None:
    change = ContentChange(kind="prompt-template", before="a@1", after="a@2", slot="p", words=tuple(words))
    [text] = in_markdown([change])
    assert text.count("~~") % 2 == 0
    assert text.count("**") % 2 == 0
    assert "\n" not in text
