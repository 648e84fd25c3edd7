"""A pull request is judged by the rules of the branch that it goes into: it may add some, and weaken none."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from rollcast.cli.main import main

QUICK = ("--runs", "1", "--detect", "0", "--comment", "none")
RULE = """from rollcast.policies import policy


@policy(level="mandatory")
def never(review):
    return ["not on this branch"]
"""
HARMLESS = RULE.replace('return ["not on this branch"]', "return []")
PATCHING = """from rollcast.policies.judgement import evaluation

evaluation.Judgement.blocks = lambda self, command="apply": False
"""


def commit(project: Path) -> None:
    for words in (["add", "."], ["commit", "-q", "-m", "rules"]):
        subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@t", *words], cwd=project, check=True)


@pytest.fixture
def ruled(project: Path) -> Path:
    """The base has a mandatory rule that nothing passes; the work tree has the change."""
    changed = (project / "rollcast.yaml").read_text("utf-8")
    released = (project / "released.yaml").read_text("utf-8")
    (project / "policies").mkdir(exist_ok=True)
    (project / "policies" / "days.py").write_text(RULE, "utf-8")
    (project / "rollcast.yaml").write_text(released, "utf-8")
    commit(project)
    (project / "rollcast.yaml").write_text(changed, "utf-8")
    return project


def reviewed(project: Path) -> tuple[int, str]:
    code = main(["review", "--base", "main", *QUICK, "--markdown", "report.md"])
    return code, (project / "report.md").read_text("utf-8")


def test_a_rule_of_the_base_holds_whatever_the_change_does_to_it(ruled: Path) -> None:
    own = ruled / "policies" / "days.py"
    for text in (HARMLESS, RULE.replace("mandatory", "disabled"), None):
        own.unlink(missing_ok=True)
        if text is not None:
            own.write_text(text, "utf-8")
        code, said = reviewed(ruled)
        assert code == 3, text
        assert "not on this branch" in said
        assert ("this change has its own never" in said.lower()) == (text is not None)


def test_an_override_that_is_new_does_not_count_yet(ruled: Path) -> None:
    text = (ruled / "rollcast.yaml").read_text("utf-8")
    waived = "overrides:\n  - {policy: never, reason: we know better, expires: '2999-01-01'}\n"
    (ruled / "rollcast.yaml").write_text(text + waived, "utf-8")
    code, said = reviewed(ruled)
    assert code == 3
    assert "override of never is new and does not count" in said
    (ruled / "rollcast.yaml").write_text((ruled / "released.yaml").read_text("utf-8") + waived, "utf-8")
    commit(ruled)
    (ruled / "rollcast.yaml").write_text(text + waived, "utf-8")
    assert reviewed(ruled)[0] == 0


def test_a_change_may_add_a_rule_and_reach_nothing_else(project: Path) -> None:
    (project / "policies").mkdir(exist_ok=True)
    (project / "policies" / "more.py").write_text(PATCHING + RULE.replace("def never", "def added"), "utf-8")
    code, said = reviewed(project)
    assert code == 3
    assert "not on this branch" in said
    (project / "policies" / "more.py").write_text("import os\n\nos._exit(0)\n", "utf-8")
    assert main(["review", "--base", "main", *QUICK]) == 1
