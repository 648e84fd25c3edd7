"""moved.py PLAN.json PLAN.txt EXIT: the users of the removed channel are moved in gated steps, and Changes says so."""

import json
import re
import sys

plan, text, code = json.load(open(sys.argv[1])), open(sys.argv[2]).read(), int(sys.argv[3])
shown = re.search(r"^Changes\n(.*?)(?=^Order|^Milestones|\Z)", text, re.M | re.S)
listed = bool(shown and "careful" in shown[1]) and any("careful" in json.dumps(c) for c in plan["changes"])
target = plan["to_release"]["default"]
steps = [
    (share["percent"], milestone["gates"])
    for milestone in plan["milestones"]
    if milestone["kind"] == "shift"
    for share in milestone["serving"]
    if share["line"] == "careful" and share["release"] == target
]
gated = any(percent < 100 and gates for percent, gates in steps)
blocked = code == 3 and any(not g["passed"] and "careful" in json.dumps(g) for g in plan["guardrails"])
wrong = []
if not listed:
    wrong.append("Changes does not name the channel 'careful'")
if not gated and not blocked:
    wrong.append(f"its users go from bot@1 to bot@2 all at once, with no gate (exit {code})")
print("; ".join(wrong) or f"Changes names the channel, and its users are moved in gated steps {steps}, exit {code}")
raise SystemExit(bool(wrong))
