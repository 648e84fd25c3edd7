"""Prints the table of seeded bugs, and exits 1 when one of them was not found."""

from __future__ import annotations

import sys

from tests.policies.seeded_bugs.bugs import BUGS
from tests.policies.seeded_bugs.finding import Found, proof_finds, seek
from tests.policies.seeded_bugs.mutation import NoLongerThere


def main(words: list[str]) -> int:
    """Look for the chosen bugs, one after another."""
    chosen = [bug for bug in BUGS if all(word in f"{bug.name} {bug.module}" for word in words)]
    missed = 0
    print(f"{'module':<12}{'bug':<62}{'s':>6}  {'proof':<6}found by walking or refusing")  # noqa: T201
    for bug in chosen:
        try:
            found = seek(bug)
        except (NoLongerThere, ImportError) as gone:
            found = Found("", 0.0)
            print(gone, file=sys.stderr)  # noqa: T201
        proof = "" if bug.part == "declaration" or not found.seconds else "yes" if proof_finds(bug) else "-"
        missed += not found.said
        said = found.said[:120] or "NOT FOUND"
        print(f"{bug.module:<12}{bug.name:<62}{found.seconds:>6.1f}  {proof:<6}{said}", flush=True)  # noqa: T201
    print(f"{len(chosen) - missed} of {len(chosen)} bugs are found within the quick profile")  # noqa: T201
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
