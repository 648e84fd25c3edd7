"""Every demo, one after the other, and one table of what happened: python examples/demos/all.py [NAME…].

What each says stands in build/demo-NAME.log; the table is of their last lines. Exits 1 where a demo fails, and goes on.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).resolve().parent.parent
MARK = "demo: "
HEAD = ("system", "promoted", "caught after", "exposed", "forecast said", "mixed", "lost", "took")


def demos() -> list[str]:
    """The examples that run."""
    return sorted(path.parent.name for path in EXAMPLES.glob("*/demo.py") if path.parent.name != "demos")


def run(name: str) -> Mapping[str, Any] | None:
    """What a demo's last line says; None where it failed."""
    log = EXAMPLES.parent / "build" / f"demo-{name}.log"
    log.parent.mkdir(exist_ok=True)
    print(f"{name}: running; {log.relative_to(Path.cwd()) if log.is_relative_to(Path.cwd()) else log}", flush=True)
    with log.open("w", encoding="utf-8") as said:
        command = [sys.executable, str(EXAMPLES / name / "demo.py")]
        code = subprocess.run(command, stdout=said, stderr=subprocess.STDOUT, check=False).returncode
    ends = [line.removeprefix(MARK) for line in log.read_text("utf-8").splitlines() if line.startswith(MARK)]
    return json.loads(ends[-1]) if ends and code == 0 else None


def row(name: str, found: Mapping[str, Any] | None) -> Sequence[str]:
    """A line of the table. What a demo did not say stays open."""
    if found is None:
        return (name, "FAILED", *[""] * (len(HEAD) - 2))
    said = found["forecast_said"]
    caught = (said or {}).get("would_catch") if isinstance(said, Mapping) else None
    forecast = f"{caught['probability']:.0%}, {caught['requests_exposed'] or 0:.0f} requests" if caught else "-"
    after = "-" if found["caught_after_s"] is None else f"{found['caught_after_s']:g} s"
    minutes, seconds = divmod(found["seconds"], 60)
    return (
        name, "yes" if found["promoted"] else "NO", after, str(found["exposed"]), forecast, str(found["mixed"]),
        str(found["lost"]), f"{minutes} min {seconds} s",
    )  # fmt: skip


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns below each other."""
    widths = [max(map(len, column)) for column in zip(HEAD, *rows, strict=True)]
    for cells in (HEAD, *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def good(found: Mapping[str, Any] | None) -> bool:
    """Whether a demo came to its end with nothing mixed and nothing lost."""
    return found is not None and found["promoted"] and not found["mixed"] and not found["lost"]


def main() -> None:
    names = sys.argv[1:] or demos()
    unknown = sorted({*names} - {*demos()})
    if unknown:
        sys.exit(f"No example that runs is called {', '.join(unknown)}. There are: {', '.join(demos())}.")
    found = {name: run(name) for name in names}
    print("\n" + "\n".join(table([row(name, one) for name, one in found.items()])))
    sys.exit(0 if all(map(good, found.values())) else 1)


if __name__ == "__main__":
    main()
