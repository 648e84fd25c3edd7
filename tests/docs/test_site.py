"""The documentation: the reference is what the code says, the site builds strictly, and reading it fetches nothing."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from rollcast.planner.declaration.models import Declaration

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["declaration.md", "commands.md", "json.md", "glossary.md"])
def test_the_reference_is_what_the_code_says(name: str) -> None:
    said = generator().pages()[name]
    assert (DOCS / "reference" / name).read_text("utf-8") == said, "run 'python docs/generate.py'"


def test_every_key_of_the_declaration_and_every_command_is_in_the_reference() -> None:
    declaration = (DOCS / "reference" / "declaration.md").read_text("utf-8")
    schema = Declaration.model_json_schema(by_alias=True)
    for about in (schema, *schema["$defs"].values()):
        assert all(f"| `{name}` |" in declaration for name in about.get("properties", {}))
    commands = (DOCS / "reference" / "commands.md").read_text("utf-8")
    for name in ("plan", "simulate", "apply", "serve", "review", "policy test", "rollback"):
        assert f"# rollcast {name}\n" in commands


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site. Strict: a broken link, anchor or page that is nowhere in the navigation fails."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_site_builds_strictly_with_every_page(site: Path) -> None:
    pages = {path.relative_to(DOCS).with_suffix("") for path in DOCS.rglob("*.md")}
    for page in pages:
        built = site / (page if page.name != "index" else page.parent) / "index.html"
        assert built.exists()


def test_reading_the_site_fetches_nothing_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text("utf-8")
        assert not re.findall(r'<(?:script|img|iframe)[^>]+src="(?:https?:)?//', text), page
        assert not re.findall(r'<link[^>]+rel="(?:stylesheet|preload|preconnect)[^>]+href="(?:https?:)?//', text), page


def test_the_commands_of_the_guides_exist() -> None:
    """Every `rollcast …` line in a block of the guides names a command and options that there are."""
    commands = (DOCS / "reference" / "commands.md").read_text("utf-8")
    sections = dict(
        re.findall(r"^#+ rollcast ([a-z ]+)\n(.*?)(?=^#+ rollcast |\Z)", commands, re.MULTILINE | re.DOTALL)
    )
    seen = 0
    for guide in [*DOCS.glob("*.md"), *DOCS.glob("how-to/*.md")]:
        for block in re.findall(r"^```(?:console)?\n(.*?)^```$", guide.read_text("utf-8"), re.MULTILINE | re.DOTALL):
            for line in re.findall(r"^(?:\$ )?rollcast ([a-z][^\n#|]*)", block, re.MULTILINE):
                words = line.split()
                name = next(name for name in (" ".join(words[:2]), words[0]) if name in sections)
                for option in re.findall(r"(?<!\S)(--[a-z-]+)", line):
                    assert option in sections[name], f"{guide.name}: rollcast {line}"
                seen += 1
    assert seen > 20


def test_the_navigation_names_every_page() -> None:
    text = (ROOT / "mkdocs.yml").read_text("utf-8")
    named = set(re.findall(r"[\w/-]+\.md", str(yaml.safe_load(text)["nav"])))
    assert named == {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}
