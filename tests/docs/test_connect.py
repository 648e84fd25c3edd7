"""The page that connects a service says all of the contract, and its examples run."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from rollcast.stacks.conformance.probe import read_probe
from tests.dataplane.releasing import OLD, both, put
from tests.spec.test_schemas import SCHEMAS, SPEC

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "connect-your-service.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def fields(schema: Any) -> set[str]:
    """Every name that a schema describes, those of its inner objects included."""
    found = set()
    if isinstance(schema, dict):
        found |= set(schema.get("properties", {}))
        for value in schema.values():
            found |= fields(value)
    if isinstance(schema, list):
        for value in schema:
            found |= fields(value)
    return found


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_every_field_of_a_schema_is_on_the_page(name: str) -> None:
    missing = [field for field in sorted(fields(SCHEMAS[name])) if f"`{field}`" not in PAGE]
    assert not missing


def test_every_point_and_every_path_is_on_the_page() -> None:
    spec = (SPEC / "README.md").read_text("utf-8")
    points = re.findall(r"^- \*\*([A-Z]\d+)\*\*", spec, re.MULTILINE)
    assert [each for each in points if not re.search(rf"\b{each}\b", PAGE)] == []
    for path in re.findall(r"`(?:GET|POST) (/rollcast/[a-z]+)", spec):
        assert path in PAGE
    assert set(re.findall(r"\(([A-Z]\d)\)", PAGE)) <= set(points)


def code_of(framework: str) -> str:
    return next(text for language, text in BLOCKS if language == "python" and f"# {framework}:" in text)


@pytest.mark.parametrize("framework", ["fastapi", "flask"])
def test_the_examples_serve(framework: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "live" / "flags.json", both(0))
    made: dict[str, Any] = {"__name__": "help_desk"}
    exec(compile(code_of(framework), f"{framework}.py", "exec"), made)  # noqa: S102 - the page's own example
    try:
        if framework == "fastapi":
            from starlette.testclient import TestClient

            reply = TestClient(made["app"]).post("/chat", json={"user": "ann"})
            headers, data = reply.headers, reply.json()
        else:
            answer = made["app"].test_client().post("/chat", json={"user": "ann"})
            headers, data = answer.headers, answer.get_json()
            answer.close()
        assert headers["x-rollcast-release"] == OLD.id
        assert OLD.folders["prompt"] in data["answer"]
        (line,) = (tmp_path / "live" / "telemetry" / "requests.jsonl").read_text().splitlines()
        assert json.loads(line)["output_tokens"] == 40
    finally:
        made["plane"].stop()
    assert "pydantic" in sys.modules or framework == "flask"


def test_adopting_it_takes_fewer_than_fifteen_lines() -> None:
    for framework in ("fastapi", "flask"):
        ours = [
            line for line in code_of(framework).splitlines() if re.search(r"rollcast_dataplane|plane|release", line)
        ]
        assert len(ours) <= 9


def test_the_probe_of_the_page_is_one(tmp_path: Path) -> None:
    text = next(text for language, text in BLOCKS if language == "yaml" and "pipeline:" in text)
    (tmp_path / "probe.yaml").write_text(text)
    assert read_probe(tmp_path / "probe.yaml").stream is not None
