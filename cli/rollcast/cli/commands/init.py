"""`rollcast init`: a new project, or a copy of one of the example systems.

Examples are found beside the source in a checkout, and inside the package in an installed wheel. Nothing that is there
already is overwritten.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from rollcast.cli import terminal

LEFT_OUT = (".rollcast", "__pycache__", ".pytest_cache")
DEMO, DEMOS = "demo.py", "demos"  # an example with a demo takes what all demos share with it


def init(
    directory: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where the project is to be.")] = Path(),
    example: Annotated[str | None, typer.Option("--example", metavar="NAME", help="Copy this example system.")] = None,
    list_: Annotated[bool, typer.Option("--list", help="Name the example systems.")] = False,
) -> None:
    """Start a new project, or copy an example system into a working one."""
    if list_:
        for name, about in examples():
            terminal.out(f"{name:20} {about}")
        return
    copied = copy(_source(example), directory)
    terminal.out(f"{directory}: {len(copied)} file(s).")
    where = "" if directory == Path() else f" -C {directory}"
    if example is None:
        terminal.note(f"Describe your pipeline in {directory / 'rollcast.yaml'}, then: rollcast validate{where}")
    else:
        terminal.note(f"Next: rollcast plan{where} --from released.yaml")


def examples() -> Iterator[tuple[str, str]]:
    """(name, the first sentence about it) of every example system."""
    root = examples_folder()
    for folder in sorted(root.iterdir()) if root else ():
        if (folder / "rollcast.yaml").is_file():
            yield folder.name, _about(folder / "README.md")


def examples_folder() -> Path | None:
    """The folder with the example systems; None where a package was built without them."""
    here = Path(__file__).resolve().parents[1]
    found = (here / "examples", here.parents[2] / "examples")
    return next((path for path in found if path.is_dir()), None)


def copy(source: Path, target: Path) -> list[Path]:
    """Copies a project, and gives the files written. Raises StackError where one is there already."""
    import shutil

    from rollcast.planner.base.wording import some_of
    from rollcast.stacks.base.errors import StackError

    files = {
        path.relative_to(source): path
        for path in sorted(source.rglob("*"))
        if path.is_file() and not set(LEFT_OUT) & set(path.relative_to(source).parts)
    }
    if Path(DEMO) in files:
        shared = source.parent / DEMOS
        files |= {path.relative_to(source.parent): path for path in sorted(shared.glob("*.py"))}
    renamed = {Path(".gitignore") if name == Path("gitignore") else name: path for name, path in files.items()}
    there = [str(target / name) for name in renamed if (target / name).exists()]
    if there:
        raise StackError(f"There is {some_of(there, 3)} already, and nothing is overwritten. Choose another folder.")
    try:
        for name, path in renamed.items():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target / name)
    except OSError as error:
        raise StackError(
            f"The project can't be written to {target} ({error.strerror}). Choose another folder."
        ) from None
    return [target / name for name in renamed]


def _source(example: str | None) -> Path:
    from rollcast.planner.base.errors import did_you_mean
    from rollcast.stacks.base.errors import StackError

    if example is None:
        return Path(__file__).resolve().parents[1] / "new_project"
    known = [name for name, _ in examples()]
    root = examples_folder()
    if root is None or example not in known:
        raise StackError(f"There is no example '{example}'. {did_you_mean(example, known)}")
    return root / example


def _about(readme: Path) -> str:
    """The first sentence below the heading of a README."""
    if not readme.is_file():
        return ""
    paragraphs = readme.read_text("utf-8").split("\n\n")
    text = " ".join(paragraphs[1].split()) if len(paragraphs) > 1 else paragraphs[0].lstrip("# ").strip()
    return text.split(". ")[0].rstrip(".:") + "."


def register(app: typer.Typer) -> None:
    app.command()(init)
