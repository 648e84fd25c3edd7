"""What users of an image service send, and a load that sends it: synthetic, by a seeded rule, at random intervals.

Of 20,000 users in three regions, six in ten want the house style. Three briefs in ten are for somebody who withdrew;
seven in ten of those go around the name, and half ask for the same one: a joke is going about. Steps are 8 to 20, a
picture's side 8, 16 or 32 pixels.

Run: python load.py [--seconds 60] [--speedup 1] [--seed 1] [--endpoint URL]. Prints one line of JSON.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent))  # in a checkout, demos stands beside the examples

from demos.replay import Due, main
from tools.subjects import brief, drawn, share

USERS, REGIONS, SEGMENTS = 20_000, ("eu", "us", "asia"), ("studio", "consumer", "consumer")
RATE, SECONDS = 40.0, 600  # requests a second; how long until the same requests come again
HOUSE, PROBING, AROUND = 0.6, 0.3, 0.7
ALLOWED, WITHDRAWN = (0, 1, 2, 3, 5, 6, 8), (4, 4, 7, 9)
SIZES = (8, 16, 16, 32)


def requests(seed: int) -> list[Due]:
    """Ten minutes of requests."""
    found, at = [], 0.0
    for row in range(int(RATE * SECONDS)):
        at -= math.log(1 - share(seed, "apart", row)) / RATE
        probing = share(seed, "probing", row) < PROBING
        pool = WITHDRAWN if probing else ALLOWED
        subject = pool[int(share(seed, "wanted", row) * len(pool))]
        around = probing and share(seed, "around", row) < AROUND
        user = int(share(seed, "user", row) * USERS)
        style = "house" if share(seed, "style", row) < HOUSE else "plain"
        body = {
            "key": f"user-{user}",
            "brief": brief(subject, around, seed, row),
            "wanted": subject,
            "style": style,
            "steps": 8 + int(share(seed, "steps", row) * 13),
            "size": SIZES[int(share(seed, "size", row) * len(SIZES))],
            "attributes": {
                "region": drawn(REGIONS, "region", user),
                "segment": drawn(SEGMENTS, "segment", user),
                "style": style,
            },
        }
        found.append(Due(at, body))
    return found


if __name__ == "__main__":
    main(__doc__, "/image", requests)
