"""The forecast of a first release has no baseline, no difference and no green tick, and says why."""

import json
import re

text, markdown = open("out.text").read(), open("out.markdown").read()
metric = next(m for m in json.load(open("out.json"))["metrics"] if m["name"] == "error_rate")
wrong = []
if metric["baseline"] is not None or metric["difference"] is not None:
    wrong.append(
        f"JSON invents a baseline: error_rate {metric['baseline']} -> {metric['rollout']:.3f}, difference {metric['difference']:+.3f}, ok: {metric['ok']}"
    )
line = next(line for line in text.splitlines() if line.strip().startswith("error_rate"))
if "100.00% ->" in line:
    wrong.append(f"text: '{' '.join(line.split())}'")
row = next((r for r in markdown.splitlines() if "`error_rate`" in r), "")
if "✅" in row:
    wrong.append(f"Markdown ticks an error rate of 41.62 %: '{row[:60]}'")
if not re.search(
    r"nothing (is |was )?(live|served?|serves|to compare|before)|no baseline|first release|not compared", text, re.I
):
    wrong.append("no sentence says that there is nothing to compare with")
print("; ".join(wrong) or "the first release is compared with nothing, and the forecast says so")
raise SystemExit(bool(wrong))
