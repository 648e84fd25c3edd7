"""`make cases`: runs every case (or those that are named) and prints a table; exits 1 where one is not right."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table

from tests.cases import names, run

table = Table("case", "right", "what was seen")
wrong = 0
for name in sys.argv[1:] or names():
    verdict = run(name)
    wrong += verdict.code != 0
    table.add_row(name, {0: "yes", 1: "NO"}.get(verdict.code, "?"), verdict.line)
Console().print(table)
sys.exit(bool(wrong))
