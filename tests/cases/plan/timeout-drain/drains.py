"""Every drain before a retire waits as long as the longest request of the old release: 10 minutes."""

import json
import sys

short, drains = [], 0
for path in sys.argv[1:]:
    plan = json.load(open(path))
    for op in plan["operations"]:
        drains += op["kind"] == "drain"
        if op["kind"] == "drain" and op["wait_s"] < 600:
            short.append(f"{path}: {op['id']} waits {op['wait_s']:g} s")
    # On the way back from where the new release serves too, the shorter declaration may wait for less.
    if path.startswith("rollcast.yaml"):
        for way in plan["rollback"]:
            for op in way["steps"]:
                drains += op["kind"] == "drain"
                if op["kind"] == "drain" and op["wait_s"] < 600:
                    short.append(f"way back from {way['from_milestone']}: {op['id']} waits {op['wait_s']:g} s")
if short:
    print(f"{len(short)} of {drains} drains are shorter than the 600 s that a request may last; {short[0]}")
    raise SystemExit(1)
if not drains:
    print("no drain at all before a retire")
    raise SystemExit(1)
print(f"all {drains} drains wait at least 600 s")
