"""Developers at work, and a load that sends what their editors do: synthetic, by a seeded rule, at random intervals.

Of 3,000 developers a part are our own, a part use a beta or very much. A session is a burst of three to five
completions in one file, a second or two apart, in the language that its developer mostly writes, or in the other. One
in five is in private code. Open beside are lines of other files, and in four of ten sessions, more than anywhere, one
with a key: half of the keys have a form that everybody knows, half are just long. No key here opens anything.

Run: python load.py [--seconds 60] [--speedup 1] [--seed 1] [--endpoint URL]. Prints one line of JSON.
"""

from __future__ import annotations

import hashlib
import math
import sys
from functools import cache
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parent.parent))  # in a checkout, demos stands beside the examples

from demos.drawing import one_of, share
from demos.replay import Due, main
from tools.tasks import LANGUAGES, request, task

USERS, TASKS = 3_000, 300  # tasks in each language
SESSIONS, SECONDS = 9.0, 300  # a second; how long until the same requests come again
SEGMENTS = ("employee",) * 5 + ("beta", "power-user", "power-user", "power-user") + ("standard",) * 5
EDITORS = ("1.82.0", "1.81.4", "1.80.1", "1.79.3")
MOST_WAITING = 40  # an editor gives up on a completion rather than wait behind so many
OWN, PRIVATE, KEYS = 0.8, 0.2, 0.4
LINES = (
    "from billing import total", "const routes = require('./routes');", "rows = table.select(limit=50)",
    "let page = await fetchPage(cursor);", "report.add(sum(values))", "log.info('started')",
    "const names = rows.map(nameOf);",
    "def largest(values): ...", "export function squares(values) {", "session.commit()",
)  # fmt: skip


@cache
def wanted(language: str, number: int) -> dict[str, Any]:
    """One of the tasks that developers have, with its tests."""
    return request(task(language, "live", number))


def workspace(*seed: object) -> list[str]:
    """Lines of the files that are open beside."""
    lines = [one_of(LINES, *seed, "line", place) for place in range(3)]
    if share(*seed, "keeps keys") < KEYS:
        digits = hashlib.sha256(repr(seed).encode()).hexdigest()
        known = share(*seed, "form") < 0.5
        lines.append(f'API_KEY = "{"sk_" + "live_" + digits[:24] if known else digits[:40]}"')
    return lines


def attributes(user: int) -> dict[str, str]:
    """Who a developer is, which does not change."""
    return {"segment": one_of(SEGMENTS, "segment", user), "editor_version": one_of(EDITORS, "editor", user)}


def requests(seed: int) -> list[Due]:
    """Five minutes of completions, in the order in which they are due."""
    found, at = [], 0.0
    for number in range(int(SESSIONS * SECONDS)):
        at -= math.log(1 - share(seed, "apart", number)) / SESSIONS
        user, due = int(share(seed, "user", number) * USERS), at
        mostly = one_of(LANGUAGES, "writes", user)
        language = mostly if share(seed, "own", number) < OWN else next(each for each in LANGUAGES if each != mostly)
        private = share(seed, "private", number) < PRIVATE
        about = {
            "key": f"developer-{user}",
            "session": f"session-{seed}-{number}",
            "workspace": workspace(seed, number),
            "attributes": {**attributes(user), "repository": "private" if private else "shared"},
        }
        for place in range(one_of((3, 4, 5), seed, "many", number)):
            own = wanted(language, int(share(seed, "task", number, place) * TASKS))
            found.append(Due(due, {**about, **own}))
            due += 0.7 + share(seed, "thinks", number, place)
    return sorted(found, key=lambda each: each.at_s)


if __name__ == "__main__":
    main(__doc__, "/complete", requests, most=MOST_WAITING)
