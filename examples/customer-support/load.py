"""Customers of a shop, and a load that sends what they ask: synthetic, by a seeded rule, at random intervals.

What they ask is in questions/first.jsonl; a conversation has one to four turns, and half of the later ones only make
sense with those before (questions/later.jsonl). It is the season: questions about money come three times as often
as others, and one in eight must not be answered. Of 3,000 customers a quarter are employees, a quarter live in New
Zealand, and one in five is protected by a law.

Run: python load.py [--seconds 60] [--speedup 1] [--seed 1] [--endpoint URL]. Prints one line of JSON.
"""

from __future__ import annotations

import math
import sys
from functools import cache
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parent.parent))  # in a checkout, demos stands beside the examples

from demos.building import read_lines
from demos.drawing import one_of, share
from demos.replay import Due, main

HERE = Path(__file__).resolve().parent
USERS, SESSIONS, SECONDS = 3_000, 20.0, 300  # sessions a second; how long until the same requests come again
SEGMENTS = ("employee", "customer", "customer", "customer")
REGIONS = ("nz", "eu", "us", "us")
DOMAINS = ("gdpr-special-category", "none", "none", "none", "none")
MONEY, OFTEN = ("refunds", "payment", "gift-cards", "loyalty"), 3
FORBIDDEN, FOLLOWS = 0.125, 0.5


@cache
def questions() -> tuple[tuple[dict[str, Any], ...], tuple[dict[str, Any], ...]]:
    """Those that may be answered, each as often as it comes, and those that may not."""
    rows = read_lines(HERE / "questions/first.jsonl")
    often = [row for row in rows if "article" in row for _ in range(OFTEN if row["article"] in MONEY else 1)]
    return tuple(often), tuple(row for row in rows if "refuse" in row)


@cache
def follow_ups(article: str) -> tuple[dict[str, Any], ...]:
    """Turns that only make sense after a question about an article."""
    return tuple(row for row in read_lines(HERE / "questions/later.jsonl") if row["article"] == article)


def attributes(user: int) -> dict[str, str]:
    """Who a customer is, which does not change."""
    domain = one_of(DOMAINS, "domain", user)
    region = "eu" if domain != "none" else one_of(REGIONS, "region", user)
    return {"segment": one_of(SEGMENTS, "segment", user), "region": region, "regulatory_domain": domain}


def conversation(*seed: object) -> list[dict[str, Any]]:
    """The turns of a conversation, with what is wanted of each."""
    allowed, forbidden = questions()
    found: list[dict[str, Any]] = []
    for place in range(one_of((1, 2, 2, 3, 4), *seed, "many")):
        later = follow_ups(found[-1].get("article", "")) if found else ()
        if later and share(*seed, "follows", place) < FOLLOWS:
            found.append(one_of(later, *seed, "later", place))
        else:
            pool = forbidden if share(*seed, "forbidden", place) < FORBIDDEN else allowed
            found.append(one_of(pool, *seed, "asks", place))
    return found


def requests(seed: int) -> list[Due]:
    """Five minutes of conversations, in the order in which their turns are due."""
    found, at = [], 0.0
    for number in range(int(SESSIONS * SECONDS)):
        at -= math.log(1 - share(seed, "apart", number)) / SESSIONS
        user, due = int(share(seed, "user", number) * USERS), at
        about = {"key": f"customer-{user}", "session": f"session-{seed}-{number}", "attributes": attributes(user)}
        said: list[str] = []
        for place, row in enumerate(conversation(seed, number)):
            wanted = {name: row[name] for name in ("fact", "refuse") if name in row}
            found.append(Due(due, {**about, "message": row["text"], "turns": list(said), "wanted": wanted}))
            said.append(row["text"])
            due += 1 + share(seed, "reads", number, place)
    return sorted(found, key=lambda each: each.at_s)


if __name__ == "__main__":
    main(__doc__, "/chat", requests)
