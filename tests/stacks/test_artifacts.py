"""What an artifact is pinned by: content below the project without links, a vendor's dated name, and nothing else."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcast.cli.main import main
from rollcast.stacks.artifacts.recipes import digests_of
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.registries.sources import source_mistake
from rollcast.stacks.registries.vendor import is_served_by


def artifact(source: str | None) -> dict[str, Any]:
    return {"kind": "model-weights", "name": "bot", "version": "1", "source": source}


def digest(project: Path, source: str = "file:m") -> str:
    return digests_of({"bot@1": artifact(source)}, project)["bot@1"]


@given(st.text(max_size=30))
def test_a_source_that_is_no_file_and_no_vendors_is_never_pinned(source: str) -> None:
    assert source_mistake(source) or source.startswith(("file:", "vendor:"))


@given(st.text(max_size=300))
def test_no_path_ends_in_anything_but_one_error(path: str) -> None:
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(StackError):
        digest(Path(folder), f"file:{path}")


@pytest.mark.parametrize("source", ["files:m", "m/bot", "ipfs://bafy/bot", "ocii://h/bot:1", ""])
def test_a_source_that_can_not_be_read_is_refused_with_what_is_supported(source: str) -> None:
    assert "'file:PATH'" in source_mistake(source)
    assert "'vendor:NAME'" in source_mistake(source)


@pytest.mark.parametrize(
    ("source", "dated"),
    [
        ("vendor:example/bot-2026-05-01", True),
        ("vendor:example/bot-20260501", True),
        ("vendor:example/bot-2026-05-01-preview", True),
        ("vendor:example/bot", False),
        ("vendor:example/bot-latest#alias", True),
        ("vendor:#alias", False),
        ("vendor:example/bot-latest", False),
        ("vendor:example/bot-2026-13-01", False),
        ("vendor:example/bot-120260501", False),
    ],
)
def test_a_hosted_model_needs_a_date_in_its_name(source: str, dated: bool) -> None:
    assert (source_mistake(source) == "") == dated


@pytest.mark.parametrize(
    ("source", "answered", "same"),
    [
        ("vendor:example/bot-2026-05-01", "bot-2026-05-01", True),
        ("vendor:example/bot-2026-05-01", "example/bot-2026-05-01", True),
        ("vendor:example/bot-2026-05-01", "bot-2026-06-01", False),
        ("vendor:example/bot-latest#alias", "bot-2026-06-01", True),
        ("vendor:example/bot-latest#alias", "other-2026-06-01", False),
        ("vendor:example/bot#alias", "bot", True),
    ],
)
def test_what_answers_say_is_held_against_the_name(source: str, answered: str, same: bool) -> None:
    assert is_served_by(source, answered) == same


@pytest.mark.parametrize("target", ["..", ".", "../m/one.txt", "/etc/hostname", "absent"])
@pytest.mark.parametrize("place", ["m/deep/link", "m/link"])
def test_a_link_in_the_content_is_refused_by_its_name_and_a_loop_is_no_crash(
    tmp_path: Path, place: str, target: str
) -> None:
    (tmp_path / "m" / "deep").mkdir(parents=True)
    (tmp_path / "m" / "one.txt").write_text("one", "utf-8")
    assert digest(tmp_path).startswith("sha256:")
    os.symlink(target, tmp_path / place)
    with pytest.raises(StackError, match=f"{place} is a symbolic link"):
        digest(tmp_path)


def test_a_link_on_the_way_to_the_content_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "real" / "m").mkdir(parents=True)
    os.symlink("real", tmp_path / "latest")
    assert digest(tmp_path, "file:real/m")
    with pytest.raises(StackError, match="latest is a symbolic link"):
        digest(tmp_path, "file:latest/m")
    os.symlink("round", tmp_path / "round")
    with pytest.raises(StackError, match="round is a symbolic link"):
        digest(tmp_path, "file:round")
    os.mkfifo(tmp_path / "real" / "m" / "pipe")
    with pytest.raises(StackError, match="no file and no folder"):
        digest(tmp_path, "file:real/m")


DECLARATION = """\
schema: rollcast/v1
pipeline: chat
artifacts:
  - {kind: prompt-template, name: p, version: "1"}
  - kind: model-weights
    name: bot
    version: "1"
    source: SOURCE
components:
  generator: {artifact: bot@1, prompt: p@1}
"""


def test_lock_names_the_line_and_what_is_pinned_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rollcast.yaml").write_text(DECLARATION.replace("SOURCE", "oci:registry/bot:1"), "utf-8")
    assert main(["-C", str(tmp_path), "lock"]) == 1
    assert "rollcast.yaml:8:" in capsys.readouterr().err
    assert not (tmp_path / "rollcast.lock").exists()
    (tmp_path / "rollcast.yaml").write_text(DECLARATION.replace("SOURCE", "vendor:example/bot-2026-05-01"), "utf-8")
    assert main(["-C", str(tmp_path), "lock"]) == 0
    assert "bot@1: by name, not by content" in capsys.readouterr().out
    assert '"by_name"' in (tmp_path / "rollcast.lock").read_text("utf-8")
    assert main(["-C", str(tmp_path), "plan"]) in (0, 3)
    assert "Pinned by name, not by content: bot@1 (vendor:example/bot-2026-05-01)" in capsys.readouterr().out
