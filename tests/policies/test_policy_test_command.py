"""`rollcast policy test`, the pytest plugin, and the example of the documentation, as a user runs them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.policies.reviews import DECLARED, RELEASED

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/rollcast.yaml"))
COMMAND = [sys.executable, "-c", "from rollcast.cli.main import script; script()"]


def run(project: Path, *words: str, ci: bool = False) -> subprocess.CompletedProcess[str]:
    """The command; pytest and Hypothesis behave otherwise where the variable CI is set, and so it is set or not."""
    command = [*COMMAND, "-C", str(project), "policy", "test", *words]
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "BUILD_NUMBER")}
    environment |= {"CI": "true"} if ci else {}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "rollcast.yaml").write_text(DECLARED)
    (tmp_path / "released.yaml").write_text(RELEASED)
    (tmp_path / "policies").mkdir()
    return tmp_path


def pasted(project: Path, page: str = "docs/policies.md") -> None:
    """The files of the documentation's example, as they stand there."""
    text = (ROOT / page).read_text("utf-8")
    files = re.findall(r"`policies/(\w+\.py)`:\n\n```python\n(.*?)```", text, re.DOTALL)
    assert [name for name, _ in files] == ["exposure.py", "test_exposure.py"]
    for name, code in files:
        (project / "policies" / name).write_text(code)


@pytest.mark.parametrize("page", ["README.md", "docs/policies.md"])
def test_the_example_of_the_documentation_works_as_pasted(project: Path, page: str) -> None:
    pasted(project, page)
    done = run(project, "--examples", "10", "--seed", "1", "--junit", str(project / "junit.xml"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^[3-9] passed", done.stdout, re.MULTILINE)
    assert "pass, judged by policies sha256:" in done.stdout
    suite = ElementTree.parse(project / "junit.xml").getroot().find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "0", "0")


def test_the_pasted_rule_refuses_what_it_says(project: Path) -> None:
    pasted(project)
    (project / "rollcast.yaml").write_text(DECLARED.replace("[1, 25, 100]", "[50, 100]"))
    done = run(project, "--examples", "10", "--seed", "1")
    assert done.returncode == 1
    assert "Policy 'a-new-prompt-serves-few' does not hold" in done.stdout or "Policy 'max-exposure'" in done.stdout
    assert "Affected  50 % of everyone" in done.stdout
    assert "rollcast policy test --seed 1 --examples 10" in done.stderr


def test_a_failing_property_test_tells_its_story_once_and_nothing_else(project: Path) -> None:
    test = (
        "from rollcast.policies.testing import at_every_state\n\n@at_every_state\ndef test_little(state):\n"
        "    assert all(share.percent in (1, 99, 100) for share in state.shares)\n"
    )
    (project / "policies" / "test_little.py").write_text(test)
    done = run(project, "--examples", "30", "--seed", "4")
    assert done.returncode == 1
    assert done.stdout.count("Policy 'little' does not hold: assert all(share.percent in (1, 99, 100)") == 1
    assert "25 % of everyone" in done.stdout
    assert "Traceback" not in done.stdout
    again = run(project, "--examples", "30", "--seed", "4", ci=True)
    assert again.stdout.count("Policy 'little' does not hold") == 1
    story = re.compile(r"Policy 'little'.*?Again", re.DOTALL)
    assert story.findall(done.stdout) == story.findall(again.stdout)


def test_a_broken_policy_fails_the_tests_and_blocks(project: Path) -> None:
    (project / "policies" / "rules.py").write_text(
        "from rollcast.policies import policy\n\n@policy\ndef lost(review):\n    return review.nowhere\n"
    )
    done = run(project, "--examples", "5", "--seed", "1")
    assert done.returncode == 1
    assert "the rule 'lost'" in done.stdout
    assert "it raised AttributeError" in done.stdout


def test_a_guardrail_that_blocks_the_plan_exits_3_when_all_tests_pass(project: Path) -> None:
    rule = (
        "from rollcast.policies.library import owner_approval\n\nowner_approval(['model-weights'], owners=['team'])\n"
    )
    (project / "policies" / "rules.py").write_text(rule)
    assert run(project, "--examples", "5", "--seed", "1").returncode == 3


def test_pytest_alone_finds_the_project_and_its_fixtures(project: Path) -> None:
    (project / "policies" / "test_fixtures.py").write_text(
        "import pytest\nfrom rollcast.policies.testing import at_every_state\n\n"
        "def test_fixtures(rollcast_project, rollcast_review):\n"
        "    assert rollcast_review.plan.pipeline == rollcast_project.declaration.pipeline == 'answers'\n"
        "    assert [c.slot for c in rollcast_review.changes] == ['generator']\n\n"
        "@pytest.mark.rollcast(examples=3)\n@at_every_state\ndef test_marked(state):\n    assert state.plan\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--strict-markers", "policies"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_every_example_has_policies_that_hold(example: Path) -> None:
    assert list((example / "policies").glob("test_*.py"))
    done = run(example, "--examples", "5", "--seed", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^[3-9] passed", done.stdout, re.MULTILINE)
