"""The command line as scripts see it: exit codes, one clear error a mistake, only results on standard output."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rollcast.cli.main import hoist, main

EXAMPLE = Path(__file__).parents[2] / "examples" / "rag-search"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the retrieval example without its trace."""
    ignored = shutil.ignore_patterns(".rollcast", "__pycache__", "traffic")
    return Path(shutil.copytree(EXAMPLE, tmp_path / "project", ignore=ignored))


def change(path: Path, before: str, after: str) -> None:
    text = path.read_text("utf-8")
    assert before in text
    path.write_text(text.replace(before, after), "utf-8")


def test_help_needs_none_of_the_heavy_parts() -> None:
    code = (
        "import sys, rollcast.cli.main; print([m for m in ('numpy','pydantic','pulumi','numba') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_shared_options_may_stand_on_either_side_of_the_command() -> None:
    assert hoist(["plan", "--out", "x", "-C", "d", "--debug"]) == ["-C", "d", "--debug", "plan", "--out", "x"]
    assert hoist(["--env", "prod", "plan"]) == ["--env", "prod", "plan"]
    assert hoist(["plan", "--", "-C", "d"]) == ["plan", "--", "-C", "d"]


def test_a_usage_error_exits_1_because_2_means_changes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plam"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Did you mean 'plan'?" in captured.err


@pytest.mark.parametrize("words", [[], ["policy"], ["engine"]])
def test_a_command_without_its_command_shows_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("Usage: rollcast")
    assert captured.err == ""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("plan -out x.plan", "write '--out', not '-out'"),
        ("plan -out=x.plan", "write '--out', not '-out'"),
        ("plan -env prod", "write '--env', not '-env'"),
        ("apply -auto-approve", "write '--auto-approve', not '-auto-approve'"),
        ("apply -target answer", "There is no option '-target' here"),
        ("apply --target=answer", "There is no option '--target' here"),
        ("apply -refresh-only", "rollcast plan --refresh-only"),
        ("plan -oops", "There is no option '-oops', nor '--oops'."),
        ("-C. plan --nope", "No such option: --nope."),
    ],
)
def test_an_option_of_another_tool_gets_a_hint(line: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split()) == 1
    message = capsys.readouterr().err
    assert said in message
    assert len(message.splitlines()) == 1


def test_a_missing_declaration_is_named_with_its_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "-C", str(tmp_path)]) == 1
    message = capsys.readouterr().err
    assert str(tmp_path / "rollcast.yaml") in message
    assert "rollcast init" in message


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("components:", "components: [", "rollcast.yaml:"),
        ("upstream: [reranker]", "upstream: [rerankr]", "Did you mean 'reranker'?"),
        ("index: {artifact: stdlib@2, upstream: [embedder]}", "index: {artifact: stdlib@2, upstream: [safety]}", "->"),
        ("strategy: canary", "strategy: canari", "Did you mean 'canary'?"),
        ("percent: [10, 50, 100]", "percent: [50, 10, 100]", "does not rise"),
    ],
)
def test_a_mistake_in_the_declaration_is_named_with_its_line(
    project: Path, capsys: pytest.CaptureFixture[str], before: str, after: str, said: str
) -> None:
    change(project / "rollcast.yaml", before, after)
    assert main(["plan", "--from", "released.yaml", "-C", str(project)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err
    assert "rollcast.yaml:" in captured.err


def test_every_mistake_is_reported_at_once_as_json(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(project / "rollcast.yaml", "upstream: [reranker]", "upstream: [rerankr]")
    change(project / "rollcast.yaml", "stdlib@2", "stdlib@9")
    assert main(["validate", "--format", "json", "-C", str(project)]) == 1
    found = json.loads(capsys.readouterr().out)
    assert not found["valid"]
    assert len(found["diagnostics"]) == 2
    assert all(d["line"] > 0 and d["column"] > 0 and d["remedy"] for d in found["diagnostics"])


def test_a_plan_as_json_is_the_contract_and_nothing_else_is_printed(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", "--from", "released.yaml", "--format", "json", "-C", str(project)]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["format_version"] == "1.0"
    assert {"pipeline", "environment", "from_release", "to_release", "live_state_digest", "changes"} <= set(plan)
    assert {"groups", "operations", "milestones", "rollback", "guardrails"} <= set(plan)
    known = {operation["id"] for operation in plan["operations"]}
    assert all(set(operation["after"]) <= known for operation in plan["operations"])


def test_detailed_exitcode_tells_changes_from_none(project: Path) -> None:
    assert main(["plan", "--from", "released.yaml", "--detailed-exitcode", "-C", str(project)]) == 2
    assert main(["plan", "--from", "rollcast.yaml", "--detailed-exitcode", "-C", str(project)]) == 0


def test_content_that_changed_under_a_locked_version_is_refused(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lock", "-C", str(project)]) == 0
    assert main(["lock", "--check", "-C", str(project)]) == 0
    change(project / "artifacts/prompts/2/prompt.json", "Answer from", "Reply from")
    assert main(["lock", "--check", "-C", str(project)]) == 1
    assert main(["plan", "--from", "released.yaml", "-C", str(project)]) == 1
    assert "answer@2" in capsys.readouterr().err


def test_schema_is_json_schema_of_the_declaration(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert {"pipeline", "components", "rollout", "environments"} <= set(schema["properties"])


def test_names_from_a_declaration_can_not_steer_the_terminal() -> None:
    from rollcast.cli.terminal import clean

    assert clean("a\x1b[31mred\x07") == "a\N{REPLACEMENT CHARACTER}[31mred\N{REPLACEMENT CHARACTER}"


def test_a_folder_is_changed_into_first_so_that_every_path_is_below_it(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    caller = tmp_path / "caller"
    caller.mkdir()
    (caller / "released.yaml").write_text("not: a declaration\n", "utf-8")
    monkeypatch.chdir(caller)
    assert main(["-C", "..", "-C", "project", "plan", "--from", "released.yaml", "--out", "made.plan"]) == 0
    assert Path.cwd() == caller
    assert [path.name for path in caller.iterdir()] == ["released.yaml"]
    assert main(["-C", "../project", "plan", "made.plan"]) == 0
    assert main(["-C", "../absent", "plan"]) == 1
    assert "-C ../absent" in capsys.readouterr().err


def test_a_baseline_of_another_pipeline_is_refused_with_both_names(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(project / "released.yaml", "pipeline: rag-search", "pipeline: somebody-elses")
    assert main(["plan", "--from", "released.yaml", "-C", str(project)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "'somebody-elses'" in captured.err
    assert "'rag-search'" in captured.err
