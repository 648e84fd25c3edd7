"""`rollcast lineage`: what an artifact was made from, across registries, in every form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rollcast.cli.main import main
from rollcast.cli.reports.lineage import json_of, lineage_of
from rollcast.planner.declaration.models import Artifact, SourcePin
from rollcast.stacks.artifacts.lock import Lock, LockedSource

DECLARATION = """\
schema: rollcast/v1
pipeline: chat
artifacts:
  - {kind: dataset, name: docs, version: "1", source: "file:docs"}
  - {kind: embedding-model, name: e5, version: "1", source: "file:e5"}
  - {kind: retrieval-index, name: kb, version: "1", source: "file:kb", derived_from: [docs@1, e5@1]}
  - {kind: reranker, name: cross, version: "1", source: "file:cross", derived_from: [kb@1]}
components:
  embedder: {artifact: e5@1}
  index: {artifact: kb@1, upstream: [embedder]}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "rollcast.yaml").write_text(DECLARATION, "utf-8")
    for name in ("docs", "e5", "kb", "cross"):
        (tmp_path / name).write_text(name, "utf-8")
    assert main(["-C", str(tmp_path), "lock"]) == 0
    return tmp_path


def test_it_is_drawn_upwards_and_downwards(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["-C", str(project), "lineage", "kb"]) == 0
    lines = [" ".join(line.split()[:2]) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "kb@1 retrieval-index", "made from", "├─ docs@1", "└─ e5@1", "to be", "└─ cross@1",
    ]  # fmt: skip


def test_other_forms_hold_the_same_graph(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["-C", str(project), "lineage", "kb@1", "--format", "json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert {"from": "e5@1", "to": "kb@1"} in said["derived"]
    assert len(said["derived"]) == 3
    assert {one["reference"]: one["used_by"] for one in said["artifacts"]}["kb@1"] == ["index"]
    assert main(["-C", str(project), "lineage", "kb@1", "--format", "mermaid"]) == 0
    assert capsys.readouterr().out.count("-->") == 3
    assert main(["-C", str(project), "lineage", "--format", "html", "--out", str(project / "l.html")]) == 0
    page = (project / "l.html").read_text("utf-8")
    assert page.count('class="arrow"') == 3
    assert 'id="op-0"' in page


def test_an_artifact_that_is_not_there_is_named(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-C", str(project), "lineage", "kbb"]) == 1
    assert "There is no artifact 'kbb'. Did you mean 'kb'?" in capsys.readouterr().err


def test_what_registries_say_is_one_graph_with_what_is_declared() -> None:
    """An image that names its base by digest is tied to the artifact that is pinned to that digest."""

    def pinned(identity: str, *lineage: str) -> LockedSource:
        pin = SourcePin(identity=identity, digest=f"sha256:{'1' * 64}")
        return LockedSource(source=f"{identity}-as-declared", pin=pin, lineage=lineage)

    artifacts = {
        f"{name}@1": Artifact(kind="model-weights", name=name, version="1", source=f"oci://h/{name}:1")
        for name in ("base", "tuned")
    }
    lock = Lock(
        {},
        {
            "base@1": pinned("oci://h/base@sha256:1"),
            "tuned@1": pinned("oci://h/tuned@sha256:2", "oci://h/base@sha256:1", "mlflow run 7"),
        },
    )
    found = lineage_of(artifacts, lock, ["tuned@1"], {})
    assert {(one["from"], one["to"]) for one in json_of(found)["derived"]} == {
        ("base@1", "tuned@1"),
        ("mlflow run 7", "tuned@1"),
    }
    assert found.outside == ["mlflow run 7"]
