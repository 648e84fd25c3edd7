"""A project's policies: found in order of name, named by a digest, refused when they can't be known."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from rollcast.planner.loading.loader import load
from rollcast.planner.planning.planner import live_as_declared, make_plan
from rollcast.policies import PolicyError, discover, judge
from tests.policies.reviews import DECLARED, RELEASED, TODAY

RULE = """\
from rollcast.policies import policy

@policy(level="{level}")
def {name}(review):
    "A reason."
    return [{text!r}]
"""


def project(folder: Path, **files: str) -> Path:
    (folder / "policies").mkdir(exist_ok=True)
    (folder / "rollcast.yaml").write_text(DECLARED)
    for name, text in files.items():
        (folder / "policies" / f"{name}.py").write_text(text)
    return folder


def own(folder: Path) -> list[str]:
    from rollcast.policies.library import defaults

    default = {one.name for one in defaults()}
    return [one.name for one in discover(folder).policies if one.name not in default]


def test_policies_are_loaded_in_order_of_file_and_then_of_line(tmp_path: Path) -> None:
    second = RULE.format(level="advisory", name="third", text="3")
    first = RULE.format(level="advisory", name="first", text="1") + RULE.format(
        level="advisory", name="second", text="2"
    )
    project(tmp_path, b=second, a=first, test_x="raise SystemError", _shared="ONE = 1", conftest="raise SystemError")
    assert own(tmp_path) == ["first", "second", "third"]
    assert discover(tmp_path).files == ("a.py", "b.py")


def test_a_project_without_policies_has_the_default_ones(tmp_path: Path) -> None:
    assert own(tmp_path) == []


def test_policies_may_import_what_lies_beside_them_and_leave_nothing_behind(tmp_path: Path) -> None:
    rule = "from _shared import TEXT\n" + RULE.format(level="advisory", name="one", text="1")
    project(tmp_path, a=rule, _shared="TEXT = 'shared'")
    before = (list(sys.path), set(sys.modules))
    assert own(tmp_path) == ["one"]
    assert list(sys.path) == before[0]
    assert "_shared" not in sys.modules
    assert not list(tmp_path.rglob("__pycache__"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("raise ValueError('broken')", "ValueError: broken"),
        ("def rule(:", "SyntaxError"),
        ("import no_such_module", "ModuleNotFoundError"),
        ("import sys; sys.exit(0)", "SystemExit"),
        (RULE.format(level="mandatry", name="one", text="1"), "Did you mean 'mandatory'"),
        (RULE.format(level="advisory", name="one", text="1") * 2, "two policies are named 'one'"),
    ],
)
def test_a_file_that_cannot_be_loaded_is_an_error_that_names_it(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(PolicyError) as caught:
        discover(project(tmp_path, rules=text))
    assert "rules.py" in str(caught.value)
    assert expected in str(caught.value)


def test_the_digest_changes_with_any_rule_and_with_nothing_else(tmp_path: Path) -> None:
    project(tmp_path, a=RULE.format(level="advisory", name="one", text="1"), _shared="")
    first = discover(tmp_path).digest
    (tmp_path / "policies" / "test_a.py").write_text("def test(): pass")
    assert discover(tmp_path).digest == first
    (tmp_path / "policies" / "_shared.py").write_text("LIMIT = 2")
    second = discover(tmp_path).digest
    assert second != first
    (tmp_path / "policies" / "a.py").write_text(RULE.format(level="advisory", name="one", text="2"))
    assert discover(tmp_path).digest not in (first, second)


def test_judgements_go_into_the_plan_with_the_digest_of_the_policies(tmp_path: Path) -> None:
    project(tmp_path, a=RULE.format(level="mandatory", name="one", text="it is so"))
    declaration = load(DECLARED)
    plan = make_plan(declaration, live_as_declared(load(RELEASED)))
    judgements = judge(tmp_path, declaration, plan, today=TODAY)
    judged = judgements.on(plan)
    entry = next(guardrail for guardrail in judged.guardrails if guardrail["policy"] == "one")
    assert {key: entry[key] for key in ("policy", "level", "passed", "message")} == {
        "policy": "one", "level": "mandatory", "passed": False, "message": "it is so",
    }  # fmt: skip
    assert judged.binding.policy_digest == discover(tmp_path).digest
    assert judged.digest == plan.digest
    assert "one" in [one.policy for one in judgements.blocking("plan")]
