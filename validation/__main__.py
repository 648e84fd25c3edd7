"""Runs every validation module and writes docs/validation.md: `python -m validation [--scale 0.1] [--only gates]`.

A module takes part by having `section(scale: float) -> str`, markdown that begins with a heading of level two. At scale
1 the figures are those of the committed page; smaller scales run fewer rollouts of the same code. `--only NAME --renew`
measures some of them again, for the others take minutes, and puts them where they stand in the page.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import re
import sys
import time
from pathlib import Path

import validation

PAGE = Path(__file__).parents[1] / "docs" / "validation.md"
FIRST = ("gates", "gate_agreement", "gate_peers")  # then all others by name
INTRODUCTION = """# Validation

What is claimed about the gates, the simulator and the planner, checked. This page is written by `make validate`, which
runs for some minutes; nothing in it is typed by hand. `python -m validation --scale 0.05 --out /tmp/page.md` is a quick
run of the same code, and `make test` runs the same functions smaller still. Random numbers have fixed seeds; only a
running service is measured again each time.
"""


def names() -> list[str]:
    """Modules with a section, in the order of the page."""
    found = [module.name for module in pkgutil.iter_modules(validation.__path__) if not module.name.startswith("_")]
    with_section = [name for name in found if hasattr(importlib.import_module(f"validation.{name}"), "section")]
    return sorted(with_section, key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), name))


def renewed(page: str, sections: list[str]) -> str:
    """The page with these sections in the place of those with the same headings; a new one goes to the end."""
    parts = re.split(r"^(?=## )", page, flags=re.MULTILINE)
    place = {part.partition("\n")[0]: number for number, part in enumerate(parts)}
    for section in sections:
        for part in re.split(r"^(?=## )", section, flags=re.MULTILINE):
            if part:
                heading = part.partition("\n")[0]
                if heading not in place:
                    place[heading] = len(parts)
                    parts.append("")
                parts[place[heading]] = part.strip() + "\n\n"
    return "\n\n".join(part.rstrip() for part in parts).rstrip() + "\n"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m validation", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="fraction of the full number of simulated rollouts")
    parser.add_argument("--only", action="append", help="modules to run; prints instead of writing the page")
    parser.add_argument("--renew", action="store_true", help="with --only: put these sections into the page")
    parser.add_argument("--out", type=Path, default=None, help=f"file to write; {PAGE.name} under docs by default")
    given = parser.parse_args(arguments)
    sections = []
    for name in given.only or names():
        started = time.monotonic()
        sections.append(importlib.import_module(f"validation.{name}").section(given.scale).strip())
        sys.stderr.write(f"{name}: {time.monotonic() - started:.0f} s\n")
    if given.renew and given.only and given.scale == 1.0:
        PAGE.write_text(renewed(PAGE.read_text("utf-8"), sections), encoding="utf-8")
        return
    if given.only and given.out is None:
        sys.stdout.write("\n\n".join(sections) + "\n")
        return
    if given.scale != 1.0 and given.out is None:
        parser.error("the committed page is of scale 1; give --out for another one")
    out = given.out or PAGE
    out.parent.mkdir(exist_ok=True)
    out.write_text(INTRODUCTION + "\n" + "\n\n".join(sections) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
