"""What a command reads beside the declaration is the project's, whatever the caller's folder holds."""

from __future__ import annotations

import contextlib
import io
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hypothesis import event, given
from hypothesis import strategies as st

from rollcast.cli.main import main

NAMES = ("released.yaml", "before/released.yaml", "./released.yaml")
Sides = tuple[str, str] | None  # pipeline and version that a file declares; None: there is no file


def declared(pipeline: str, version: str) -> str:
    return (
        f"pipeline: {pipeline}\nartifacts:\n  - {{kind: prompt-template, name: bot, version: '{version}'}}\n"
        f"components: {{answer: {{artifact: bot@{version}}}}}\n"
    )


def put(folder: Path, name: str, what: Sides) -> None:
    if what is not None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(declared(*what), "utf-8")


@contextlib.contextmanager
def working_in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


files = st.none() | st.tuples(st.sampled_from(("mine", "theirs")), st.sampled_from("123"))


@given(st.sampled_from(NAMES), files, files)
def test_a_baseline_is_the_projects_own_and_of_its_pipeline_or_it_is_refused(
    name: str, theirs: Sides, ours: Sides
) -> None:
    with tempfile.TemporaryDirectory() as made:
        caller, project = Path(made, "caller"), Path(made, "project")
        caller.mkdir()
        put(caller, name, theirs)
        put(caller, "rollcast.yaml", theirs)
        put(project, "rollcast.yaml", ("mine", "4"))
        put(project, name, ours)
        out, said = io.StringIO(), io.StringIO()
        with working_in(caller), contextlib.redirect_stdout(out), contextlib.redirect_stderr(said):
            code = main(["-C", "../project", "plan", "--from", name, "--format", "json"])
        if ours is None or ours[0] != "mine":
            event("refused")
            assert code == 1
            assert name.removeprefix("./") in said.getvalue()
            assert not out.getvalue()
        else:
            event("planned")
            assert code == 0, said.getvalue()
            (change,) = json.loads(out.getvalue())["changes"]
            assert (change["from"], change["to"]) == (f"bot@{ours[1]}", "bot@4")
