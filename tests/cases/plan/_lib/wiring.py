"""wiring.py PLAN: every release that a plan lets serve is wired as the old or as the new declaration says."""

import json
import sys

plan = json.load(open(sys.argv[1]))


def wiring(release):
    return {name: sorted(slot["upstream"]) for name, slot in plan["releases"][release]["slots"].items()}


def serving(milestone):
    shares = milestone["serving"]
    return [share for part in shares.values() for share in part] if isinstance(shares, dict) else shares


old = {share["line"]: share["release"] for part in plan["start"].values() for share in part}
new = plan["to_release"]
if not plan["milestones"]:
    print("the plan is empty")
    raise SystemExit(1)
found = []
for back, milestones in [("", plan["milestones"])] + [
    (f"on the way back from {way['from_milestone']}, ", way["milestones"]) for way in plan["rollback"]
]:
    for milestone in milestones:
        for share in serving(milestone):
            declared = [wiring(r) for r in (old.get(share["line"]), new[share["line"]]) if r]
            if wiring(share["release"]) not in declared:
                shape = ", ".join(f"{n}<-[{'+'.join(u)}]" for n, u in sorted(wiring(share["release"]).items()))
                found.append(
                    (
                        share["percent"],
                        f"{back}milestone {milestone['index']}: {share['percent']:g} % served by {shape}",
                    )
                )
if found:
    most = max(found)
    print(f"{len(found)} shares of the plan serve a wiring that nobody declared, the largest at {most[1]}")
    raise SystemExit(1)
print(f"all {len(plan['milestones'])} milestones and the ways back serve the old or the new declared wiring")
