"""What served is given back as it was, though names, and the lock, have moved on since."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollcast.planner.planning.planner import live_as_declared, make_plan
from rollcast.planner.releases.releases import releases_of
from rollcast.stacks.artifacts.building import materialize
from rollcast.stacks.artifacts.recipes import definitions_of
from rollcast.stacks.ledger.reproduce import declaration_of
from rollcast.stacks.ledger.rollouts import RolloutContext
from rollcast.stacks.project import Project
from tests.registries.locking import run
from tests.registries.test_git import commit

DECLARATION = """\
schema: rollcast/v1
pipeline: chat
artifacts:
  - {kind: dataset, name: docs, version: "1", source: "git+file://REPOSITORY@main#docs"}
  - {kind: retrieval-index, name: kb, version: "1", source: "file:kb", derived_from: [docs@1]}
  - {kind: prompt-template, name: answer, version: "1", source: "git+file://REPOSITORY@main#prompts"}
components:
  index: {artifact: kb@1}
  generator: {artifact: answer@1, upstream: [index]}
"""


def served(project: Path) -> RolloutContext:
    """What a rollout of the project as it is keeps in the ledger."""
    opened = Project.open(project)
    plan = make_plan(
        opened.declaration,
        live_as_declared(opened.declaration, opened.digests),
        opened.environment_name,
        opened.digests,
    )
    return RolloutContext(
        "ro-1", plan, opened.declaration, definitions_of(opened.declaration), opened.digests, plan.lines, {}, 0.0, ""
    )


def test_a_declaration_that_reproduces_gives_the_same_release_though_the_lock_has_moved(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repository = tmp_path / "repository"
    commit(repository, {"docs/a.txt": "one", "prompts/answer.txt": "one"})
    (project / "kb").write_text("index", "utf-8")
    (project / "rollcast.yaml").write_text(DECLARATION.replace("REPOSITORY", str(repository)), "utf-8")
    assert run(project, "lock") == 0
    context = served(project)
    before = releases_of(context.declaration, context.digests)
    commit(repository, {"docs/a.txt": "two", "prompts/answer.txt": "two"})
    assert run(project, "lock") == 0
    now = Project.open(project)
    assert releases_of(now.declaration, now.digests)["default"].id != before["default"].id
    (project / "then.yaml").write_text(declaration_of(context, before), "utf-8")
    then = Project.open(project, file="then.yaml")
    assert {line: one.id for line, one in releases_of(then.declaration, then.digests).items()} == {
        line: one.id for line, one in before.items()
    }
    folder = materialize("answer@1", definitions_of(then.declaration), then.digests, project)
    assert (folder / "answer.txt").read_text("utf-8") == "one"
    assert run(project, "lock", "--check") == 0, "what is declared now is locked as before"
    (project / "kb").write_text("swapped", "utf-8")
    capsys.readouterr()
    assert run(project, "plan") == 1
    assert "the content of kb@1 is not what rollcast.lock pins" in capsys.readouterr().err
